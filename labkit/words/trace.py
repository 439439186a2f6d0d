"""What happened, when: one line of facts for each thing that befell a packet.

Every part of a call writes to a `Trace`; the timeline of a call, its delays and its losses are
read off afterwards. Writing is one `append`, so tracing is always on.

A trace does not interpret: the same lines are read by the plots, the checks and the exporter.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, TextIO


class Did(StrEnum):
    """The vocabulary of a trace: what can befall a packet or a part."""

    CAPTURED = "captured"  # its first sample was spoken
    ENCODED = "encoded"  # a frame, just before its packets are sent; value: nanoseconds it took
    SENT = "sent"  # left the sender; value: bytes on the wire with headers of ours
    LEFT = "left"  # what was sent so far was handed to the socket
    LOST = "lost"  # the link dropped it; value: 0
    QUEUE_DROPPED = "queue-dropped"  # a full queue dropped it
    ARRIVED = "arrived"  # reached the receiver; value: bytes
    DUPLICATE = "duplicate"  # arrived again
    LATE = "late"  # arrived after its turn; value: nanoseconds too late
    DECODED = "decoded"  # a payload, just before it is played; value: nanoseconds it took
    PLAYED = "played"  # its sound was given to the playout
    CONCEALED = "concealed"  # its turn came without it; value: 1 FEC, 2 PLC, 3 silence
    HELD = "held"  # the playout waited one frame: the stream has not moved
    SKIPPED = "skipped"  # in the buffer, but dropped to catch up
    UNDERRUN = "underrun"  # the sound card found nothing; value: samples missing
    OVERRUN = "overrun"  # the ring buffer was full; value: samples dropped
    DEPTH = "depth"  # value: nanoseconds buffered
    TARGET = "target"  # value: nanoseconds the delay policy wants


class Entry(NamedTuple):
    """One fact. `seq` is the unwrapped sequence number, or -1 where there is none."""

    now: int
    did: Did
    seq: int
    value: int = 0


class Trace:
    """An append-only list of entries, in the order they were written."""

    __slots__ = ("add", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[int, Did, int, int]] = []
        self.add = self.entries.append
        """Append one `(now, did, seq, value)` tuple. A bound method: no call of ours between."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry._make, self.entries)

    def of(self, *kinds: Did) -> Iterator[Entry]:
        """Only the entries of these kinds."""
        return (Entry._make(e) for e in self.entries if e[1] in kinds)

    def write_jsonl(self, out: TextIO) -> None:
        """One JSON object a line, times in nanoseconds."""
        for now, did, seq, value in self.entries:
            line = {"now": now, "did": did.value, "seq": seq, "value": value}
            out.write(json.dumps(line) + "\n")
