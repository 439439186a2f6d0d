"""Head-of-line blocking, measured: one voice, one bad link, four ways to carry it (week 10).

    result = head_of_line("voip-5", seed=1)
    result.picture(); print(result)

A stream hands on its bytes in order. When one packet is lost, all that came after it waits until
the loss is noticed and made good: a round trip at least. One TCP connection does so, and one QUIC
stream does; with a stream for each frame only the frame that was lost is late, and with datagrams
none is: it is gone. The same voice, cut into the same frames, goes each way over the same link in
virtual time, and what is measured is how long each frame is on its way, from `send` at one end to
`Received` at the other. Neither jitter buffer nor decoder takes part.

TCP is `labkit.sim.bytestream`, which has no congestion control; QUIC is aioquic, which has. The
same on real sockets is `benchmarks/quic.py`.

This module decides nothing: links are `labkit.core.impairment`'s, and so is chance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from labkit.codec import Opus
from labkit.core.session import Received, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.quic import quic_session
from labkit.lab.sources import speech
from labkit.resources import load_profile
from labkit.sim.world import World
from labkit.words.machine import Event
from labkit.words.profile import Profile
from labkit.words.trace import Did
from labkit.words.units import seconds, to_ms

if TYPE_CHECKING:
    from labkit.lab.show import Picture

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)

Delays = NDArray[np.float64]
"""Milliseconds that each frame took, in the order in which they were sent; nan: it never came."""


class Way(Enum):
    """How the voice is carried."""

    TCP = "one TCP connection"
    STREAM = "one QUIC stream"
    STREAMS = "a QUIC stream for each frame"
    DATAGRAMS = "QUIC datagrams"


TRANSPORTS: Final = {
    Way.STREAM: "quic-stream",
    Way.STREAMS: "quic-streams",
    Way.DATAGRAMS: "quic",
}


@dataclass(frozen=True)
class HeadOfLine:
    """How long the frames of one voice took, each way."""

    link: Profile
    delays: Mapping[Way, Delays]
    frame: float
    """Milliseconds from one frame to the next."""

    def share_later(self, way: Way, limit: float) -> float:
        """The share of frames that were not there after `limit` ms, lost ones included: 0 to 1."""
        delays = self.delays[way]
        return float(np.mean(np.isnan(delays) | (delays > limit)))

    def percentile(self, way: Way, percent: float) -> float:
        """Of the frames that came, in milliseconds."""
        return float(np.nanpercentile(self.delays[way], percent))

    def lost(self, way: Way) -> float:
        """The share of frames that never came: 0 to 1."""
        return float(np.mean(np.isnan(self.delays[way])))

    def frames(self, way: Way) -> list[tuple[float, float | None]]:
        """When each frame was sent, and when it was handed over, in ms; None: it never was."""
        return frames_of(self.delays[way], self.frame)

    def picture(self) -> "Picture":
        """The delay of each frame over some seconds, and the distribution of all."""
        from labkit.lab.headoflinepicture import draw

        return draw(self)

    def __str__(self) -> str:
        head = f"{'':<30}{'median':>8}{'95 %':>8}{'99 %':>8}{'worst':>8}{'lost':>8}"
        lines = [f"{self.link.name}: {self.link.title}", head]
        for way in self.delays:
            figures = [self.percentile(way, p) for p in (50, 95, 99, 100)]
            numbers = "".join(f"{ms:8.0f}" for ms in figures)
            lines.append(f"{way.value:<30}{numbers}{self.lost(way):8.1%}")
        return "\n".join(lines)


def head_of_line(link: Profile | str = "voip-5", seed: int = 1, *, repeat: int = 4) -> HeadOfLine:
    """Carry the same voice each way over the same link.

    The voice is the speech that comes with the kit, `repeat` times over.
    """
    profile = load_profile(link) if isinstance(link, str) else link
    clip = Clip(np.tile(speech().samples, (repeat, 1)), speech().sample_rate)
    delays = {way: carry(way, profile, clip, seed) for way in Way}
    return HeadOfLine(profile, delays, 20.0)


def carry(way: Way, link: Profile, clip: Clip, seed: int) -> Delays:
    """Carry a voice one way, in virtual time."""
    voice = Voice(Opus(32_000), clip.rewound(), rng=Random(f"{seed} voice"))
    sender, listener = _ends(way)
    speaker = Sender(sender, voice)
    world = World(seed)
    world.add(speaker, ALICE)
    world.add(listener, BOB)
    world.connect(listener, speaker, link, stream=way is Way.TCP)
    arrived: dict[int, int] = {}
    world.on_event(listener, _notes(arrived))
    world.run(until=seconds(len(clip) / clip.sample_rate + 30), stop=lambda: bool(listener.closed))
    return delays_of(voice, arrived)


def delays_of(voice: Voice, arrived: Mapping[int, int]) -> Delays:
    """How long each frame took, when `arrived` says when they came, by sequence number."""
    sent = [(seq & 0xFFFF, now) for now, did, seq, _ in voice.trace.entries if did is Did.SENT]
    return np.array([to_ms(arrived[seq] - now) if seq in arrived else np.nan for seq, now in sent])


def frames_of(delays: Delays, frame: float = 20.0) -> list[tuple[float, float | None]]:
    """Pairs of sent and handed over, to the microsecond: equal numbers are one instant.

    The last one is left out: the codec gives it up when the voice has ended, a frame too late.
    """
    pairs: list[tuple[float, float | None]] = []
    for place, delay in enumerate(delays[:-1].tolist()):
        sent = place * frame
        pairs.append((sent, None if delay != delay else round(sent + delay, 3)))
    return pairs


def _ends(way: Way) -> tuple[Any, Any]:
    if way is Way.TCP:
        return StreamSession(Role.SENDER), StreamSession(Role.RECEIVER)
    transport = TRANSPORTS[way]
    return (
        quic_session(Role.SENDER, "", transport, None),
        quic_session(Role.RECEIVER, "", transport, ALICE),
    )


def _notes(arrived: dict[int, int]) -> Callable[[Event], None]:
    def take(event: Event) -> None:
        if isinstance(event, Received):
            arrived.setdefault(event.packet.seq, event.now)

    return take
