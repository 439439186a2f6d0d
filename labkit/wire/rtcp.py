"""RTCP, the reports that go with RTP: RFC 3550 section 6 (week 7).

A datagram carries a compound: several RTCP packets one after another, each with its length. The
values here are the packets; `pack` makes a compound of them and `unpack` gives them back.

    >>> data = pack(ReceiverReport(7), SourceDescription.named(7, "ann@example.org"), Bye((7,)))
    >>> unpack(data)[2]
    Bye(ssrcs=(7,), reason='')

`is_rtcp` tells RTCP from RTP where both share one port (RFC 5761).

This module knows no stream and no clock: when to report and what to say is the session's matter
(RFC 3550 sections 6.2 and 6.4). It reads no meaning into extensions, APP data and packet types
that it does not know; it keeps their bytes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from labkit.words.errors import LocalProtocolError, Malformed, Truncated

HEADER: Final = struct.Struct("!BBH")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |V=2|P|  count  |  packet type  |    length in words, minus 1   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |        body: what the packet type says ...

SENDER_INFO: Final = struct.Struct("!IQIII")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                         SSRC of sender                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |     NTP timestamp, 64 bits: 32 of seconds, 32 of fraction     |
# |                                                               |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |              RTP timestamp of the same moment                 |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                     sender's packet count                     |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                      sender's octet count                     |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

BLOCK: Final = struct.Struct("!IIIIII")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                 SSRC of the source reported on                |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# | fraction lost |       cumulative number of packets lost       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |           extended highest sequence number received           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                      interarrival jitter                      |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |          last SR (LSR): the middle 32 bits of its NTP         |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |          delay since last SR (DLSR), in 1/65536 s             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

SSRC: Final = struct.Struct("!I")

PADDING: Final = 1 << 5
MAX_COUNT: Final = 31
"""Report blocks, chunks or sources in one packet: the count has 5 bits."""


class PacketType(IntEnum):
    """RFC 3550 section 12.1."""

    SR = 200
    RR = 201
    SDES = 202
    BYE = 203
    APP = 204


class ItemType(IntEnum):
    """What a source says of itself: RFC 3550 section 12.2."""

    CNAME = 1
    NAME = 2
    EMAIL = 3
    PHONE = 4
    LOC = 5
    TOOL = 6
    NOTE = 7
    PRIV = 8


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source is received: RFC 3550 section 6.4.1."""

    ssrc: int
    """The source reported on."""
    fraction_lost: int
    """Packets lost since the last report, in 1/256: 0 to 255."""
    cumulative_lost: int
    """Packets lost since the start: 24 bits, signed, because duplicates make it negative."""
    highest_seq: int
    """The highest sequence number received, with the number of wraparounds in its upper half."""
    jitter: int
    """In ticks of the media clock."""
    lsr: int = 0
    """The middle 32 bits of the NTP time in the last SR received; 0 when there was none."""
    dlsr: int = 0
    """From that SR's arrival to this report, in 1/65536 s."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """From one who sends, and perhaps receives: RFC 3550 section 6.4.1."""

    ssrc: int
    ntp: int
    """64 bits: wallclock at the moment of sending (`units.ntp_time`)."""
    rtp_timestamp: int
    """The same moment in ticks of the media clock."""
    packet_count: int
    octet_count: int
    """Bytes of payload, without headers and padding."""
    reports: tuple[ReportBlock, ...] = ()
    extension: bytes = b""
    """What a profile put after the blocks (section 6.4.3): whole words, uninterpreted."""


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """From one who only receives: RFC 3550 section 6.4.2."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()
    extension: bytes = b""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a source says of itself."""

    type: int
    value: bytes
    """At most 255 bytes: UTF-8, except that PRIV begins with the length of its prefix."""

    @property
    def text(self) -> str:
        """The value to be read by people; what is no UTF-8 shows as a replacement character."""
        return self.value.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one source says of itself."""

    ssrc: int
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Who the sources are: RFC 3550 section 6.5."""

    chunks: tuple[Chunk, ...] = ()

    @classmethod
    def named(cls, ssrc: int, cname: str) -> "SourceDescription":
        """The one item that every compound must have: the source's lasting name."""
        return cls((Chunk(ssrc, (Item(ItemType.CNAME, cname.encode()),)),))


@dataclass(frozen=True, slots=True)
class Bye:
    """These sources leave: RFC 3550 section 6.6."""

    ssrcs: tuple[int, ...] = ()
    reason: str = ""
    """At most 255 bytes of UTF-8; when read, bytes that are none are left out."""


@dataclass(frozen=True, slots=True)
class App:
    """Something for one application: RFC 3550 section 6.7."""

    ssrc: int
    name: bytes
    """Four bytes of ASCII."""
    data: bytes = b""
    """A whole number of 32-bit words."""
    subtype: int = 0
    """5 bits."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet of another type, uninterpreted: feedback (RFC 4585), RFC 3611 and others."""

    packet_type: int
    count: int
    """The 5 bits after the padding flag, whatever they mean to that type."""
    body: bytes


RtcpPacket: TypeAlias = SenderReport | ReceiverReport | SourceDescription | Bye | App | Unknown


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a port shared with RTP is RTCP: RFC 5761 section 4.

    RTCP's packet types 192 to 223 stand where RTP has its marker and payload type, so on a shared
    port payload types 64 to 95 must not be used.
    """
    return len(data) >= 2 and data[0] >> 6 == 2 and 192 <= data[1] <= 223


# Values to bytes


def pack(*packets: RtcpPacket) -> bytes:
    """One compound of these packets, in this order.

    More than 31 report blocks become several packets: the rest follows in receiver reports.
    `LocalProtocolError` when a value does not fit its field.
    """
    try:
        return b"".join(map(_pack_one, packets))
    except struct.error as error:
        raise LocalProtocolError(f"a value does not fit its field: {error}") from error


def _pack_one(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            p = packet
            head = SENDER_INFO.pack(p.ssrc, p.ntp, p.rtp_timestamp, p.packet_count, p.octet_count)
            return _pack_report(PacketType.SR, head, p)
        case ReceiverReport():
            return _pack_report(PacketType.RR, SSRC.pack(packet.ssrc), packet)
        case SourceDescription(chunks):
            return _frame(PacketType.SDES, len(chunks), b"".join(map(_pack_chunk, chunks)))
        case Bye(ssrcs, reason):
            said = _short(reason.encode(), "reason") if reason else b""
            body = struct.pack(f"!{len(ssrcs)}I", *ssrcs) + said
            return _frame(PacketType.BYE, len(ssrcs), body + bytes(-len(body) % 4))
        case App():
            if len(packet.name) != 4:
                raise LocalProtocolError(f"name {packet.name!r} has not four bytes")
            body = SSRC.pack(packet.ssrc) + packet.name + packet.data
            return _frame(PacketType.APP, packet.subtype, body)
        case Unknown(packet_type, count, body):
            return _frame(packet_type, count, body)


def _frame(packet_type: int, count: int, body: bytes) -> bytes:
    words, rest = divmod(len(body), 4)
    if rest:
        raise LocalProtocolError(f"{len(body)} bytes are no whole number of 32-bit words")
    if not 0 <= count <= MAX_COUNT:
        raise LocalProtocolError(f"{count} does not fit the count's 5 bits")
    return HEADER.pack(2 << 6 | count, packet_type, words) + body


def _pack_report(packet_type: int, head: bytes, report: SenderReport | ReceiverReport) -> bytes:
    first, rest = report.reports[:MAX_COUNT], report.reports[MAX_COUNT:]
    body = head + b"".join(map(_pack_block, first)) + report.extension
    packed = _frame(packet_type, len(first), body)
    return packed + _pack_one(ReceiverReport(report.ssrc, rest)) if rest else packed


def _pack_block(block: ReportBlock) -> bytes:
    lost = block.cumulative_lost
    if not -0x800000 <= lost <= 0x7FFFFF or not 0 <= block.fraction_lost <= 0xFF:
        raise LocalProtocolError(f"{block}: losses do not fit 8 and 24 bits")
    losses = block.fraction_lost << 24 | lost & 0xFFFFFF
    return BLOCK.pack(block.ssrc, losses, block.highest_seq, block.jitter, block.lsr, block.dlsr)


def _pack_chunk(chunk: Chunk) -> bytes:
    """The items end with a zero byte, and then as many as the next 32-bit boundary needs."""
    items = b"".join(_pack_item(item) for item in chunk.items)
    return SSRC.pack(chunk.ssrc) + items + bytes(4 - len(items) % 4)


def _pack_item(item: Item) -> bytes:
    if not 1 <= item.type <= 0xFF:
        raise LocalProtocolError(f"item type {item.type}: 1 to 255, since 0 ends the list")
    return bytes([item.type]) + _short(item.value, "item")


def _short(value: bytes, what: str) -> bytes:
    """A string with its length in one byte before it."""
    if len(value) > 0xFF:
        raise LocalProtocolError(f"{what} of {len(value)} bytes; the length has 8 bits")
    return bytes([len(value)]) + value


# Bytes to values


def unpack(data: bytes, *, reduced_size: bool = False) -> list[RtcpPacket]:
    """The packets of one compound, checked as RFC 3550 appendix A.2 says.

    `reduced_size` allows a datagram that does not begin with a report (RFC 5506).
    `Truncated` when bytes are missing, `Malformed` when a field is wrong. One wrong packet
    refuses the compound: what stands after it cannot be trusted.
    """
    packets: list[RtcpPacket] = []
    start = 0
    while True:
        count, packet_type, end, body_end = _read_header(data, start)
        if not reduced_size and start == 0 and packet_type not in (PacketType.SR, PacketType.RR):
            why = f"a compound begins with {packet_type}, not with SR or RR"
            raise Malformed("PT", 1, why, "RFC 3550 section 6.1")
        packets.append(_parse_body(data, start + HEADER.size, body_end, count, packet_type))
        if end == len(data):
            return packets
        start = end


def _read_header(data: bytes, start: int) -> tuple[int, int, int, int]:
    """Count, packet type, the packet's end, and its end without padding."""
    spec = "RFC 3550 appendix A.2"
    if len(data) - start < HEADER.size:
        raise Truncated("header", start, f"{len(data) - start} bytes of {HEADER.size}", spec)
    first, packet_type, words = HEADER.unpack_from(data, start)
    if first >> 6 != 2:
        raise Malformed("V", start, f"version {first >> 6}, not 2", spec)
    body = start + HEADER.size
    end = body + 4 * words
    if end > len(data):
        raise Truncated("length", start + 2, f"{words + 1} words do not fit", spec)
    padding = 0
    if first & PADDING:
        if end != len(data):
            raise Malformed("P", start, "padding before the last packet", spec)
        padding = data[end - 1]
        if padding == 0 or padding % 4 or padding > end - body:
            why = f"{padding} bytes of padding in {end - body} bytes"
            raise Malformed("padding", end - 1, why, spec)
    return first & MAX_COUNT, packet_type, end, end - padding


def _parse_body(data: bytes, start: int, end: int, count: int, packet_type: int) -> RtcpPacket:
    parse = _PARSERS.get(packet_type)
    if parse is None:
        return Unknown(packet_type, count, data[start:end])
    return parse(data, start, end, count)


def _parse_sr(data: bytes, start: int, end: int, count: int) -> SenderReport:
    _need(SENDER_INFO.size, "sender info", start, end)
    ssrc, ntp, timestamp, sent, octets = SENDER_INFO.unpack_from(data, start)
    blocks, after = _parse_blocks(data, start + SENDER_INFO.size, end, count)
    return SenderReport(ssrc, ntp, timestamp, sent, octets, blocks, data[after:end])


def _parse_rr(data: bytes, start: int, end: int, count: int) -> ReceiverReport:
    _need(SSRC.size, "SSRC", start, end)
    (ssrc,) = SSRC.unpack_from(data, start)
    blocks, after = _parse_blocks(data, start + SSRC.size, end, count)
    return ReceiverReport(ssrc, blocks, data[after:end])


def _parse_blocks(
    data: bytes, start: int, end: int, count: int
) -> tuple[tuple[ReportBlock, ...], int]:
    """`count` report blocks, and where they end."""
    _need(count * BLOCK.size, "report blocks", start, end)
    after = start + count * BLOCK.size
    blocks = []
    for ssrc, losses, *rest in BLOCK.iter_unpack(data[start:after]):
        lost = losses & 0xFFFFFF
        signed = lost - 0x1000000 if lost & 0x800000 else lost
        blocks.append(ReportBlock(ssrc, losses >> 24, signed, *rest))
    return tuple(blocks), after


def _parse_sdes(data: bytes, start: int, end: int, count: int) -> SourceDescription:
    chunks = []
    for _ in range(count):
        _need(SSRC.size, "SSRC", start, end)
        (ssrc,) = SSRC.unpack_from(data, start)
        items, start = _parse_items(data, start + SSRC.size, end)
        chunks.append(Chunk(ssrc, items))
    return SourceDescription(tuple(chunks))


def _parse_items(data: bytes, start: int, end: int) -> tuple[tuple[Item, ...], int]:
    """Items up to the zero byte, and the next 32-bit boundary of the packet after it."""
    items: list[Item] = []
    at = start
    while True:
        _need(1, "SDES item", at, end)
        if data[at] == 0:
            # A chunk starts on a boundary, and so does the packet: count from the chunk.
            return tuple(items), at + 4 - (at - start) % 4
        _need(2, "SDES item", at, end)
        after = at + 2 + data[at + 1]
        _need(after - at, "SDES item", at, end)
        items.append(Item(data[at], data[at + 2 : after]))
        at = after


def _parse_bye(data: bytes, start: int, end: int, count: int) -> Bye:
    _need(4 * count, "SSRC", start, end)
    after = start + 4 * count
    ssrcs = struct.unpack(f"!{count}I", data[start:after])
    if after == end:
        return Bye(ssrcs)
    _need(1 + data[after], "reason", after, end)
    return Bye(ssrcs, data[after + 1 : after + 1 + data[after]].decode(errors="ignore"))


def _parse_app(data: bytes, start: int, end: int, count: int) -> App:
    _need(8, "SSRC and name", start, end)
    (ssrc,) = SSRC.unpack_from(data, start)
    return App(ssrc, data[start + 4 : start + 8], data[start + 8 : end], count)


def _need(size: int, field: str, start: int, end: int) -> None:
    """`Truncated` unless `size` bytes stand between `start` and `end`."""
    if end - start < size:
        why = f"{max(end - start, 0)} bytes of {size}"
        raise Truncated(field, start, why, "RFC 3550 section 6")


_PARSERS: Final[dict[int, Callable[[bytes, int, int, int], RtcpPacket]]] = {
    PacketType.SR: _parse_sr,
    PacketType.RR: _parse_rr,
    PacketType.SDES: _parse_sdes,
    PacketType.BYE: _parse_bye,
    PacketType.APP: _parse_app,
}
