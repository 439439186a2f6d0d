"""The headers of the course as tables: the name and the width of each field.

In the order of the wire, with a way to say each value in words. The byte map
(`labkit.lab.bytemap`) draws by these tables, `labkit.lab.dissection` reads by them and the readers
of captures take their figures from that: there is one description of a header for people.
`labkit.wire` has another one for speed; a test holds the two together.

This module reads no bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple

from labkit.wire import framing, rtcp
from labkit.wire.ip import PROTOCOL_TCP, PROTOCOL_UDP
from labkit.wire.linklayer import TYPE_IPV4, TYPE_IPV6


class Field(NamedTuple):
    """One field of a header."""

    name: str
    bits: int
    say: Callable[[int], str] = str
    """Its value in words."""


@dataclass(frozen=True, slots=True)
class Header:
    """One header: what it is called, who says so, and its fields."""

    name: str
    spec: str
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(f.bits for f in self.fields) // 8


# How values are said -------------------------------------------------------------------------


def hexadecimal(digits: int) -> Callable[[int], str]:
    """With so many digits."""
    return lambda value: f"0x{value:0{digits}x}"


def named(names: dict[int, str]) -> Callable[[int], str]:
    """With its name, if it has one."""
    return lambda value: f"{value} ({names[value]})" if value in names else str(value)


def _times(unit: int, what: str) -> Callable[[int], str]:
    return lambda value: f"{value} x {unit} = {value * unit} {what}"


def _ipv4(value: int) -> str:
    return str(ip_address(value.to_bytes(4)))


def _ipv6(value: int) -> str:
    return str(ip_address(value.to_bytes(16)))


def _mac(value: int) -> str:
    return value.to_bytes(6).hex(":")


def _fraction(value: int) -> str:
    return f"{value}/256 = {value / 2.56:.1f} %"


def _signed24(value: int) -> str:
    return str(value - (value >> 23 << 24))


def _short(value: int) -> str:
    return f"{value} = {value / 65.536:.1f} ms"


def _ntp(value: int) -> str:
    return f"{value / 2**32:.6f} s since 1900"


def _cycles(value: int) -> str:
    turns, number = divmod(value, 1 << 16)
    return f"{number}, wrapped {turns} times"


PROTOCOLS: Final = {1: "ICMP", 2: "IGMP", PROTOCOL_TCP: "TCP", PROTOCOL_UDP: "UDP"}
DSCPS: Final = {0: "best effort", 8: "CS1", 34: "AF41", 46: "EF: voice", 48: "CS6"}
TYPES: Final = {TYPE_IPV4: "IPv4", TYPE_IPV6: "IPv6", 0x0806: "ARP", 0x8100: "VLAN"}
KINDS: Final = {int(kind): kind.name for kind in framing.Kind}
PAYLOAD_TYPES: Final = {0: "PCMU", 8: "PCMA", 9: "G.722", 10: "L16 stereo", 11: "L16"}
RTCP_TYPES: Final = {int(kind): kind.name for kind in rtcp.PacketType}
ITEMS: Final = {int(kind): kind.name for kind in rtcp.ItemType}

# The tables: draw them as the documents do, 32 bits to a row ----------------------------------

ETHER: Final = Header("Ethernet", "IEEE 802.3", (
    Field("destination", 48, _mac), Field("source", 48, _mac),
    Field("type", 16, lambda v: f"{v:#06x} ({TYPES.get(v, 'not known')})"),
))  # fmt: skip
VLAN: Final = Header("VLAN", "IEEE 802.1Q", (
    Field("priority", 3), Field("drop eligible", 1), Field("VLAN", 12),
    Field("type", 16, hexadecimal(4)),
))  # fmt: skip
COOKED: Final = Header("Linux cooked", "LINKTYPE_LINUX_SLL", (
    Field("packet type", 16, named({0: "to us", 1: "broadcast", 2: "multicast", 4: "from us"})),
    Field("device type", 16), Field("address length", 16), Field("address", 64, hexadecimal(16)),
    Field("type", 16, hexadecimal(4)),
))  # fmt: skip
COOKED2: Final = Header("Linux cooked", "LINKTYPE_LINUX_SLL2", (
    Field("type", 16, hexadecimal(4)), Field("reserved", 16), Field("interface", 32),
    Field("device type", 16), Field("packet type", 8), Field("address length", 8),
    Field("address", 64, hexadecimal(16)),
))  # fmt: skip
LOOPBACK: Final = Header("Loopback", "LINKTYPE_NULL", (Field("family", 32),))

IPV4: Final = Header("IP", "RFC 791", (
    Field("version", 4), Field("header length", 4, _times(4, "bytes")),
    Field("DSCP", 6, named(DSCPS)), Field("ECN", 2), Field("total length", 16),
    Field("identification", 16, hexadecimal(4)),
    Field("reserved", 1), Field("don't fragment", 1), Field("more fragments", 1),
    Field("fragment offset", 13, _times(8, "bytes")),
    Field("time to live", 8), Field("protocol", 8, named(PROTOCOLS)),
    Field("header checksum", 16, hexadecimal(4)),
    Field("source", 32, _ipv4),
    Field("destination", 32, _ipv4),
))  # fmt: skip
IPV6: Final = Header("IP", "RFC 8200", (
    Field("version", 4), Field("DSCP", 6, named(DSCPS)), Field("ECN", 2),
    Field("flow label", 20, hexadecimal(5)),
    Field("payload length", 16), Field("protocol", 8, named(PROTOCOLS)), Field("hop limit", 8),
    Field("source", 128, _ipv6),
    Field("destination", 128, _ipv6),
))  # fmt: skip
UDP: Final = Header("UDP", "RFC 768", (
    Field("source port", 16), Field("destination port", 16),
    Field("length", 16), Field("checksum", 16, hexadecimal(4)),
))  # fmt: skip
FLAGS: Final = ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")
TCP: Final = Header("TCP", "RFC 9293", (
    Field("source port", 16), Field("destination port", 16),
    Field("sequence number", 32),
    Field("acknowledgment", 32),
    Field("data offset", 4, _times(4, "bytes")), Field("reserved", 4),
    *(Field(flag, 1) for flag in FLAGS),
    Field("window", 16),
    Field("checksum", 16, hexadecimal(4)), Field("urgent pointer", 16),
))  # fmt: skip
TCP_OPTIONS: Final = {
    0: ("end of options", ()),
    1: ("no operation", ()),
    2: ("maximum segment size", (Field("MSS", 16),)),
    3: ("window scale", (Field("shift", 8, lambda v: f"{v}: windows count {1 << v} bytes"),)),
    4: ("SACK permitted", ()),
    5: ("SACK", (Field("left edge", 32), Field("right edge", 32))),
    8: ("timestamps", (Field("TSval", 32), Field("TSecr", 32))),
}  # fmt: skip
"""RFC 9293 section 3.2, RFC 7323, RFC 2018: by kind; kinds 0 and 1 have no length."""

FRAME: Final = Header("frame", "labkit frame", (
    Field("ver", 8), Field("kind", 8, named(KINDS)), Field("seq", 16),
    Field("ts", 32),
    Field("len", 32),
))  # fmt: skip
MINIRTP: Final = Header("minirtp", "labkit datagram", (
    Field("ver", 8), Field("kind", 8, named(KINDS)), Field("seq", 16),
    Field("ts", 32),
))  # fmt: skip

RTP: Final = Header("RTP", "RFC 3550 section 5.1", (
    Field("V", 2), Field("P", 1), Field("X", 1), Field("CC", 4),
    Field("M", 1), Field("PT", 7, named(PAYLOAD_TYPES)), Field("sequence number", 16),
    Field("timestamp", 32),
    Field("SSRC", 32, hexadecimal(8)),
))  # fmt: skip
CSRC: Final = (Field("CSRC", 32, hexadecimal(8)),)
EXTENSION: Final = (Field("defined by profile", 16, hexadecimal(4)), Field("words", 16))

RTCP: Final = Header("RTCP", "RFC 3550 section 6", (
    Field("V", 2), Field("P", 1), Field("count", 5), Field("packet type", 8, named(RTCP_TYPES)),
    Field("length", 16, lambda v: f"{v} + 1 words = {4 * v + 4} bytes"),
))  # fmt: skip
SENDER_INFO: Final = (
    Field("NTP timestamp", 64, _ntp),
    Field("RTP timestamp", 32),
    Field("sender's packet count", 32),
    Field("sender's octet count", 32),
)
SSRC: Final = (Field("SSRC", 32, hexadecimal(8)),)
BLOCK: Final = (
    Field("SSRC reported on", 32, hexadecimal(8)),
    Field("fraction lost", 8, _fraction), Field("packets lost", 24, _signed24),
    Field("highest sequence number", 32, _cycles),
    Field("jitter", 32, lambda v: f"{v} ticks"),
    Field("last SR", 32, hexadecimal(8)),
    Field("delay since last SR", 32, _short),
)  # fmt: skip
