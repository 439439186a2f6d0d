"""The fate of every packet, read off the traces of a sender and a receiver.

One row for each packet that was sent, as numpy columns, so that an hour of packets is counted and
plotted at once. A packet has one of three fates: it was played, it came but not in time, or it
never came. That is judged by what happened and not by what a jitter buffer says of itself, so it
holds for a student's buffer as well as for ours.

This module knows no codec and no network; all times are nanoseconds of one clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.words.errors import BadInput
from labkit.words.trace import Did, Trace
from labkit.words.units import NS_PER_MS

NEVER = np.iinfo(np.int64).min
"""Stands in a column of times for what did not happen."""

Column = npt.NDArray[np.int64]
Milliseconds = npt.NDArray[np.float64]


class Fate(IntEnum):
    """What became of a packet."""

    PLAYED = 0
    LATE = 1  # it arrived, but was never played: after its turn, or dropped to catch up
    LOST = 2  # it never arrived


@dataclass(frozen=True, slots=True)
class Timeline:
    """Columns of equal length, in the order of sending."""

    seq: Column
    captured: Column
    """When the first sample was spoken."""
    sent: Column
    arrived: Column
    """When the first copy arrived; `NEVER` if none did."""
    played: Column
    """When it was played; `NEVER` if it was not."""
    size: Column
    """Bytes of payload."""
    concealed: Column
    """How its gap was filled: 0 not at all, 1 FEC, 2 PLC."""
    duplicates: int
    """Arrivals beyond the first."""
    held: int
    """Turns at which the playout waited for a packet that it then played."""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def fate(self) -> Column:
        """`Fate` of each packet."""
        fate = np.full(len(self), int(Fate.LOST), dtype=np.int64)
        fate[self.arrived != NEVER] = Fate.LATE
        fate[self.played != NEVER] = Fate.PLAYED
        return fate

    def count(self, fate: Fate) -> int:
        """How many packets met this fate."""
        return int(np.count_nonzero(self.fate == fate))

    @property
    def missing(self) -> float:
        """The share of packets that were not played, 0 to 1: what the listener lacks."""
        return 1 - self.count(Fate.PLAYED) / len(self) if len(self) else 0.0

    @property
    def lost(self) -> float:
        """The share of packets that never arrived, 0 to 1: what the network lacks."""
        return self.count(Fate.LOST) / len(self) if len(self) else 0.0

    def network_delay_ms(self) -> Milliseconds:
        """One-way delay of each packet that arrived, in milliseconds (RFC 7679)."""
        came = self.arrived != NEVER
        return _ms(self.arrived[came] - self.sent[came])

    def buffer_delay_ms(self) -> Milliseconds:
        """How long each played packet waited in the jitter buffer, in milliseconds."""
        done = self.played != NEVER
        return _ms(self.played[done] - self.arrived[done])

    def mouth_to_ear_ms(self) -> Milliseconds:
        """From spoken to heard, for each played packet, in milliseconds (ITU-T G.114)."""
        done = self.played != NEVER
        return _ms(self.played[done] - self.captured[done])

    def reordered(self) -> int:
        """Packets that arrived after one that was sent later (RFC 4737 section 3)."""
        came = self.arrived != NEVER
        order = np.argsort(self.arrived[came], kind="stable")
        seq = self.seq[came][order]
        return int(np.count_nonzero(seq < np.maximum.accumulate(seq))) if len(seq) else 0


def _ms(nanoseconds: Column) -> Milliseconds:
    milliseconds: Milliseconds = nanoseconds / NS_PER_MS
    return milliseconds


def build(sender: Trace, receiver: Trace) -> Timeline:
    """Join two traces of the same clock by sequence number.

    Both sides unwrap from the first number they saw; a receiver that began elsewhere on the circle
    is moved by whole turns.
    """
    sent = _first(sender, Did.SENT)
    if not sent:
        raise BadInput("nothing was sent, so there is no timeline", "a longer source")
    captured = _first(sender, Did.CAPTURED)
    arrived = _first(receiver, Did.ARRIVED)
    played = _first(receiver, Did.PLAYED)
    concealed = _first(receiver, Did.CONCEALED)
    seqs = sorted(sent)
    shift = turns(seqs, arrived)

    def column(facts: dict[int, tuple[int, int]], field: int, default: int, move: int) -> Column:
        missing = (default, default)
        values = (facts.get(s + move, missing)[field] for s in seqs)
        return np.fromiter(values, dtype=np.int64, count=len(seqs))

    arrivals = sum(1 for _ in receiver.of(Did.ARRIVED))
    return Timeline(
        seq=np.array(seqs, dtype=np.int64),
        captured=column(captured, 0, NEVER, 0),
        sent=column(sent, 0, NEVER, 0),
        size=column(sent, 1, 0, 0),
        arrived=column(arrived, 0, NEVER, shift),
        played=column(played, 0, NEVER, shift),
        concealed=column(concealed, 1, 0, shift),
        duplicates=arrivals - len(arrived),
        held=_held(receiver),
    )


def _held(receiver: Trace) -> int:
    """Turns of waiting; those after the last packet waited for nothing but the goodbye."""
    end = max((entry.now for entry in receiver.of(Did.PLAYED)), default=NEVER)
    return sum(1 for entry in receiver.of(Did.HELD) if entry.now < end)


def _first(trace: Trace, kind: Did) -> dict[int, tuple[int, int]]:
    """The first entry of a kind for each sequence number: when, and its value."""
    facts: dict[int, tuple[int, int]] = {}
    for now, did, seq, value in trace.entries:
        if did is kind and seq not in facts:
            facts[seq] = (now, value)
    return facts


def turns(seqs: list[int], arrived: Iterable[int]) -> int:
    """How far the receiver's unwrapped numbers lie from the sender's: a multiple of 2**16."""
    first = next(iter(arrived), None)
    return 0 if first is None else round((first - seqs[0]) / 0x10000) * 0x10000


def describe(timeline: Timeline) -> dict[str, Any]:
    """The figures of a timeline by name; delays in milliseconds, shares from 0 to 1."""
    network, ear = timeline.network_delay_ms(), timeline.mouth_to_ear_ms()

    def percentile(values: Milliseconds, q: float) -> float:
        return float(np.percentile(values, q)) if len(values) else float("nan")

    return {
        "packets": len(timeline),
        "lost": timeline.lost,
        "late": timeline.count(Fate.LATE) / len(timeline),
        "missing": timeline.missing,
        "recovered_by_fec": int(np.count_nonzero(timeline.concealed == 1)),
        "reordered": timeline.reordered(),
        "duplicates": timeline.duplicates,
        "network_ms_p50": percentile(network, 50),
        "network_ms_p99": percentile(network, 99),
        "mouth_to_ear_ms_mean": float(np.mean(ear)) if len(ear) else float("nan"),
        "mouth_to_ear_ms_p99": percentile(ear, 99),
    }
