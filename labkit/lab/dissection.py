"""What stands where in a packet: a reader that follows the tables of `labkit.lab.headers`.

    found = dissect(packet)                 an IP packet; `link=1` for an Ethernet frame
    found["TCP"]["window"]                  a field by its name
    for layer in found.layers: ...          every layer, with every field and its place in bits

Whether the bytes make sense is not judged here: `labkit.wire` does that, and what its parser says
is kept in `problem`. Bytes that are cut off, or not known, are a field called "bytes". This module
never raises for what the bytes are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from labkit.lab.headers import (
    BLOCK,
    COOKED,
    COOKED2,
    CSRC,
    ETHER,
    EXTENSION,
    FRAME,
    IPV4,
    IPV6,
    ITEMS,
    LOOPBACK,
    MINIRTP,
    PROTOCOLS,
    RTCP,
    RTCP_TYPES,
    RTP,
    SENDER_INFO,
    SSRC,
    TCP,
    TCP_OPTIONS,
    UDP,
    VLAN,
    Field,
    Header,
)
from labkit.lab.laterlayers import datagram_layer, igmp, stream_layer
from labkit.wire import framing, minirtp, rtcp, rtp
from labkit.wire.ip import PROTOCOL_TCP, PROTOCOL_UDP
from labkit.wire.linklayer import (
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    TYPE_IPV4,
    TYPE_IPV6,
    VLAN_TAGS,
)
from labkit.words.errors import WireError

LINKTYPE_IP: Final = 101
PROTOCOL_IGMP: Final = 2
RTCP_RANGE: Final = range(192, 224)
"""What RTCP has as its second byte: RFC 5761 section 4."""
SRTCP_LEAST: Final = 8 + 4 + 4
"""A header with its SSRC, an index, and the shortest tag."""


class Part(NamedTuple):
    """A field that was found. `start` and `bits` count bits, from the start of the packet."""

    name: str
    start: int
    bits: int
    value: int
    """As a number; of a text or of a payload it is the length."""
    text: str


@dataclass(slots=True)
class Layer:
    """A header that was found, and what belongs to it."""

    name: str
    spec: str
    parts: list[Part] = field(default_factory=list)

    def __getitem__(self, name: str) -> int:
        """The value of the first field of that name."""
        return next(part.value for part in self.parts if part.name == name)

    def get(self, name: str) -> int | None:
        """The same, or None when there is no such field."""
        return next((part.value for part in self.parts if part.name == name), None)

    def text(self, name: str) -> str:
        """The first field of that name, in words."""
        return next(part.text for part in self.parts if part.name == name)


@dataclass(slots=True)
class Dissection:
    """A packet and what stands where in it."""

    data: bytes
    layers: list[Layer] = field(default_factory=list)
    problem: WireError | None = None
    """What `labkit.wire` has against the innermost protocol."""

    def __getitem__(self, name: str) -> Layer:
        """The first layer of that name; `KeyError` when there is none."""
        layer = self.get(name)
        if layer is None:
            raise KeyError(name)
        return layer

    def get(self, name: str) -> Layer | None:
        """The first layer of that name, or None."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def parts(self) -> Iterator[tuple[Layer, Part]]:
        """Every field of every layer, in the order of the wire."""
        for layer in self.layers:
            for part in layer.parts:
                yield layer, part


class Reader:
    """Walks through one packet; every method reads one layer and calls the next."""

    def __init__(self, data: bytes, *, quic: bool = False) -> None:
        self.found = Dissection(data)
        self.quic = quic
        self.data = data
        self.at = 0
        self.end = len(data)

    # Tools

    @property
    def left(self) -> bytes:
        """What is not read yet of what belongs here."""
        return self.data[self.at : self.end]

    def begin(self, name: str, spec: str = "") -> Layer:
        """A new layer without fields."""
        layer = Layer(name, spec)
        self.found.layers.append(layer)
        return layer

    def header(self, header: Header) -> Layer | None:
        """The next header; None when it is cut off, and then its bytes are shown as such."""
        layer = self.begin(header.name, header.spec)
        if self.end - self.at < header.size:
            self.rest(layer, "cut off")
            return None
        self.fields(layer, header.fields)
        return layer

    def fields(self, layer: Layer, fields: tuple[Field, ...]) -> bool:
        """The next fields of a layer; False when they are cut off."""
        size = sum(f.bits for f in fields) // 8
        if self.end - self.at < size:
            self.rest(layer, "cut off")
            return False
        number, left = int.from_bytes(self.data[self.at : self.at + size]), size * 8
        for name, bits, say in fields:
            left -= bits
            value = number >> left & ((1 << bits) - 1)
            start = (self.at + size) * 8 - left - bits
            layer.parts.append(Part(name, start, bits, value, say(value)))
        self.at += size
        return True

    def take(self, layer: Layer, name: str, size: int, text: str = "") -> None:
        """The next `size` bytes as one field."""
        size = max(min(size, self.end - self.at), 0)
        if size:
            words = text or f"{size} byte{'s' if size > 1 else ''}"
            layer.parts.append(Part(name, self.at * 8, size * 8, size, words))
            self.at += size

    def rest(self, layer: Layer, name: str) -> None:
        """Whatever is left."""
        self.take(layer, name, self.end - self.at)

    def within(self, end: int) -> int:
        """Nothing from `end` on belongs to what comes next; where the end was before."""
        whole, self.end = self.end, min(self.end, max(end, self.at))
        return whole

    def judged(self, parser: Callable[[bytes], object]) -> None:
        """Ask `labkit.wire` what it thinks of what is left."""
        try:
            parser(self.left)
        except WireError as error:
            self.found.problem = error

    # Link layers

    def link(self, link: int) -> None:
        """What a LINKTYPE says that the packet begins with."""
        if link in RAW:
            self.ip()
        elif link in (NULL, LOOP):
            if self.header(LOOPBACK):
                self.ip()
        elif link in (ETHERNET, SLL, SLL2):
            table = {ETHERNET: ETHER, SLL: COOKED, SLL2: COOKED2}[link]
            layer = self.header(table)
            kind = layer["type"] if layer else 0
            while kind in VLAN_TAGS:
                tag = self.header(VLAN)
                kind = tag["type"] if tag else 0
            self.ip() if kind in (TYPE_IPV4, TYPE_IPV6) else self.unknown()
        else:
            self.unknown()

    def unknown(self, name: str = "data") -> None:
        """What is left, if anything, as a layer of its own."""
        if self.at < self.end:
            self.rest(self.begin(name), "bytes")

    # IP

    def ip(self) -> None:
        """IPv4 or IPv6, as the first four bits say."""
        version = self.data[self.at] >> 4 if self.at < self.end else 0
        if version == 6:
            layer, begin = self.header(IPV6), self.at
            if layer:
                self.within(begin + layer["payload length"])
                self.transport(layer["protocol"])
        elif version == 4:
            begin = self.at
            layer = self.header(IPV4)
            if layer:
                self.within(begin + layer["total length"])
                self.take(layer, "options", begin + 4 * layer["header length"] - self.at)
                later = layer["fragment offset"] > 0
                self.fragment(layer) if later else self.transport(layer["protocol"])
        else:
            self.unknown()

    def fragment(self, layer: Layer) -> None:
        """A later part of a datagram that was cut: it has no other header."""
        self.rest(layer, "a later fragment")

    def transport(self, protocol: int) -> None:
        """What IP carries."""
        if protocol == PROTOCOL_TCP:
            self.tcp()
        elif protocol == PROTOCOL_UDP:
            if layer := self.header(UDP):
                self.within(self.at - UDP.size + layer["length"])
                self.datagram()
        elif protocol == PROTOCOL_IGMP:
            igmp(self)
        else:
            self.unknown(PROTOCOLS.get(protocol, "data"))

    def tcp(self) -> None:
        """The header with its options, then a piece of the stream."""
        begin = self.at
        layer = self.header(TCP)
        if not layer:
            return
        whole, self.end = self.end, min(self.end, begin + 4 * layer["data offset"])
        while self.at < self.end:
            self.tcp_option(layer)
        self.end = whole
        self.stream()

    def tcp_option(self, layer: Layer) -> None:
        """One option."""
        kind = self.data[self.at]
        name, inside = TCP_OPTIONS.get(kind, (f"option {kind}", ()))
        if kind < 2:
            self.take(layer, name, 1, "")
            return
        size = self.data[self.at + 1] if self.at + 1 < self.end else 0
        if size < 2:
            self.rest(layer, "malformed option")
            return
        until = self.at + size
        self.take(layer, name, 2, f"kind {kind}, {size} bytes")
        width = sum(f.bits for f in inside) // 8
        while width and until - self.at >= width and self.fields(layer, inside):
            pass
        self.take(layer, f"rest of option {kind}", until - self.at)

    # What is inside, as far as its first bytes tell

    def datagram(self) -> None:
        """What UDP carries, as its first bytes tell."""
        data = self.left
        if later := datagram_layer(data, quic=self.quic):
            later(self)
        elif len(data) >= rtp.HEADER_SIZE - 4 and data[0] >> 6 == 2:
            self.rtcp() if rtcp.is_rtcp(data) else self.rtp()
        elif _looks_ours(data, MINIRTP.size):
            self.judged(minirtp.unpack)
            if layer := self.header(MINIRTP):
                self.rest(layer, "payload")
        else:
            self.unknown()

    def stream(self) -> None:
        """TCP keeps no boundaries: a segment may begin, and end, in the middle of a frame."""
        if later := stream_layer(self.left):
            later(self)
            return
        self.frames()
        if self.at < self.end:
            self.rest(self.begin("stream"), "bytes of a frame")

    def frames(self) -> bool:
        """Our frames, as long as there are some; whether there was one."""
        begin = self.at
        while _looks_ours(self.left, FRAME.size):
            layer = self.header(FRAME)
            assert layer
            self.take(layer, "payload", layer["len"])
        return self.at > begin

    def rtp(self) -> None:
        """RTP, with what may stand between its header and its payload."""
        self.judged(rtp.parse)
        padding = self.data[self.end - 1]
        layer = self.header(RTP)
        if not layer:
            return
        for _ in range(layer["CC"]):
            self.fields(layer, CSRC)
        if layer["X"] and self.fields(layer, EXTENSION):
            self.take(layer, "extension", 4 * layer["words"])
        padding = padding if layer["P"] and not self.found.problem else 0
        self.take(layer, "payload", self.end - padding - self.at)
        self.rest(layer, "padding")

    def rtcp(self) -> None:
        """RTCP: one packet after the other."""
        if _looks_closed(self.left):
            self.srtcp()
            return
        self.judged(rtcp.unpack)
        whole = self.end
        while self.at < whole:
            begin = self.at
            layer = self.header(RTCP)
            if not layer:
                return
            layer.name = _rtcp_name(layer)
            self.end = min(whole, begin + 4 * layer["length"] + 4)
            self.report(layer)
            self.rest(layer, "bytes")
            self.end = whole

    def srtcp(self) -> None:
        """The eight bytes that stay in the clear: RFC 3711 section 3.4."""
        if layer := self.header(RTCP):
            layer.name, layer.spec = f"S{_rtcp_name(layer)}", "RFC 3711 section 3.4"
            self.fields(layer, SSRC)
            self.rest(layer, "encrypted, then index and tag")

    def report(self, layer: Layer) -> None:
        """What one packet of RTCP says."""
        kind, count = layer["packet type"], layer["count"]
        if kind == rtcp.PacketType.SDES:
            for _ in range(count):
                self.chunk(layer)
            return
        if kind == rtcp.PacketType.BYE:
            for _ in range(count):
                self.fields(layer, SSRC)
            if self.at < self.end:
                reason = self.data[self.at + 1 : self.end].rstrip(b"\0").decode(errors="replace")
                self.take(layer, "reason", self.end - self.at, reason)
            return
        if kind not in (rtcp.PacketType.SR, rtcp.PacketType.RR) or not self.fields(layer, SSRC):
            return
        if kind == rtcp.PacketType.SR and not self.fields(layer, SENDER_INFO):
            return
        for _ in range(count):
            self.fields(layer, BLOCK)

    def chunk(self, layer: Layer) -> None:
        """What a source says of itself: items until a zero, then zeros to the next word."""
        if not self.fields(layer, SSRC):
            return
        while self.at + 1 < self.end and self.data[self.at]:
            kind, size = self.data[self.at], self.data[self.at + 1]
            name = ITEMS.get(kind, f"item {kind}")
            text = self.data[self.at + 2 : min(self.at + 2 + size, self.end)]
            self.take(layer, name, 2, f"item {kind}, {size} bytes")
            self.take(layer, f"{name} text", size, text.decode(errors="replace"))
        beyond_a_word = (self.at - layer.parts[0].start // 8) % 4
        self.take(layer, "end of chunk", 4 - beyond_a_word if self.at < self.end else 0)


def _rtcp_name(layer: Layer) -> str:
    return f"RTCP {RTCP_TYPES.get(layer['packet type'], '')}".strip()


def _looks_closed(data: bytes) -> bool:
    """Whether RTCP ends behind its first packet, and something else follows: SRTCP."""
    end = 4 * int.from_bytes(data[2:4]) + 4
    rest = data[end : end + 2]
    return (
        len(rest) == 2
        and len(data) >= SRTCP_LEAST
        and not (rest[0] >> 6 == 2 and rest[1] in RTCP_RANGE)
    )


def _looks_ours(data: bytes, size: int) -> bool:
    """Whether these bytes can begin a frame or a datagram of ours."""
    if len(data) < size or data[0] != framing.VERSION or data[1] >= len(framing.KINDS):
        return False
    return size == MINIRTP.size or int.from_bytes(data[8:12]) <= framing.MAX_PAYLOAD


def dissect(data: bytes, link: int = LINKTYPE_IP, *, quic: bool = False) -> Dissection:
    """What stands where in a packet: an IP packet, or what a LINKTYPE of tcpdump's list says.

    `quic`: its flow is known to be QUIC's, which a packet after the handshake does not tell.
    """
    reader = Reader(data, quic=quic)
    reader.link(link)
    return reader.found


STARTS: Final = {
    "IP": "ip", "TCP": "tcp", "datagram": "datagram", "stream": "stream", "RTP": "rtp",
    "RTCP": "rtcp",
}  # fmt: skip


def dissect_payload(data: bytes, what: str = "datagram") -> Dissection:
    """The same for bytes without headers around them, such as `rtp.pack` gives.

    `what` they are: a "datagram" (RTP, RTCP or ours, as its first bytes tell) or a piece of a
    "stream" of our frames.
    """
    reader = Reader(data)
    getattr(reader, STARTS[what])()
    return reader.found
