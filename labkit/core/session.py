"""What the three sessions have in common.

A session is one conversation with one peer: it turns packets into bytes of its wire and back,
opens and ends the conversation, and counts. There are three, and what is above them cannot tell
them apart:

- `StreamSession` (weeks 3 and 4): our framing over a byte stream
- `DatagramSession` (week 5): our own header over datagrams
- `RtpSession` (weeks 7 and 8): RTP and RTCP

All three keep the same manners. A receiver asks for the stream, and asks again every few seconds
as a sign of life; the sender answers each time, so that both are heard even when nobody speaks.
Whoever hears nothing for long gives up, and whoever leaves says goodbye. `Limits` has the numbers.

This module knows no wire format and no codec.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from labkit.core.flowcontrol import Drop
from labkit.words.errors import AuthenticationError, RemoteProtocolError, WireError
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds


class Role(Enum):
    """Which end of the conversation a session is."""

    SENDER = "sender"
    """Waits to be asked for the stream, then sends it."""
    RECEIVER = "receiver"
    """Asks for the stream."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session waits, in nanoseconds, and how much it keeps."""

    join_interval: int = ms(200)
    """Between two askings, over datagrams: any of them may be lost."""
    answer: int = seconds(5)
    """How long an answer is waited for, or on a stream the end: then the peer is not there."""
    keep_alive: int = seconds(2)
    """Between two askings of a receiver that has been answered."""
    silence: int = seconds(15)
    """How long nothing is heard before the peer counts as gone. Seven signs of life fit into it:
    at 20 % loss, all of them are lost once in two days. RTP has its own rule: five intervals of
    RTCP, of five seconds or more each (RFC 3550 sections 6.2 and 6.3.5)."""
    goodbyes: int = 3
    """BYEs sent over datagrams, `join_interval` apart, when nobody confirms one."""
    queue: int = 50
    """Media frames kept for a stream that is full: one second of 20 ms frames."""
    drop: Drop = Drop.OLDEST
    """Which of them go when there are more. A packet with the marker is a key point: one can begin
    to listen there, because a silence was before it (RFC 3551 section 4.1)."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """The conversation is open.

    At the sender: a receiver asked for the stream. At the receiver: the sender answered, and
    `description` is its SDP. RTP carries none: there it is the one that the session was made with.
    """

    description: str = ""


@dataclass(slots=True)
class Received(Event):
    """A media packet arrived at `now`. Not frozen, because one is made for every packet."""

    packet: Packet
    now: int


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """What could not be read, came at a wrong moment or is not authentic: dropped and counted."""

    error: WireError | RemoteProtocolError | AuthenticationError


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

    `clean`: as agreed, with a BYE. `by`: "us" or "peer".
    """

    clean: bool
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Stats:
    """What a session has counted so far. A stream loses nothing: it only counts what it moved."""

    sent: int = 0
    """Media packets."""
    sent_octets: int = 0
    """Bytes of payload in them."""
    dropped: int = 0
    """Those of them that never left: the wire was full."""
    received: int = 0
    """Media packets, duplicates included."""
    expected: int = 0
    """By the sequence numbers, from the first to the highest."""
    duplicates: int = 0
    reordered: int = 0
    """Packets that came after one with a higher sequence number."""
    jitter: int | None = None
    """RFC 3550's interarrival jitter, in nanoseconds; None where nobody measures it."""
    round_trip: int | None = None
    """In nanoseconds, where the protocol measures it."""

    def followed_by(self, later: "Stats") -> "Stats":
        """What two sessions of one listener counted, one after the other."""
        return Stats(
            sent=self.sent + later.sent,
            sent_octets=self.sent_octets + later.sent_octets,
            dropped=self.dropped + later.dropped,
            received=self.received + later.received,
            expected=self.expected + later.expected,
            duplicates=self.duplicates + later.duplicates,
            reordered=self.reordered + later.reordered,
            jitter=later.jitter,
            round_trip=later.round_trip,
        )

    @property
    def lost(self) -> int:
        """Packets that never came, so far."""
        return self.expected - self.received + self.duplicates

    @property
    def loss(self) -> float:
        """The share of packets that never came: 0 to 1."""
        return self.lost / self.expected if self.expected else 0.0


class Session(Protocol):
    """The face that endpoints use, beside the verbs of a machine.

    A session is made with the role it plays: `Role.SENDER` waits to be joined and sends media,
    `Role.RECEIVER` joins and receives it.
    """

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received. `Closed` is among the events, or was."""

    @property
    def stats(self) -> Stats:
        """What was counted so far."""

    @property
    def ready(self) -> bool:
        """Whether `send` may be called: after `Joined`, before `close` and the peer's BYE."""

    @property
    def wants_close(self) -> bool:
        """Everything is said: the driver may close the connection or the socket."""

    def send(self, packet: Packet, now: int) -> None:
        """Send one media packet. `LocalProtocolError` before the peer joined or after the end."""

    def close(self, now: int) -> None:
        """End in order: what is queued, then BYE or end of stream. Twice does no harm."""
