"""A voice in Opus for the checks of week 8: packets that were sent, and what a decode loop hears.

    packets_of("08_opus_dtx")            (seq, timestamp, marker, size) of a shipped capture
    simulated(3)                         the same of a call in virtual time, with pauses and losses
    scene = Scene(seed)                  three seconds of speech over a line that loses in bursts
    scene.stoi(choices)                  what is understood when each turn is played so

`Scene` decides nothing: it does what it is told and measures (STOI, Taal et al. 2011). This module
knows no exercise.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from random import Random
from typing import Final, NamedTuple

import numpy as np

from labkit.codec.opus import Opus
from labkit.core import quality
from labkit.words.format import Samples
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32

FRAME: Final = 960
"""Samples and ticks of 20 ms."""
AHEAD: Final = 2
"""So many turns before its own a packet is in the buffer, and can be seen."""
SCENES: Final = 6
"""Different lines that there are: what each is worth is computed once."""
CODEC: Final = Opus(32_000, fec=True, expected_loss=20, complexity=5)


class Voiced(NamedTuple):
    """What a capture says of one packet, without its sound."""

    seq: int
    timestamp: int
    marker: bool
    size: int


@lru_cache(maxsize=4)
def packets_of(name: str) -> list[list[Voiced]]:
    """The streams of a shipped capture, each in the order of arrival."""
    from labkit.lab.captures import capture

    return [
        [Voiced(p.seq % 65536, p.timestamp % (1 << 32), p.marker, p.size) for p in stream.arrived]
        for stream in capture(name).voices
    ]


@lru_cache(maxsize=SCENES)
def simulated(seed: int) -> list[Voiced]:
    """Nine seconds of speech with DTX over a line that loses a packet in ten."""
    from labkit.lab import dissect
    from labkit.lab.call import Call
    from labkit.lab.links import link
    from labkit.lab.sources import speech
    from labkit.wire import rtp

    codec = Opus(24_000, dtx=True, complexity=0)
    line = link("lossy", delay="30ms", loss="10%")
    result = Call(speech(9), codec, link=line, seed=seed).simulate(capture=True)
    found = [rtp.unpack(data) for data in dissect.voice_datagrams(result)]
    return [Voiced(p.seq, p.timestamp, p.marker, len(p.payload)) for p in found]


def moved(packets: Sequence[Voiced], seq: int, ticks: int) -> list[Voiced]:
    """The same packets of a sender that began at other numbers."""
    return [p._replace(seq=add16(p.seq, seq), timestamp=add32(p.timestamp, ticks)) for p in packets]


class Scene:
    """A line that loses in bursts, and what waits in the buffer at each turn."""

    def __init__(self, seed: int) -> None:
        rng = Random(f"{seed} scene")
        first = 65_536 - rng.randrange(20, 140)
        coded = _coded()
        self._here: list[Packet | None] = []
        bad = False
        for number, payload in enumerate(coded):
            bad = rng.random() < (0.4 if bad else 0.16)
            seq, timestamp = add16(first, number), add32(0, number * FRAME)
            packet = Packet(seq, timestamp, payload, payload_type=111)
            self._here.append(None if bad and number else packet)

    @property
    def turns(self) -> list[tuple[Packet | None, Packet | None]]:
        """For each turn its packet, and the earliest that waits behind it."""
        here = self._here
        rest = [[p for p in here[i + 1 : i + 1 + AHEAD] if p] for i in range(len(here))]
        return [
            (packet, after[0] if after else None) for packet, after in zip(here, rest, strict=True)
        ]

    def stoi(self, choices: Sequence[str]) -> float:
        """STOI of what is heard, 0 to 1, when each turn is played as its choice says."""
        decoder = CODEC.decoder()
        heard = []
        for (packet, following), choice in zip(self.turns, choices, strict=True):
            sound = None
            if choice == "silence":
                sound = np.zeros((FRAME, 1), np.int16)
            elif choice == "decode" and packet is not None:
                sound = decoder.decode(packet.payload)
            elif choice == "fec" and following is not None:
                sound = decoder.recover(following.payload)
            heard.append(sound if sound is not None else decoder.conceal(FRAME))
        late = CODEC.lookahead
        played = np.concatenate(heard)[late:]
        return quality.stoi(_said()[: len(played)], played, CODEC.sample_rate)

    @cached_property
    def best(self) -> float:
        """With each copy that can be used."""
        return self.stoi(self._plan(fec=True))

    @cached_property
    def without_copies(self) -> float:
        """With concealment alone."""
        return self.stoi(self._plan(fec=False))

    def _plan(self, *, fec: bool) -> list[str]:
        plan = []
        for (packet, following), successor in zip(self.turns, [*self._here[1:], None], strict=True):
            if packet is not None:
                plan.append("decode")
            elif fec and successor is not None and following is successor:
                # RFC 6716 section 4.2.3: all of these are 20 ms of mono, and SILK has a part in it
                plan.append("fec" if successor.payload[1] & 0x40 else "plc")
            else:
                plan.append("plc")
        return plan


@lru_cache(maxsize=SCENES)
def scene(seed: int) -> Scene:
    """One of the lines; what it is worth is computed once."""
    return Scene(seed)


@lru_cache(maxsize=1)
def _said() -> Samples:
    from labkit.lab.sources import speech

    samples = speech(3.3).samples
    return samples[: len(samples) // FRAME * FRAME]


@lru_cache(maxsize=1)
def _coded() -> list[bytes]:
    encoder, said = CODEC.encoder(), _said()
    return [encoder.encode(said[i : i + FRAME]) for i in range(0, len(said), FRAME)]
