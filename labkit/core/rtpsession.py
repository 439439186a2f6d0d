"""A conversation in RTP and RTCP: RFC 3550 (week 7).

Media goes as RTP. RTCP goes beside it, on the same port unless told otherwise (RFC 5761), and
says how the media arrives: a receiver report names loss and jitter, a sender report carries the
sender's clock, and from the two together the round trip is known without any common clock.

A receiver that knows its `peer` joins by an empty report with its name, repeated until something
comes back: media, or a report when there is none yet. A sender that is given a `peer` pushes: it
is joined at once and needs no answer, which suits players that wait silently (FFmpeg, GStreamer).

Streams are told apart by SSRC. When one starts, two packets must follow each other before any is
delivered (appendix A.1, see `rtpsource`). When the peer uses our SSRC, we take another (section
8.2). When the stream last heard says BYE, so do we. In a `group` of multicast listeners come and
go, and only the BYE of somebody who sends media is the end.

This module knows no codec, no socket and no wallclock: `wallclock_offset` is what must be added to
`now` to get Unix time in nanoseconds, and nothing but sender reports depends on it.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from labkit.core.conversation import Conversation, Phase
from labkit.core.fanout import Tally
from labkit.core.reception import count
from labkit.core.rtcptimer import RtcpTimer
from labkit.core.rtpsource import MAX_SOURCES, Sources
from labkit.core.session import DEFAULT_LIMITS, Limits, Received, Report, Role, Stats
from labkit.wire import rtcp, rtp
from labkit.words.errors import WireError
from labkit.words.machine import Address, Datagram
from labkit.words.packet import Packet
from labkit.words.seqnum import add32, ahead32
from labkit.words.units import (
    SAMPLE_RATE,
    ns_to_ticks,
    ntp_between,
    ntp_short,
    ntp_short_to_ns,
    ntp_time,
    seconds,
    ticks_to_ns,
)

SPOKEN_FOR: Final = 3
"""RTCP intervals that a session leaves the word to who reports for all (`labkit.core.fanout`).

Then it has two of them left to be heard itself, before the peer's patience ends.
"""
PATIENCE: Final = 5
"""RTCP intervals without a word after which a member counts as gone (section 6.3.5)."""
USUAL_INTERVAL: Final = seconds(5)
"""What they are at least, however often we report ourselves: the peer may not (section 6.2)."""
ALONE: Final = (2, 1)
"""Members and senders, as each listener sees it."""

_MEETING: Final = (Phase.WAITING, Phase.OPEN)


@dataclass(frozen=True, slots=True)
class RtpHeader:
    """The fixed header of a stream, and what its reports say: the same for everybody who gets it.

    `interval`, in nanoseconds, and `bandwidth`, in bits a second, decide when reports are due.
    """

    ssrc: int
    cname: str
    clock_rate: int
    wallclock_offset: int
    interval: int
    bandwidth: int

    def pack(self, packet: Packet) -> bytes:
        """One RTP packet."""
        return rtp.pack(packet if packet.ssrc == self.ssrc else packet._replace(ssrc=self.ssrc))

    def reporter(self) -> "StreamReporter":
        """Sender reports to all (section 6.4.1)."""
        return StreamReporter(self)

    def name(self) -> bytes:
        """The SDES that goes with every report."""
        return rtcp.pack(rtcp.SourceDescription.named(self.ssrc, self.cname))

    def sender_report(
        self,
        tally: Tally,
        now: int,
        sent: tuple[int, int],
        blocks: tuple[rtcp.ReportBlock, ...] = (),
    ) -> bytes:
        """How much was `sent`, packets and octets, and the media time of this moment.

        That is as a microphone that never stops would count it: a packet is sent when its last
        sample exists, and bears the timestamp of its first.
        """
        elapsed = ns_to_ticks(now - tally.at, self.clock_rate) + (tally.packet_ticks or 0)
        timestamp, ntp = add32(tally.timestamp, elapsed), ntp_time(now + self.wallclock_offset)
        return rtcp.pack(rtcp.SenderReport(self.ssrc, ntp, timestamp, *sent, blocks))


class StreamReporter:
    """One clock and one report for all who get a stream."""

    def __init__(self, header: RtpHeader) -> None:
        self._header = header
        self._name = header.name()
        self._timer = RtcpTimer(Random(header.ssrc), header.interval, header.bandwidth)
        self._started = False

    def report(self, tally: Tally, now: int) -> bytes | None:
        """How much was sent since the stream began, when that is due."""
        if not self._started:
            self._started = True
            self._timer.start(now, *ALONE, we_sent=True)
        if now < self._timer.due or not self._timer.expired(now, *ALONE, we_sent=True):
            return None
        sent = (tally.packets, tally.octets)
        data = self._header.sender_report(tally, now, sent) + self._name
        self._timer.count(len(data))
        return data


class RtpSession(Conversation):
    """One end of the conversation.

    `peer` is where RTP goes and the only place it is taken from; RTCP may come from any port of
    the peer's host, and goes to `rtcp_peer`, or to where the peer's RTCP comes from. `ssrc` is our
    own; when None, that of the first packet sent. `bandwidth` is the session's, in bits a second.
    With `group` the peer is many: a group of multicast.
    """

    def __init__(
        self,
        role: Role,
        description: str = "",
        *,
        peer: Address | None = None,
        rtcp_peer: Address | None = None,
        clock_rate: int = SAMPLE_RATE,
        ssrc: int | None = None,
        cname: str = "",
        rtcp_interval: int = USUAL_INTERVAL,
        bandwidth: int = 64_000,
        wallclock_offset: int = 0,
        rng: Random | None = None,
        limits: Limits = DEFAULT_LIMITS,
        group: bool = False,
    ) -> None:
        super().__init__(role, description, peer=peer, limits=limits)
        self._group = group
        self._rng = rng or Random()
        self.rtcp_peer = rtcp_peer
        self.ssrc = self._rng.getrandbits(32) if ssrc is None else ssrc
        self._named = bool(cname)
        drawn = _some_name(self._rng)
        self.cname = cname or (drawn if ssrc is None else _some_name(Random(ssrc)))
        self._name = b""  # packed when the first report is made; the same in every one
        self.round_trip: int | None = None
        self.loops = 0
        """Packets of ours that came back to us (section 8.2)."""
        self._adopts = ssrc is None
        self._pushes = role is Role.SENDER and peer is not None
        self._silence = None if self._pushes else PATIENCE * max(rtcp_interval, USUAL_INTERVAL)
        self._clock_rate = clock_rate
        self._wallclock_offset = wallclock_offset
        self._rtcp = (rtcp_interval, bandwidth)
        self._timer = RtcpTimer(self._rng, rtcp_interval, bandwidth)
        self._sources = Sources()
        self._conflicts: set[Address] = set()
        self._rtcp_from: Address | None = None
        self._spoke = False
        self._sent_before = (0, 0)  # at the last report and at the one before

    @property
    def stats(self) -> Stats:
        """What was counted so far; of several streams, the newest."""
        newest = self._sources.newest
        reception = newest.reception if newest else None
        return count(
            reception,
            sent=self._sent,
            sent_octets=self._sent_octets,
            round_trip=self.round_trip,
        )

    @property
    def header(self) -> RtpHeader | None:
        """Named by the SSRC; None while that is still to be the first packet's."""
        return None if self._adopts else self._own_header()

    @property
    def reports_to(self) -> Address | None:
        """Where RTCP goes."""
        return self.rtcp_peer or self._rtcp_from or self.peer

    def spoken(self, timestamp: int) -> int | None:
        """When the sample with this timestamp was captured, on our clock (section 6.4.1).

        The newest stream's last sender report says which media time its wallclock stood at, so
        this is true where both wallclocks are one: on one machine, or when both are kept by NTP
        or PTP, and then as good as they are. None before the first report.
        """
        source = self._sources.newest
        if source is None or source.sr_instant is None:
            return None
        ticks = ahead32(timestamp, source.sr_timestamp)
        return source.sr_instant + ticks_to_ns(ticks, self._clock_rate)

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet. `LocalProtocolError` before the peer joined and after the end."""
        self._require_ready()
        if packet.ssrc != self.ssrc:
            packet = self._stamp(packet, now)
        self._out.append(Datagram(rtp.pack(packet), self.peer))
        self.tally.count(packet, now)

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network."""
        if self.phase is Phase.NEW:
            self._start(now)
        try:
            if rtcp.is_rtcp(data):
                if self._reports(source):
                    packets = rtcp.unpack(data)
                    self._timer.count(len(data))
                    self._receive_rtcp(packets, source, now)
                else:
                    self.strangers += 1
            elif source == self.peer or (self.peer is None and self.role is Role.RECEIVER):
                self._receive_rtp(rtp.unpack(data), source, now)
            else:
                self.strangers += 1
        except WireError as error:
            self._refuse(error)

    # RTP --------------------------------------------------------------------------------------

    def _receive_rtp(self, packet: Packet, source: Address, now: int) -> None:
        if self.phase not in _MEETING:
            return
        origin = self._sources.by_ssrc.get(packet.ssrc)
        if origin is None or origin.reception is None or not origin.reception.update(packet, now):
            self._receive_new(packet, source, now)
            return
        origin.heard = self._heard = now
        self._events.append(Received(packet, now))

    def _receive_new(self, packet: Packet, address: Address, now: int) -> None:
        """A packet of an unknown stream, or far from where the known one was."""
        if packet.ssrc == self.ssrc and self._is_loop(address, now):
            return
        origin = self._sources.heard(packet.ssrc, now)
        valid = origin.probe(Received(packet, now), self._clock_rate)
        if not valid:
            return
        self._sources.newest = origin
        self.peer = address
        self._meet(now)
        self._events += valid

    def _stamp(self, packet: Packet, now: int) -> Packet:
        if packet.ssrc and self._adopts:
            self._rename(packet.ssrc, now)
            if not self._named:
                self.cname = _some_name(Random(self.ssrc))
            return packet
        return packet._replace(ssrc=self.ssrc)

    # RTCP in ----------------------------------------------------------------------------------

    def _reports(self, address: Address) -> bool:
        """Whether RTCP is taken from there: FFmpeg sends it from the port after RTP's."""
        if self.peer is None:
            return self.role is Role.SENDER
        return address in (self.peer, self.rtcp_peer) or _host(address) == _host(self.peer)

    def _receive_rtcp(self, packets: list[rtcp.RtcpPacket], address: Address, now: int) -> None:
        if self.phase in _MEETING:
            ours = any(getattr(packet, "ssrc", None) == self.ssrc for packet in packets)
            if (ours and self._is_loop(address, now)) or not self._greet(packets, address, now):
                return
        for packet in packets:
            match packet:
                case rtcp.SenderReport(ssrc, ntp, timestamp, reports=reports):
                    origin = self._sources.heard(ssrc, now)
                    origin.sr_ntp, origin.sr_arrived = ntp_short(ntp), now
                    origin.sr_timestamp = timestamp
                    origin.sr_instant = now - ntp_between(ntp, self._ntp(now))
                    self._receive_blocks(reports, now)
                case rtcp.ReceiverReport(ssrc, reports):
                    self._sources.heard(ssrc, now)
                    self._receive_blocks(reports, now)
                case rtcp.Bye(ssrcs):
                    self._lose(ssrcs, now)

    def _greet(self, packets: list[rtcp.RtcpPacket], address: Address, now: int) -> bool:
        """Note where the peer speaks from.

        False for a goodbye of somebody who never came, and for a report about what we have not
        sent yet: whoever makes it had listened to us before, has left, and it was overtaken.
        """
        if self.peer is None:
            if any(isinstance(packet, rtcp.Bye) or self._is_about_us(packet) for packet in packets):
                return False
            self.peer = address
        if address != self.peer:
            self._rtcp_from = address
        silent = self.phase is Phase.OPEN and not self._spoke and not self._sent
        if silent and self.role is Role.SENDER and not self._pushes:
            self._send_rtcp(self._report(now))  # it asks again: nothing has answered
        self._meet(now)
        return True

    def _is_about_us(self, packet: rtcp.RtcpPacket) -> bool:
        blocks = getattr(packet, "reports", ())
        return any(block.ssrc == self.ssrc for block in blocks)

    def _receive_blocks(self, blocks: tuple[rtcp.ReportBlock, ...], now: int) -> None:
        for block in blocks:
            if block.ssrc == self.ssrc and self.phase is not Phase.CLOSED:
                if block.lsr:
                    self.round_trip = self._measure(block, now)
                self._events.append(self._event(block, ours=False))

    def _measure(self, block: rtcp.ReportBlock, now: int) -> int:
        """Section 6.4.1: the time since our report, less what the peer kept it."""
        passed = ahead32(ntp_short(self._ntp(now)), block.lsr)
        return ntp_short_to_ns(max(passed - block.dlsr, 0))

    def _lose(self, ssrcs: tuple[int, ...], now: int) -> None:
        """BYE. A peer is gone when its last stream says so, a group when its speaker does."""
        for ssrc in ssrcs:
            spoke, last = self._sources.speaks(ssrc), self._sources.lose(ssrc)
            if spoke if self._group else last:
                self._receive_bye(now)

    # RTCP out ---------------------------------------------------------------------------------

    def _ask(self, now: int) -> None:
        self._send_rtcp(self._report(now))

    def _keep_up(self, now: int) -> int | None:
        if self.tally.reported is not None and self._spoke:
            spoken_for = self.tally.reported + SPOKEN_FOR * self._rtcp[0]
            if now < spoken_for:
                return spoken_for
        members, senders, we_sent = self._census()
        if self._timer.expired(now, members, senders, we_sent=we_sent):
            self._send_rtcp(self._report(now))
            self._sent_before = (self._sent, self._sent_before[0])
        return self._timer.due

    def _say_bye(self, now: int) -> None:
        self._send_rtcp(self._report(now) + rtcp.pack(rtcp.Bye((self.ssrc,))))

    def _report(self, now: int) -> bytes:
        """A report, as sender or receiver, and our name: what every compound begins with."""
        blocks = self._sources.blocks(now)
        self._events += [self._event(block, ours=True) for block in blocks]
        if not self._name:
            self._name = self._own_header().name()
        if not self._we_sent:
            return rtcp.pack(rtcp.ReceiverReport(self.ssrc, blocks)) + self._name
        sent = (self._sent, self._sent_octets)
        return self._own_header().sender_report(self.tally, now, sent, blocks) + self._name

    def _send_rtcp(self, data: bytes) -> None:
        self._timer.count(len(data))
        self._spoke = True
        self._out.append(Datagram(data, self.reports_to))

    # Members ----------------------------------------------------------------------------------

    def _start(self, now: int) -> None:
        super()._start(now)
        if self._pushes:
            self._meet(now)

    def _meet(self, now: int) -> None:
        self._heard = now
        if self.phase is not Phase.WAITING:
            return
        members, senders, we_sent = self._census()
        self._timer.start(now, members, senders, we_sent=we_sent)
        self._join(now, self._timer.due)

    @property
    def _we_sent(self) -> bool:
        """Since the report before the last one."""
        return self._sent > self._sent_before[1]

    def _census(self) -> tuple[int, int, bool]:
        """Members, senders among them, and whether we are one (section 6.3)."""
        we_sent = self._we_sent
        return 1 + len(self._sources.by_ssrc), self._sources.senders() + we_sent, we_sent

    def _is_loop(self, address: Address, now: int) -> bool:
        """Somebody uses our SSRC (section 8.2): once it is a collision, twice from there a loop.

        After a collision we have another SSRC, and what came is the peer's.
        """
        if address in self._conflicts:
            self.loops += 1
            return True
        if len(self._conflicts) < MAX_SOURCES:
            self._conflicts.add(address)
        self._rename(self._rng.getrandbits(32), now)
        return False

    def _rename(self, ssrc: int, now: int) -> None:
        """Take another SSRC; who heard of the old one is told that it is gone."""
        known = self._spoke or self._sent
        old, self.ssrc = self.ssrc, ssrc
        self._name = b""
        self._adopts = False
        self._before = (-self.tally.packets, -self.tally.octets)
        self._sent_before = (0, 0)
        if known:
            self._send_rtcp(self._report(now) + rtcp.pack(rtcp.Bye((old,))))

    def _own_header(self) -> RtpHeader:
        return RtpHeader(
            self.ssrc, self.cname, self._clock_rate, self._wallclock_offset, *self._rtcp
        )

    def _ntp(self, now: int) -> int:
        return ntp_time(now + self._wallclock_offset)

    def _event(self, block: rtcp.ReportBlock, *, ours: bool) -> Report:
        return Report(
            block.ssrc,
            ours,
            block.fraction_lost / 256,
            block.cumulative_lost,
            block.highest_seq,
            ticks_to_ns(block.jitter, self._clock_rate),
            self.round_trip,
        )


def _some_name(rng: Random) -> str:
    """A CNAME: random is good (RFC 7022). Drawn from the SSRC, all of a stream have the same."""
    return f"{rng.getrandbits(96):024x}"


def _host(address: Address) -> Address:
    return address[0] if isinstance(address, tuple) and address else address
