"""What came of a replayed stream: its sound, its figures, the fate of every packet.

There is no reference to compare the sound with, so there is no STOI here. Delays are over that of
the fastest packet: a capture does not know how long the way was.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labkit.codec.face import Codec
from labkit.core.rtpanalysis import FoundStream
from labkit.core.timeline import Fate, Timeline, describe
from labkit.endpoints.receiver import Heard
from labkit.lab.listen import Player, listen
from labkit.lab.show import Picture, timelines
from labkit.live.wav import WavWriter
from labkit.words.format import Samples
from labkit.words.trace import Trace
from labkit.words.units import NS_PER_MS


@dataclass
class Replayed:
    """It prints itself; `show` draws, `listen` plays, `save_wav` keeps it."""

    name: str
    stream: FoundStream
    codec: Codec
    heard: list[Heard]
    timeline: Timeline
    trace: Trace
    undecodable: int

    @cached_property
    def audio(self) -> Samples:
        """What the listener heard: shape (samples, channels)."""
        return np.concatenate([heard.played for heard in self.heard])

    @property
    def unheard(self) -> float:
        """The share of packets neither played nor recovered by FEC, 0 to 1."""
        fate, concealed = self.timeline.fate, self.timeline.concealed
        return float(np.mean((fate != Fate.PLAYED) & (concealed != 1)))

    @property
    def delay_ms(self) -> float:
        """Mean time from sending to playing, over the delay of the fastest packet."""
        delays = self.timeline.mouth_to_ear_ms()
        return float(np.mean(delays)) if len(delays) else float("nan")

    @property
    def title(self) -> str:
        """One line: what, with what success."""
        return f"{self.name}: {self.unheard:.1%} not heard, {self.delay_ms:.0f} ms of delay added"

    @property
    def report(self) -> str:
        """The figures, in a few lines."""
        t, counts = self.timeline, self.stream.counts
        facts = describe(t)
        fec = facts["recovered_by_fec"]
        length = len(self.audio) / self.codec.sample_rate
        text = f"""\
{self.name}: {self.codec.format.encoding}, {length:.1f} s of sound
  packets  {counts.packets} came, {t.count(Fate.LOST)} lost, {t.count(Fate.LATE)} too late, \
{facts["reordered"]} reordered, {t.duplicates} twice
  heard    {self.unheard:.1%} missing{f", {fec} recovered by FEC" if fec else ""}
  delay    {self.delay_ms:.0f} ms more than the fastest packet took, \
99 % under {facts["mouth_to_ear_ms_p99"]:.0f}
  jitter   mean {counts.mean_jitter / NS_PER_MS:.3f} ms, \
largest {counts.max_jitter / NS_PER_MS:.3f} ms (RFC 3550)"""
        if self.undecodable:
            text += f"\n  payload  {self.undecodable} packets could not be decoded"
        return text

    def __str__(self) -> str:
        return self.report

    __repr__ = __str__

    def show(self) -> Picture:
        """Every packet: when it came, and whether it was played."""
        itself: Any = self  # has what the picture asks of a call's result
        return timelines([itself])

    def listen(self) -> Player:
        """A player for what was heard."""
        return listen({self.name: self.audio}, sample_rate=self.codec.sample_rate)

    def save_wav(self, path: str | Path) -> Path:
        """Write what was heard."""
        with WavWriter(Path(path), self.codec.sample_rate, self.codec.channels) as out:
            out.write(self.audio)
        return Path(path)
