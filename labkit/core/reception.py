"""How one stream arrives: which packets belong to it, and what they count for (week 7).

RFC 3550 appendix A.1 tells a late packet from a sender that started again: a sequence number far
from the highest one belongs to another stream. Each stream has its own meters for loss (A.3) and
jitter (A.8).

This module knows no header and no peer.
"""

from typing import Final

from labkit.core.meters import JitterMeter, StreamStats
from labkit.core.session import Stats
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead16

MAX_DROPOUT: Final = 3000
"""A gap of so many packets, a minute of speech, is a new start (RFC 3550 appendix A.1)."""
MAX_MISORDER: Final = 100
"""A packet that is so many places late, two seconds of speech, is too; so says A.1."""


class Reception:
    """The meters of one stream, from its first packet on."""

    __slots__ = ("_highest", "jitter", "loss")

    def __init__(self, first: Packet, now: int, clock_rate: int) -> None:
        self.loss = StreamStats()
        self.jitter = JitterMeter(clock_rate)
        self._count(first, now)

    def update(self, packet: Packet, now: int) -> bool:
        """Count one packet. False when it does not belong to the stream, and is not counted."""
        if not -MAX_MISORDER < ahead16(packet.seq, self._highest) < MAX_DROPOUT:
            return False
        self._count(packet, now)
        return True

    def _count(self, packet: Packet, now: int) -> None:
        self.loss.add(packet.seq)
        self.jitter.add(packet.timestamp, now)
        assert self.loss.highest is not None
        self._highest = self.loss.highest


def count(
    reception: Reception | None, *, sent: int, sent_octets: int, round_trip: int | None = None
) -> Stats:
    """What a session has counted, with what it received, if it did."""
    if reception is None:
        return Stats(sent=sent, sent_octets=sent_octets, jitter=0, round_trip=round_trip)
    return Stats(
        sent=sent,
        sent_octets=sent_octets,
        received=reception.loss.received,
        expected=reception.loss.expected,
        duplicates=reception.loss.duplicates,
        reordered=reception.loss.reordered,
        jitter=reception.jitter.jitter,
        round_trip=round_trip,
    )
