"""What the three sessions have in common.

A session is one conversation with one peer: it turns packets into bytes of its wire and back,
opens and ends the conversation, and counts. There are three, and what is above them cannot tell
them apart:

- `StreamSession` (weeks 3 and 4): our framing over a byte stream
- `DatagramSession` (week 5): our own header over datagrams
- `RtpSession` (weeks 7 and 8): RTP and RTCP

This module knows no wire format and no codec.
"""

from dataclasses import dataclass
from typing import Protocol

from labkit.words.errors import WireError
from labkit.words.machine import Event
from labkit.words.packet import Packet


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """The conversation is open.

    At the sender: a receiver asked for the stream. At the receiver: the sender answered, and
    `description` is its SDP (empty over RTP, where SDP travels by other means).
    """

    description: str = ""


@dataclass(slots=True)
class Received(Event):
    """A media packet arrived at `now`. Not frozen, because one is made for every packet."""

    packet: Packet
    now: int


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """Bytes that could not be read were dropped and counted."""

    error: WireError


@dataclass(frozen=True, slots=True)
class Report(Event):
    """A reception report, RFC 3550 section 6.4.1: how the stream `ssrc` arrives.

    `ours` is True for a report that we sent about what we receive, False for the peer's about what
    we send. `jitter` and `round_trip` are in nanoseconds; `round_trip` is None until known.
    """

    ssrc: int
    ours: bool
    fraction_lost: float
    cumulative_lost: int
    highest_seq: int
    jitter: int
    round_trip: int | None


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """The conversation is over: the last event of a session.

    `clean`: as agreed (BYE, or end of stream between two frames). `by`: "us" or "peer".
    """

    clean: bool
    by: str
    why: str


class Session(Protocol):
    """The face that endpoints use, beside the verbs of a machine.

    A session is made with the role it plays: `Role.SENDER` waits to be joined and sends media,
    `Role.RECEIVER` joins and receives it.
    """

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received."""

    def send(self, packet: Packet, now: int) -> None:
        """Send one media packet. `LocalProtocolError` before the peer joined or after the end."""

    def close(self, now: int) -> None:
        """End in order: what is queued, then BYE or end of stream. Twice does no harm."""
