"""Where the time goes between a mouth and an ear: the latency budget of a call (week 11).

    spoken ─ framing ─ pick-up ─ encoder ─ lookahead ─ send queue ─┐
                                                                network
     heard ─ device ─ decoder ─────────────── jitter buffer ───────┘

Each part of each packet that was played lies between two moments that the traces hold, and one part
ends where the next begins. So the parts add up to the mouth-to-ear delay (ITU-T G.114) exactly,
to the nanosecond, packet by packet; and their means add up to its mean. Percentiles do not: the
packet that waits longest in the network waits least in the jitter buffer.

Two parts are no moments. The lookahead is how far the decoded sound lags behind what was encoded,
because the encoder looks ahead; the device is what a sound card and the ring before it hold.

In virtual time computing takes none: pick-up, encoder, send queue and decoder are zero. In real
time they are measured (`labkit.live.stopwatch`), and the network's part is right because both ends
of a call on one machine read one clock. Between two machines it would be wrong by as much as their
clocks differ, and only the round trip could be known (RFC 3550 section 6.4.1).

This module knows no codec and no clock; all times are nanoseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np

from labkit.core.timeline import NEVER, Column, Timeline, turns
from labkit.words.errors import BadInput
from labkit.words.trace import Did, Trace
from labkit.words.units import to_ms


class Part(StrEnum):
    """The parts of the budget, in the order of time."""

    FRAMING = "framing"  # the first sample waits for the last one of its frame
    PICK_UP = "pick-up"  # the frame waits for us: a timer, a block of the sound card
    ENCODER = "encoder"  # computing
    LOOKAHEAD = "lookahead"  # of the codec: an algorithm's, however fast the computer
    SEND_QUEUE = "send queue"  # from encoded to handed to the kernel
    NETWORK = "network"  # with the kernels on both sides
    JITTER_BUFFER = "jitter buffer"  # waits for its turn
    DECODER = "decoder"  # a turn that comes late, and computing
    DEVICE = "device"  # ring buffer and sound card


class Moments(NamedTuple):
    """What a sender's trace says of one packet beyond the timeline."""

    begun: int
    encoded: int
    left: int


@dataclass(frozen=True, eq=False)
class Budget:
    """A column of nanoseconds for each part: one row for each packet that was played."""

    parts: dict[Part, Column]

    def __len__(self) -> int:
        return len(self.parts[Part.FRAMING])

    @property
    def mouth_to_ear(self) -> Column:
        """Of each packet: the sum of its parts."""
        total: Column = np.sum(list(self.parts.values()), axis=0, dtype=np.int64)
        return total

    def through(self, device: int) -> Self:
        """The same call heard on a sound card: `Playback.latency`, in nanoseconds.

        Asked before a block is written; after it, that counts the block itself too.
        """
        column = np.full(len(self), device, np.int64)
        return replace(self, parts={**self.parts, Part.DEVICE: column})

    def rows(self) -> Iterator[tuple[str, float, float]]:
        """Name, mean and 99th percentile in milliseconds: of each part, and of the whole."""
        for part, column in self.parts.items():
            yield part.value, float(np.mean(column)) / 1e6, _tail(column)
        total = self.mouth_to_ear
        yield "mouth to ear", float(np.mean(total)) / 1e6, _tail(total)

    def __repr__(self) -> str:
        rows = list(self.rows())
        whole = rows[-1][1] or 1.0
        lines = [f"{'':16}{'mean':>9}{'99 %':>10}   (ms, {len(self)} packets)"]
        for name, mean, tail in rows:
            bar = "" if name == rows[-1][0] else "█" * round(32 * mean / whole)
            lines.append(f"{name:16}{mean:9.2f}{tail:10.2f}   {bar}".rstrip())
        return "\n".join(lines)


def _tail(column: Column) -> float:
    return to_ms(float(np.percentile(column, 99, method="inverted_cdf")))


def budget(
    timeline: Timeline, sender: Trace, receiver: Trace, *, lookahead: int = 0, device: int = 0
) -> Budget:
    """Take a call apart. `lookahead` and `device` are nanoseconds, the same for every packet.

    `BadInput` when nothing was played: there is no delay then.
    """
    done = timeline.played != NEVER
    if not done.any():
        raise BadInput("nothing was played, so there is no latency to take apart", "a better link")
    captured, complete, arrived, turn = (
        column[done]
        for column in (timeline.captured, timeline.sent, timeline.arrived, timeline.played)
    )
    seqs: list[int] = timeline.seq[done].tolist()
    moments = departures(sender)
    begun, encoded, left = np.array([moments[seq] for seq in seqs], np.int64).T
    ready = _decoded(receiver)
    shift = turns(seqs, ready)
    decoded = np.array([ready[seq + shift] for seq in seqs], np.int64)
    return Budget(
        {
            Part.FRAMING: complete - captured,
            Part.PICK_UP: begun - complete,
            Part.ENCODER: encoded - begun,
            Part.LOOKAHEAD: np.full(len(seqs), lookahead, np.int64),
            Part.SEND_QUEUE: left - encoded,
            Part.NETWORK: arrived - left,
            Part.JITTER_BUFFER: turn - arrived,
            Part.DECODER: decoded - turn,
            Part.DEVICE: np.full(len(seqs), device, np.int64),
        }
    )


def departures(trace: Trace) -> dict[int, Moments]:
    """Of each packet: when its frame was begun and encoded, and when it left.

    A frame is encoded just before its packets are noted, and they leave after that, together. A
    trace without such notes is one of virtual time, where all of it takes no time.
    """
    moments: dict[int, Moments] = {}
    waiting: list[int] = []
    encoded: tuple[int, int] | None = None
    for now, did, seq, value in trace.entries:
        if did is Did.ENCODED:
            encoded = (now - value, now)
        elif did is Did.SENT:
            begun, ended = encoded or (now, now)
            moments[seq] = Moments(begun, ended, ended)
            waiting.append(seq)
        elif did is Did.LEFT:
            for each in waiting:
                moments[each] = moments[each]._replace(left=now)
            waiting = []
    return moments


def _decoded(trace: Trace) -> dict[int, int]:
    """Of each packet that was played: when its sound was there."""
    ready: dict[int, int] = {}
    decoded: int | None = None
    for now, did, seq, _ in trace.entries:
        if did is Did.DECODED:
            decoded = now
        elif did is Did.PLAYED:
            ready.setdefault(seq, now if decoded is None else decoded)
            decoded = None
    return ready
