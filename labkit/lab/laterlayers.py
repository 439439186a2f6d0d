"""The headers of weeks 9 to 12, read field by field: HTTP, WebSocket, TLS, DTLS, QUIC, STUN, IGMP.

Each function reads one more protocol with the reader of `labkit.lab.dissection`, which asks
`datagram_layer` and `stream_layer` whose the first bytes are. Layers have Wireshark's names.

- A datagram tells by its first byte: RFC 7983 section 7, RFC 9443 section 3. The short header of
  QUIC looks like nothing; whoever knows that a flow is QUIC's has to say so.
- A segment of TCP tells when it begins with a record of TLS, with the first line of HTTP, or with a
  WebSocket frame that ends in it.

What is encrypted stays closed: it is one field. This module never raises for what the bytes are.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from labkit.lab.headers import Field, Header, hexadecimal, named
from labkit.wire import stun, wsframe
from labkit.wire.stunattributes import COOKIE, Attribute
from labkit.words.errors import WireError

if TYPE_CHECKING:
    from labkit.lab.dissection import Layer, Reader

Read = Callable[["Reader"], None]

HTTP_STARTS: Final = (b"GET ", b"HTTP/1.1 ")
TLS_TYPES: Final = {
    20: "ChangeCipherSpec", 21: "Alert", 22: "Handshake", 23: "ApplicationData",
}  # fmt: skip
HANDSHAKES: Final = {
    1: "ClientHello", 2: "ServerHello", 3: "HelloVerifyRequest", 4: "NewSessionTicket",
    8: "EncryptedExtensions", 11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest",
    14: "ServerHelloDone", 15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished",
}  # fmt: skip
OPCODES: Final = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
FIRST_BYTES: Final = frozenset({0x81, 0x82, 0x88, 0x89, 0x8A})
"""Whole WebSocket messages and control frames: FIN, no extension, a known opcode."""
QUIC_VERSION: Final = 1
QUIC_TYPES: Final = ("Initial", "0-RTT", "Handshake", "Retry")
NAMES: Final = {int(kind): kind.name.replace("_", "-") for kind in Attribute}
IGMP_TYPES: Final = {0x11: "query", 0x16: "v2 report", 0x17: "leave", 0x22: "v3 report"}
RECORD_TYPES: Final = {
    1: "is: these sources", 2: "is: all but these", 3: "now: these sources",
    4: "now: all but these", 5: "also these", 6: "no longer these",
}  # fmt: skip
"""RFC 3376 section 4.2.12. To join a group is "all but none", to leave it "these: none"."""

TLS: Final = Header("TLS", "RFC 8446 section 5.1", (
    Field("content type", 8, named(TLS_TYPES)), Field("version", 16, hexadecimal(4)),
    Field("length", 16),
))  # fmt: skip
DTLS: Final = Header("DTLS", "RFC 6347 section 4.1", (
    Field("content type", 8, named(TLS_TYPES)), Field("version", 16, hexadecimal(4)),
    Field("epoch", 16), Field("sequence number", 48), Field("length", 16),
))  # fmt: skip
HANDSHAKE: Final = (Field("handshake type", 8, named(HANDSHAKES)), Field("message length", 24))
FRAGMENT: Final = (
    Field("message number", 16), Field("fragment offset", 24), Field("fragment length", 24),
)  # fmt: skip
WEBSOCKET: Final = Header("WebSocket", "RFC 6455 section 5.2", (
    Field("FIN", 1), Field("RSV", 3), Field("opcode", 4, named(OPCODES)),
    Field("MASK", 1), Field("payload length", 7),
))  # fmt: skip
STUN: Final = Header("STUN", "RFC 8489 section 5", (
    Field("message type", 16, hexadecimal(4)), Field("message length", 16),
    Field("magic cookie", 32, hexadecimal(8)), Field("transaction ID", 96, hexadecimal(24)),
))  # fmt: skip
ATTRIBUTE: Final = (Field("attribute", 16, hexadecimal(4)), Field("attribute length", 16))
QUIC_LONG: Final = Header("QUIC", "RFC 9000 section 17.2", (
    Field("header form", 1), Field("fixed bit", 1),
    Field("packet type", 2, lambda v: f"{v} ({QUIC_TYPES[v]})"), Field("protected bits", 4),
    Field("version", 32, hexadecimal(8)),
))  # fmt: skip
QUIC_SHORT: Final = Header("QUIC", "RFC 9000 section 17.3", (
    Field("header form", 1), Field("fixed bit", 1), Field("spin bit", 1),
    Field("protected bits", 5),
))  # fmt: skip
IGMP: Final = Header("IGMP", "RFC 3376 section 4", (
    Field("type", 8, named(IGMP_TYPES)), Field("max resp code", 8),
    Field("checksum", 16, hexadecimal(4)),
))  # fmt: skip
IGMP_RECORD: Final = (
    Field("record type", 8, named(RECORD_TYPES)), Field("auxiliary words", 8),
    Field("number of sources", 16), Field("group", 32, lambda v: _dotted(v)),
)  # fmt: skip


def _dotted(value: int) -> str:
    return ".".join(str(byte) for byte in value.to_bytes(4))


STUN_TYPES: Final = {0x0001: "request", 0x0101: "answer", 0x0111: "error", 0x0011: "indication"}
"""Of method Binding: RFC 8489 section 5."""


# Whose is it? --------------------------------------------------------------------------------


def datagram_layer(data: bytes, *, quic: bool = False) -> Read | None:
    """Who reads a datagram; None: nobody here. `quic`: its flow is known to be QUIC's."""
    if not data:
        return None
    first = data[0]
    if first < 4 and data[4:8] == COOKIE.to_bytes(4):
        return _stun
    if 20 <= first <= 23 and data[1:2] == b"\xfe":
        return _dtls
    if is_quic_long(data) or (quic and first >> 6 == 1):
        return _quic
    return None


def is_quic_long(data: bytes) -> bool:
    """Whether a datagram begins with a long header of QUIC version 1."""
    return len(data) > 6 and data[0] >> 6 == 3 and data[1:5] == QUIC_VERSION.to_bytes(4)


def stream_layer(data: bytes) -> Read | None:
    """Who reads a segment of TCP; None: nobody here."""
    if data.startswith(HTTP_STARTS):
        return _http
    if len(data) > 4 and 20 <= data[0] <= 23 and data[1] == 3 and data[2] in (1, 3):
        return _tls
    if len(data) > 1 and data[0] in FIRST_BYTES and wsframe.measure(data)[1] <= len(data):
        return _websocket
    return None


def told(layers: Sequence["Layer"]) -> str:
    """What these layers are, in a few words, for a label; empty when none of them is from here."""
    words = [word for layer in layers if (word := _word(layer))]
    return ", ".join(dict.fromkeys(words))


def _word(layer: "Layer") -> str:
    def named_value(field: str) -> str:
        return layer.text(field).partition("(")[2].rstrip(")")

    match layer.name:
        case "HTTP" if layer.parts:
            return layer.parts[0].text
        case "TLS" | "DTLS" if layer.get("handshake type") in HANDSHAKES:
            return f"{layer.name} {named_value('handshake type')}"
        case "TLS" | "DTLS" if layer.get("length") is not None:
            return f"{layer.name} {named_value('content type')}"
        case "WebSocket" if layer.get("payload length") is not None:
            return f"WebSocket {named_value('opcode')}{', masked' if layer['MASK'] else ''}"
        case "QUIC" if layer.parts:
            return f"QUIC {QUIC_TYPES[layer['packet type']] if layer['header form'] else '1-RTT'}"
        case "STUN" if layer.get("message type") is not None:
            return f"STUN {STUN_TYPES.get(layer['message type'], 'message')}"
        case "IGMP" if layer.get("type") is not None:
            return f"IGMP {named_value('type')}"
    return ""


# Streams -------------------------------------------------------------------------------------


def _http(reader: "Reader") -> None:
    """The first line, and a field for each line that follows: RFC 9112."""
    layer = reader.begin("HTTP", "RFC 9112")
    head, blank, _ = reader.left.partition(b"\r\n\r\n")
    name = "request" if head.startswith(HTTP_STARTS[0]) else "status"
    for line in head.split(b"\r\n"):
        text = line.decode("latin-1")
        label, colon, value = text.partition(":")
        reader.take(layer, label if colon and name == "field" else name, len(line) + 2,
                    value.strip() if name == "field" else text)  # fmt: skip
        name = "field"
    reader.take(layer, "end of header", 2 if blank else 0, "an empty line")
    reader.rest(layer, "bytes")


def _tls(reader: "Reader") -> None:
    """Records, as many as there are; the last one may go on in the next segment."""
    while reader.left and 20 <= reader.left[0] <= 23:
        layer = reader.header(TLS)
        if layer is None:
            return
        whole = reader.within(reader.at + layer["length"])
        if layer["content type"] == 22:
            reader.fields(layer, HANDSHAKE)
            reader.rest(layer, "message")
        reader.rest(layer, "encrypted" if layer["content type"] == 23 else "bytes")
        reader.end = whole
    reader.unknown("TLS, continued")


def _websocket(reader: "Reader") -> None:
    while len(reader.left) > 1 and reader.left[0] in FIRST_BYTES:
        _, end = wsframe.measure(reader.left)
        if end > len(reader.left):
            break
        end += reader.at
        layer = reader.header(WEBSOCKET)
        assert layer
        longer = {126: 16, 127: 64}.get(layer["payload length"])
        if longer:
            reader.fields(layer, (Field("extended payload length", longer),))
        whole = reader.within(end)
        if layer["MASK"]:
            reader.fields(layer, (Field("masking key", 32, hexadecimal(8)),))
            reader.rest(layer, "masked payload")
        elif not reader.frames():
            reader.rest(layer, "payload")
        reader.end = whole
    reader.unknown("WebSocket, continued")


# Datagrams -----------------------------------------------------------------------------------


def _dtls(reader: "Reader") -> None:
    while reader.left and 20 <= reader.left[0] <= 63:
        layer = reader.header(DTLS)
        if layer is None:
            return
        whole = reader.within(reader.at + layer["length"])
        if layer["epoch"]:
            reader.rest(layer, "encrypted")
        elif layer["content type"] == 22 and reader.fields(layer, (*HANDSHAKE, *FRAGMENT)):
            reader.rest(layer, "message")
        reader.rest(layer, "bytes")
        reader.end = whole
    reader.unknown()


def _quic(reader: "Reader") -> None:
    """One packet after the other: several may share a datagram (RFC 9000 section 12.2)."""
    while reader.left:
        if reader.left[0] >> 6 == 1:
            layer = reader.header(QUIC_SHORT)
            assert layer
            reader.rest(layer, "protected")
            return
        if not is_quic_long(reader.left):
            reader.unknown("padding" if not any(reader.left) else "QUIC, unknown")
            return
        layer = reader.header(QUIC_LONG)
        assert layer
        for name in ("destination connection ID", "source connection ID"):
            if reader.fields(layer, (Field(f"{name} length", 8),)):
                size = layer[f"{name} length"]
                reader.take(layer, name, size, reader.left[:size].hex())
        if layer["packet type"] == QUIC_TYPES.index("Retry"):
            reader.rest(layer, "Retry token")
            return
        if layer["packet type"] == QUIC_TYPES.index("Initial"):
            size = _varint(reader, layer, "token length")
            reader.take(layer, "token", size)
        size = _varint(reader, layer, "length")
        reader.take(layer, "protected", size)


def _varint(reader: "Reader", layer: "Layer", name: str) -> int:
    """A number of 1, 2, 4 or 8 bytes, as its first two bits say: RFC 9000 section 16."""
    if not reader.left:
        return 0
    size = 1 << (reader.left[0] >> 6)
    value = int.from_bytes(reader.left[:size]) & ((1 << (8 * size - 2)) - 1)
    reader.fields(layer, (Field(name, 8 * size, lambda _: str(value)),))
    return value


def _stun(reader: "Reader") -> None:
    """The header, and each attribute; what it says in words comes from `labkit.wire.stun`."""
    said: list[str] = []
    try:
        message = stun.unpack(reader.left)
        said = [str(value) for _, value in message.attributes]
    except WireError as error:
        reader.found.problem = error
    layer = reader.header(STUN)
    while layer and len(reader.left) >= 4 and reader.fields(layer, ATTRIBUTE):
        kind, size = (part.value for part in layer.parts[-2:])
        name = NAMES.get(kind, f"attribute {kind:#06x}")
        reader.take(layer, name, size, said.pop(0) if said else "")
        reader.take(layer, "padding", -size % 4)
    if layer:
        reader.rest(layer, "bytes")


def igmp(reader: "Reader") -> None:
    """Who wants which group, told to the routers of this network."""
    layer = reader.header(IGMP)
    if layer is None:
        return
    if layer["type"] != 0x22:
        reader.fields(layer, (Field("group", 32, _dotted),))
    elif reader.fields(layer, (Field("reserved", 16), Field("number of records", 16))):
        for _ in range(layer["number of records"]):
            if not reader.fields(layer, IGMP_RECORD):
                return
            reader.take(layer, "sources", 4 * layer.parts[-2].value)
    reader.rest(layer, "bytes")
