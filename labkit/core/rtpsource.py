"""What an RTP session remembers of the SSRCs of its peer (week 7).

A new stream is on probation until two packets follow each other (RFC 3550 appendix A.1): a stray
datagram is no stream. The RFC drops what comes before; here it is held and then delivered and
counted, so a stream loses nothing at its start.

This module knows no network: it says what belongs to the stream, and what to report of it.
"""

from collections import deque
from typing import Final

from labkit.core.reception import MAX_MISORDER, Reception
from labkit.core.session import Received
from labkit.wire.rtcp import ReportBlock
from labkit.words.seqnum import ahead16
from labkit.words.units import ns_to_ntp_short

HELD: Final = 16
"""Packets on probation: if no two of so many follow each other, the oldest goes."""

MAX_SOURCES: Final = 16
"""Streams remembered at a time: whoever forges SSRCs fills no memory."""


class Source:
    """What is remembered of one SSRC of the peer."""

    __slots__ = (
        "heard", "held", "reception", "reported", "sr_arrived", "sr_instant", "sr_ntp",
        "sr_timestamp", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, now: int) -> None:
        self.ssrc = ssrc
        self.heard = now
        self.held: deque[Received] = deque(maxlen=HELD)
        """Packets on probation."""
        self.reception: Reception | None = None
        self.reported = 0
        """Packets received when we last reported."""
        self.sr_ntp = 0
        """The middle 32 bits of its last sender report's clock."""
        self.sr_arrived = 0
        self.sr_timestamp = 0
        """The media time in that report ..."""
        self.sr_instant: int | None = None
        """... and when that was, on our clock, if both wallclocks are one."""

    def probe(self, event: Received, clock_rate: int) -> list[Received]:
        """A.1: once two packets follow each other, all that are held and belong to them."""
        held = self.held
        packet = event.packet
        ahead = ahead16(packet.seq, held[-1].packet.seq) if held else MAX_MISORDER
        if abs(ahead) >= MAX_MISORDER:
            held.clear()
        held.append(event)
        if ahead != 1:
            return []
        first, *rest = held
        held.clear()
        reception = self.reception = Reception(first.packet, first.now, clock_rate)
        self.reported = 0
        return [first, *(e for e in rest if reception.update(e.packet, e.now))]

    def block(self, now: int) -> ReportBlock | None:
        """A report block (section 6.4.1), if anything came since the last one."""
        reception = self.reception
        if reception is None or reception.loss.received == self.reported:
            return None
        loss = reception.loss
        self.reported = loss.received
        return ReportBlock(
            self.ssrc,
            min(int(loss.fraction_lost() * 256), 255),
            min(max(loss.lost, -(1 << 23)), (1 << 23) - 1),
            loss.highest or 0,
            min(reception.jitter.ticks, (1 << 32) - 1),
            self.sr_ntp,
            ns_to_ntp_short(now - self.sr_arrived) if self.sr_ntp else 0,
        )


class Sources:
    """All that were heard, at most `MAX_SOURCES`."""

    def __init__(self) -> None:
        self.by_ssrc: dict[int, Source] = {}
        self.newest: Source | None = None
        """The last one that became a stream."""

    def heard(self, ssrc: int, now: int) -> Source:
        """The source with this SSRC.

        A new one takes the room of the one heard longest ago, first of those that send nothing.
        """
        source = self.by_ssrc.get(ssrc)
        if source is None:
            if len(self.by_ssrc) == MAX_SOURCES:
                del self.by_ssrc[min(self.by_ssrc.values(), key=_worth).ssrc]
            source = self.by_ssrc[ssrc] = Source(ssrc, now)
        source.heard = now
        return source

    def lose(self, ssrc: int) -> bool:
        """This one said BYE. True when it was the last that was heard: then the peer is gone."""
        gone = self.by_ssrc.pop(ssrc, None)
        return gone is not None and all(s.heard < gone.heard for s in self.by_ssrc.values())

    def speaks(self, ssrc: int) -> bool:
        """Whether this one sends media."""
        source = self.by_ssrc.get(ssrc)
        return source is not None and source.reception is not None

    def senders(self) -> int:
        """How many send media."""
        return sum(s.reception is not None for s in self.by_ssrc.values())

    def blocks(self, now: int) -> tuple[ReportBlock, ...]:
        """What there is to report."""
        return tuple(b for s in self.by_ssrc.values() if (b := s.block(now)) is not None)


def _worth(source: Source) -> tuple[bool, int]:
    return source.reception is not None, source.heard
