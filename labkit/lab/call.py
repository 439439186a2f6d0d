"""A call: one voice, one network, one listener, and everything about it afterwards.

    result = Call(speech(), codec=Opus(32_000, fec=True), link="wifi-busy", seed=7).simulate()
    result = await Call(speech(), link="voip-10", jitter_buffer=MyBuffer).run()
    result.listen(); result.show(); print(result)

`simulate` runs in virtual time and gives the same result on every machine; `run` drives the same
objects on real sockets, through a relay that impairs real datagrams as the profile says. Any part
can be yours: the source, the codec, the link, the jitter buffer, the delay policy.

This module only puts parts together. What a result says of quality comes from
`labkit.core.quality`, what became of each packet from `labkit.core.timeline`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from labkit.codec.face import Codec
from labkit.codec.opus import Opus
from labkit.core import quality, timeline
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Report, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.core.timeline import Timeline
from labkit.endpoints.receiver import Buffer, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.listen import Player, listen
from labkit.lab.notes import Notes
from labkit.lab.show import Picture, timelines
from labkit.lab.sources import converted, speech
from labkit.resources import profile_path
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import sdp
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.profile import Profile, parse_profile
from labkit.words.trace import Trace
from labkit.words.units import ms, seconds

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)
"""Addresses in virtual time: who speaks and who listens."""
TRANSPORTS = ("rtp", "udp", "tcp")


def load_profile(name: str | Path) -> Profile:
    """A shipped network profile by its name, or one of your own by its path."""
    path = profile_path(str(name))
    return parse_profile(path.read_text(encoding="utf-8"), path.stem)


@dataclass
class Call:
    """One voice over one network.

    `jitter_buffer` is a class, a function that makes a buffer, or a buffer (which is copied, so
    that a call can be made twice); without it a `JitterBuffer` plays by `policy`. `link` is a
    profile or its name; it is the listener's network, so voice comes `down` and reports go `up`.
    `seed` decides everything random: the network's dice and the first sequence number.
    """

    source: Clip | None = None
    codec: Codec = field(default_factory=lambda: Opus(32_000, fec=True))
    link: Profile | str = "clear"
    transport: str = "rtp"
    jitter_buffer: Buffer | Callable[[], Buffer] | None = None
    policy: Any = None
    fec: bool = True
    conceal: bool = True
    seed: int = 0
    name: str = ""
    profile: Profile = field(init=False)
    """What `link` stands for."""

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise BadInput(f"no transport is called {self.transport!r}", " or ".join(TRANSPORTS))
        self.profile = load_profile(self.link) if isinstance(self.link, str) else self.link
        clip = self.source if self.source is not None else speech()
        self.source = converted(clip, self.codec.sample_rate, self.codec.channels)

    @property
    def seconds(self) -> float:
        """How long the voice speaks."""
        assert self.source is not None
        return len(self.source) / self.codec.sample_rate

    # In virtual time --------------------------------------------------------------------------

    def simulate(self, *, capture: bool = False) -> "Result":
        """Run in virtual time: a minute in a blink, and the same on every machine.

        With `capture`, every datagram that crosses the link is kept, for `Result.save_pcapng`.
        """
        sender, receiver = self.sender(), self.receiver(ALICE)
        tap = Tap() if capture else None
        world = World(self.seed, tap=tap)
        world.add(sender, ALICE)
        world.add(receiver, BOB)
        world.connect(receiver, sender, self.profile, stream=self.transport == "tcp")
        notes = Notes()
        world.on_event(receiver, notes.take)
        world.run(until=seconds(self.seconds * 2 + 60), stop=lambda: notes.finished)
        return self.result(sender, receiver, notes, tap)

    # In real time -----------------------------------------------------------------------------

    async def run(self) -> "Result":
        """Run on real sockets on this machine, in real time: `await call.run()` in a notebook."""
        from labkit.lab.livecall import run

        return await run(self)

    # Parts ------------------------------------------------------------------------------------

    def sender(self, wallclock_offset: int = 0) -> Sender:
        """The end that speaks, made of fresh parts; it waits to be joined."""
        assert self.source is not None
        voice = Voice(self.codec, self.source.rewound(), rng=Random(f"{self.seed} voice"))
        return Sender(self._session(Role.SENDER, None, wallclock_offset, voice.ssrc), voice)

    def receiver(self, peer: Any, wallclock_offset: int = 0) -> Receiver:
        """The end that listens, made of fresh parts; it joins the sender at `peer`."""
        return Receiver(
            self._session(Role.RECEIVER, peer, wallclock_offset),
            self.codec,
            buffer=self._buffer(),
            policy=copy.deepcopy(self.policy),
            fec=self.fec,
            conceal=self.conceal,
        )

    def _session(
        self, role: Role, peer: Any, wallclock_offset: int, ssrc: int | None = None
    ) -> Any:
        format_ = self.codec.format
        description = sdp.describe(format_, host=ALICE[0], port=ALICE[1])
        if self.transport == "tcp":
            return StreamSession(role, description)
        if self.transport == "udp":
            return DatagramSession(role, description, peer=peer)
        return RtpSession(
            role,
            description,
            peer=peer,
            ssrc=ssrc,
            clock_rate=format_.clock_rate,
            rng=Random(f"{self.seed} {role.value}"),
            wallclock_offset=wallclock_offset,
        )

    def _buffer(self) -> Buffer | None:
        made = self.jitter_buffer
        if made is None or (callable(made) and not hasattr(made, "push")):
            return made() if made is not None else None
        if isinstance(made, type):
            fresh: Buffer = made()
            return fresh
        return copy.deepcopy(made)  # type: ignore[return-value]

    def result(self, sender: Sender, receiver: Receiver, notes: Notes, tap: Any = None) -> "Result":
        """Everything about a call that has ended."""
        assert sender.voice is not None
        assert self.source is not None
        return Result(
            name=self.name or _name(self.codec),
            link=self.profile,
            codec=self.codec,
            seed=self.seed,
            transport=self.transport,
            reference=self.source.samples,
            heard=notes.heard,
            first_timestamp=sender.voice.first_timestamp,
            timeline=timeline.build(sender.voice.trace, receiver.trace),
            sent_trace=sender.voice.trace,
            received_trace=receiver.trace,
            reports=notes.reports,
            tap=tap,
        )


def _name(codec: Codec) -> str:
    if isinstance(codec, Opus):
        return f"Opus {codec.bitrate / 1000:g} kbit/s{' FEC' if codec.fec else ''}"
    return str(codec.format.encoding)


@dataclass
class Result:
    """What came of a call: it prints itself; `show` draws, `listen` plays, `save` keeps it."""

    name: str
    link: Profile
    codec: Codec
    seed: int
    transport: str
    reference: Samples
    heard: list[Heard]
    first_timestamp: int
    timeline: Timeline
    sent_trace: Trace
    received_trace: Trace
    reports: list[Report]
    tap: Any = None

    # Sound ------------------------------------------------------------------------------------

    @cached_property
    def audio(self) -> Samples:
        """What the listener heard, from the first frame on: shape (samples, channels)."""
        if not self.heard:
            return np.zeros((0, self.codec.channels), np.int16)
        return np.concatenate([h.played for h in self.heard])

    @cached_property
    def aligned(self) -> Samples:
        """The same, each frame at its place in media time, as long as the reference.

        What was heard while the stream waited goes into the gap that the wait turned out to be.
        Measures of intelligibility compare this with the reference: a listener does not mind when
        a word is heard (that is what delay is for), but whether.
        """
        out = np.zeros_like(self.reference)
        rate, clock_rate = self.codec.sample_rate, self.codec.format.clock_rate
        base = self._base_timestamp()
        early = self.codec.lookahead
        waited: list[Samples] = []
        end = 0
        for heard in self.heard:
            if heard.timestamp is None:
                waited.append(heard.samples)
                continue
            at = (heard.timestamp - base) * rate // clock_rate - early
            if waited and at > end:
                _put(out, end, np.concatenate(waited)[: at - end])
            waited = []
            _put(out, at, heard.samples)
            end = at + len(heard.samples)
        return out

    def _base_timestamp(self) -> int:
        """The unwrapped timestamp of the first sample, as the receiver counts."""
        first = next((h.timestamp for h in self.heard if h.timestamp is not None), 0)
        turns = round((first - self.first_timestamp) / (1 << 32))
        return self.first_timestamp + turns * (1 << 32)

    # Figures ----------------------------------------------------------------------------------

    @property
    def unheard(self) -> float:
        """The share of packets neither played nor recovered by FEC, 0 to 1."""
        return float(np.mean(self._gone())) if len(self.timeline) else 0.0

    def _gone(self) -> Any:
        return (self.timeline.fate != timeline.Fate.PLAYED) & (self.timeline.concealed != 1)

    @property
    def network_delay_ms(self) -> float:
        """Mean one-way delay of the packets that arrived."""
        return _mean(self.timeline.network_delay_ms())

    @property
    def delay_ms(self) -> float:
        """Mean mouth-to-ear delay: frame, network, buffer, codec; sound cards not counted."""
        lookahead = self.codec.lookahead * 1000 / self.codec.sample_rate
        return _mean(self.timeline.mouth_to_ear_ms()) + lookahead

    @cached_property
    def stoi(self) -> float:
        """Short-time objective intelligibility of what was heard, 0 to 1 (Taal et al. 2011)."""
        return quality.stoi(self.reference, self.aligned, self.codec.sample_rate)

    @cached_property
    def r(self) -> float:
        """R of the E-model (ITU-T G.107), 0 to 100, for this delay and this loss.

        A frame that FEC recovered is not lost, so the codec's robustness without FEC counts.
        """
        impairment = _impairment(self.codec)
        delay = ms(self.delay_ms) if self.delay_ms == self.delay_ms else 0  # not a number: silence
        return quality.r_factor(
            delay,
            self.unheard,
            ie=impairment.ie,
            bpl=impairment.bpl,
            burst_ratio=quality.burst_ratio(self._gone()),
        )

    @property
    def mos(self) -> float:
        """Mean opinion score that R stands for, 1 to 4.5 (ITU-T G.107 Annex B)."""
        return quality.mos(self.r)

    @property
    def bitrate(self) -> float:
        """Bits a second of payload, over the whole call."""
        return float(self.timeline.size.sum()) * 8 * self.codec.sample_rate / len(self.reference)

    # Forms ------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """One line: who, over what, with what success."""
        return (
            f"{self.name}, {self.link.name}: {self.unheard:.1%} not heard, "
            f"{self.delay_ms:.0f} ms mouth to ear"
        )

    @property
    def report(self) -> str:
        """The figures, in a few lines."""
        t = self.timeline
        facts = timeline.describe(t)
        heuristic = " (Opus parameters are heuristic)" if isinstance(self.codec, Opus) else ""
        return f"""\
{self.name} over {self.link.name} ({self.transport}, seed {self.seed})
  packets  {len(t)} sent, {t.lost:.1%} lost by the network, {facts["late"]:.1%} too late
  heard    {self.unheard:.1%} missing, after FEC recovered {facts["recovered_by_fec"]}
  delay    network {self.network_delay_ms:.0f} ms (99 % under {facts["network_ms_p99"]:.0f}), \
mouth to ear {self.delay_ms:.0f} ms
  quality  STOI {self.stoi:.2f}, R {self.r:.0f}, MOS {self.mos:.2f}{heuristic}
  bitrate  {self.bitrate / 1000:.1f} kbit/s of payload"""

    def __str__(self) -> str:
        return self.report

    __repr__ = __str__

    def show(self) -> Picture:
        """Every packet: when it came, and whether it was played."""
        return timelines([self])

    def listen(self) -> Player:
        """What was said, and what was heard."""
        return listen({"said": self.reference, self.name: self.audio}, self.codec.sample_rate)

    def save_wav(self, path: str | Path) -> Path:
        """Write what was heard."""
        from labkit.live.wav import WavWriter

        with WavWriter(Path(path), self.codec.sample_rate, self.codec.channels) as out:
            out.write(self.audio)
        return Path(path)

    def save_pcapng(self, path: str | Path) -> Path:
        """Write every datagram of a captured call, with its fate as a comment."""
        if not isinstance(self.tap, Tap):
            raise BadInput(
                "this call was not captured",
                "simulate(capture=True); a live call is captured with tshark",
            )
        with Path(path).open("wb") as file:
            self.tap.write_pcapng(file)
        return Path(path)

    def save(self, folder: str | Path) -> Path:
        """Write `heard.wav`, `timeline.png`, `report.txt` and, of virtual time, `call.pcapng`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_wav(folder / "heard.wav")
        self.show().save(folder / "timeline.png")
        (folder / "report.txt").write_text(self.report + "\n", encoding="utf-8")
        if isinstance(self.tap, Tap):
            self.save_pcapng(folder / "call.pcapng")
        return folder


def _impairment(codec: Codec) -> quality.Impairment:
    if isinstance(codec, Opus):
        return quality.opus(codec.bitrate)
    return quality.G711_PLC if codec.format.encoding in ("PCMU", "PCMA") else quality.L16


def _put(out: Samples, at: int, samples: Samples) -> None:
    """Copy samples to their place; what falls outside is dropped."""
    skip = max(0, -at)
    room = max(0, len(out) - at - skip)
    part = samples[skip : skip + room]
    out[at + skip : at + skip + len(part)] = part


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
