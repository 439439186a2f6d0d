"""What came of a call: its sound, its figures, and the fate of every packet.

A `Result` computes what it is asked for and keeps it. Quality comes from `labkit.core.quality`, the
fate of packets from `labkit.core.timeline`; here they are put side by side.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from labkit.codec.face import Codec
from labkit.codec.opus import Opus
from labkit.core import latency, quality, timeline
from labkit.core.session import Report
from labkit.core.timeline import Timeline
from labkit.endpoints.receiver import Heard
from labkit.lab.listen import Player, listen
from labkit.lab.show import Picture, timelines
from labkit.live.wav import WavWriter
from labkit.sim.tap import Tap
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.profile import Profile
from labkit.words.trace import Trace
from labkit.words.units import ms, ticks_to_ns

if TYPE_CHECKING:
    from labkit.lab.latencies import Budget


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
    conceal: bool = True
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
        impairment = _impairment(self.codec, conceal=self.conceal)
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

    @cached_property
    def budget(self) -> "Budget":
        """Where the mouth-to-ear delay goes, part by part: it prints itself, and `show` draws.

        Without a sound card; `budget.through(playback.latency)` is with one.
        """
        from labkit.lab.latencies import Budget

        lookahead = ticks_to_ns(self.codec.lookahead, self.codec.sample_rate)
        found = latency.budget(
            self.timeline, self.sent_trace, self.received_trace, lookahead=lookahead
        )
        return Budget(found.parts)

    # Forms ------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """One line: who, over what, with what success."""
        return (
            f"{self.name}, {self.link.name}: {self.unheard:.1%} not heard, "
            f"{in_ms(self.delay_ms)} mouth to ear"
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
  heard    {self.unheard:.1%} missing, after FEC recovered {facts["recovered_by_fec"]}; \
waited {t.held} turns
  delay    network {in_ms(self.network_delay_ms)} (99 % under {facts["network_ms_p99"]:.0f}), \
mouth to ear {in_ms(self.delay_ms)}
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
        return listen(self)

    def save_wav(self, path: str | Path) -> Path:
        """Write what was heard."""
        with WavWriter(Path(path), self.codec.sample_rate, self.codec.channels) as out:
            out.write(self.audio)
        return Path(path)

    def save_pcapng(self, path: str | Path, at: Literal["sent", "arrived"] = "sent") -> Path:
        """Write every datagram of a captured call, as seen at the sender or at the receiver.

        At the sender lost packets are there too, with their fate as a comment.
        """
        if not isinstance(self.tap, Tap):
            raise BadInput(
                "this call was not captured",
                "simulate(capture=True); a live call is captured with tshark",
            )
        with Path(path).open("wb") as file:
            self.tap.write_pcapng(file, at)
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


def _impairment(codec: Codec, *, conceal: bool) -> quality.Impairment:
    """What a codec costs in the E-model. Without concealment each is as frail as G.711."""
    if not isinstance(codec, Opus):
        return quality.G711_PLC if conceal else quality.G711
    figures = quality.opus(codec.bitrate)
    return figures if conceal else figures._replace(bpl=quality.G711.bpl)


def _put(out: Samples, at: int, samples: Samples) -> None:
    """Copy samples to their place; what falls outside is dropped."""
    skip = max(0, -at)
    room = max(0, len(out) - at - skip)
    part = samples[skip : skip + room]
    out[at + skip : at + skip + len(part)] = part


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def in_ms(delay: float) -> str:
    """A delay in words: `never` when nothing was played, and so there was no number."""
    return "never" if delay != delay else f"{delay:.0f} ms"
