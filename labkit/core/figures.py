"""What is known about a call at an instant: the numbers behind every status line and picture.

A metrics endpoint, a dashboard, a trace and a terminal must not disagree, so they all show these
values, and nobody else adds up. There are two sides: a receiver knows what arrived, what it plays
and how late; a server knows what it sent and what waits, for each listener.

Counters only ever grow. Times and delays are in nanoseconds, rates in bits a second, shares from
0 to 1; None is "not known (yet)", which is not 0.

This module knows no session, no format of any exporter, and no clock.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Basis(StrEnum):
    """How a mouth-to-ear delay is known (see `labkit.core.delays`)."""

    SENDER_REPORT = "sender report"
    """Measured by the sender's wallclock, taken to be ours too (RFC 3550 section 6.4.1)."""
    HALF_ROUND_TRIP = "half round trip"
    """Estimated: the way here is taken to be half of the round trip."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations counted in buckets: `counts` has one more than `bounds`, for what is longer."""

    bounds: tuple[int, ...] = ()
    """The upper bound of each bucket, which belongs to it, in nanoseconds."""
    counts: tuple[int, ...] = (0,)
    total: int = 0
    """The sum of all durations."""

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self.counts)


NOTHING_COUNTED: Final = Distribution()


@dataclass(frozen=True, slots=True)
class ReceiverFigures:
    """One listener, as it sees itself."""

    received: int = 0
    """Packets, duplicates included."""
    expected: int = 0
    """Packets, by the sequence numbers."""
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    """Packets that came after their turn."""
    played: int = 0
    """Frames played as they were sent."""
    concealed: int = 0
    """Frames made up for packets that were missing: by FEC, PLC or silence."""
    held: int = 0
    """Frames made up because the stream had not moved: a stall, or a silence that is not sent."""
    underruns: int = 0
    """Times that the sound card found nothing."""
    refused: int = 0
    """What could not be read, or was not authentic."""
    received_octets: int = 0
    """Bytes of payload in the packets received."""
    jitter: int | None = None
    """RFC 3550 section 6.4.1; None over a stream, which nobody measures."""
    depth: int = 0
    """Sound that waits in the jitter buffer."""
    target: int | None = None
    """What the delay policy wants the depth to be."""
    bitrate: int = 0
    """Of the payload, lately."""
    round_trip: int | None = None
    mouth_to_ear: int | None = None
    """From the microphone to the ear (ITU-T G.114), where both ends' clocks can be compared."""
    mouth_to_ear_by: Basis | None = None
    """Whether that was measured or estimated."""
    mouth_to_ears: Distribution = NOTHING_COUNTED
    """Of every packet played."""
    interarrivals: Distribution = NOTHING_COUNTED
    """The time between two packets."""

    @property
    def loss(self) -> float:
        """The share of packets that never came."""
        return self.lost / self.expected if self.expected else 0.0


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One listener, as its server sees it."""

    name: str
    """Stable as long as it listens; never a secret."""
    sent: int = 0
    """Packets."""
    sent_octets: int = 0
    """Bytes of payload in them."""
    queued: int = 0
    """Packets that wait for the wire."""
    queue_limit: int = 0
    dropped: int = 0
    """Packets that the queue had no room for."""
    lag: int = 0
    """How long the oldest packet in the queue has waited."""
    bitrate: int | None = None
    """Of the rendition that it gets."""
    loss: float | None = None
    """The share that it lost lately, by its own report."""
    jitter: int | None = None
    round_trip: int | None = None


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """A server and everybody who listens."""

    listening: int = 0
    max_clients: int = 0
    bitrate: int = 0
    """Of one copy of the sound, lately."""
    refused_clients: int = 0
    """Who came when there was no room."""
    refused: dict[str, int] = field(default_factory=dict)
    """What was refused, by reason in a few words: a token, a certificate, bytes."""
    clients: tuple[ClientFigures, ...] = ()


def lately(field: str, before: ReceiverFigures, after: ReceiverFigures) -> float | None:
    """The share of the packets expected in between that are counted in `field`, 0 to 1.

    None where none were expected, or where another stream began. A packet that was missing before
    and came after all makes no negative share.
    """
    expected = after.expected - before.expected
    if expected <= 0:
        return None
    counted: int = getattr(after, field) - getattr(before, field)
    return min(max(counted / expected, 0.0), 1.0)
