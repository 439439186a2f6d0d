"""Week 9: WebSocket and TLS, which TCP carries, and QUIC, which UDP does."""

from typing import Final

from labkit.lab.answers.registry import Answer, answers
from labkit.lab.conversations import Connection
from labkit.lab.dissection import Layer
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput
from labkit.words.units import to_ms


def _layers(connection: Connection, name: str, *, by_client: bool) -> list[tuple[Seen, Layer]]:
    """The layers of a name that one side sent, with their packets; each byte counts once."""
    return [
        (segment.packet, layer)
        for segment in connection.sent(by_client=by_client)
        if not segment.repeated
        for layer in segment.packet.found.layers
        if layer.name == name
    ]


def _last(traffic: Traffic) -> Connection:
    if not traffic.connections:
        raise BadInput(f"{traffic!r} has no TCP connection", "a capture of WebSocket or TLS")
    return traffic.connections[-1]


# WebSocket: RFC 6455 --------------------------------------------------------------------------


def _status(connection: Connection) -> int:
    (_, layer), *_ = _layers(connection, "HTTP", by_client=False)
    return int(layer.text("status").split()[1])


@answers
def refusal_status(traffic: Traffic) -> Answer:
    """The status code of HTTP that the first request is answered with."""
    accepted = _status(_last(traffic))
    return Answer(
        _status(traffic.connections[0]), ((accepted, "That is the answer to who had a token."),)
    )


@answers
def masked_frames(traffic: Traffic) -> Answer:
    """WebSocket frames with a mask."""
    sides = [_layers(_last(traffic), "WebSocket", by_client=side) for side in (True, False)]
    masked = sum(layer["MASK"] for side in sides for _, layer in side)
    return Answer(
        masked,
        (
            (len(sides[1]), "Those are the server's: it sets no mask."),
            (sum(map(len, sides)), "Those are all frames of both sides."),
        ),
    )


@answers
def websocket_overhead(traffic: Traffic) -> Answer:
    """Bytes of WebSocket's header before most frames of the server."""
    sizes = []
    for _, layer in _layers(_last(traffic), "WebSocket", by_client=False):
        known = ("FIN", "RSV", "opcode", "MASK", "payload length", "extended payload length")
        sizes.append(sum(part.bits for part in layer.parts if part.name in known) // 8)
    usual = max(set(sizes), key=sizes.count)
    return Answer(
        usual,
        (
            (usual + 4, "A mask has four bytes; does the server set one?"),
            (usual + 12, "The other twelve are the header of our own frames."),
            (4, "Only a payload of 126 bytes or more has two bytes more of length."),
        ),
    )


@answers
def upgrade_time(traffic: Traffic) -> Answer:
    """Milliseconds from the client's SYN to the answer 101."""
    connection = _last(traffic)
    (answer, _), *_ = _layers(connection, "HTTP", by_client=False)
    (asked, _), *_ = _layers(connection, "HTTP", by_client=True)
    begin = connection.segments[0].now
    return Answer(
        to_ms(answer.now - begin),
        (
            (to_ms(answer.now - asked.now), "That is since the GET: TCP's handshake comes before."),
            (to_ms(answer.now - traffic.start), "That is since the first, who was refused."),
        ),
    )


# TLS 1.3: RFC 8446 ----------------------------------------------------------------------------

TAGS: Final = {0x1301: 16, 0x1302: 16, 0x1303: 16, 0x1304: 16, 0x1305: 8}
"""Bytes of the tag of each suite: RFC 8446 appendix B.4."""
SERVER_NAME: Final = 0
RECORD_HEADER: Final = 5
FIXED: Final = 2 + 32
"""Version and random of a ClientHello and of a ServerHello."""


def _hello(traffic: Traffic, *, by_client: bool) -> bytes:
    """The body of the ClientHello, or of the ServerHello: sections 4.1.2 and 4.1.3."""
    data = _last(traffic).stream(by_client=by_client)
    return data[RECORD_HEADER + 4 : RECORD_HEADER + int.from_bytes(data[3:5])]


def _extensions(hello: bytes) -> dict[int, bytes]:
    """Of a ClientHello: behind session, suites and compression, each with its length."""
    at = FIXED
    for width in (1, 2, 1):
        at += width + int.from_bytes(hello[at : at + width])
    found, at = {}, at + 2
    while at + 4 <= len(hello):
        size = int.from_bytes(hello[at + 2 : at + 4])
        found[int.from_bytes(hello[at : at + 2])] = hello[at + 4 : at + 4 + size]
        at += 4 + size
    return found


@answers
def server_name(traffic: Traffic) -> Answer:
    """The name that the client asks for, which everybody on the way can read (RFC 6066)."""
    return Answer(_extensions(_hello(traffic, by_client=True))[SERVER_NAME][5:].decode())


def _encrypted(traffic: Traffic, *, by_client: bool) -> list[Seen]:
    records = _layers(_last(traffic), "TLS", by_client=by_client)
    return [packet for packet, layer in records if layer.get("content type") == 23]


@answers
def first_encrypted(traffic: Traffic) -> Answer:
    """Milliseconds from the client's SYN to the first record that it encrypts."""
    connection = _last(traffic)
    begin = connection.segments[0].now
    (hello, _), *_ = _layers(connection, "TLS", by_client=True)
    encrypted = _encrypted(traffic, by_client=True)[0].now
    return Answer(
        to_ms(encrypted - begin),
        (
            (to_ms(hello.now - begin), "That is the ClientHello; it is not encrypted."),
            (to_ms(encrypted - hello.now), "That is since the ClientHello."),
        ),
    )


@answers
def record_overhead(traffic: Traffic) -> Answer:
    """Bytes by which a record is longer than what is in it."""
    hello = _hello(traffic, by_client=False)
    suite = FIXED + 1 + hello[FIXED]
    tag = TAGS[int.from_bytes(hello[suite : suite + 2])]
    whole = RECORD_HEADER + 1 + tag
    return Answer(
        whole,
        (
            (RECORD_HEADER, "That is the header; what is encrypted grows too."),
            (tag, "That is the tag. A record has a header as well."),
            (whole - 1, "Nearly: what kind of content it is stands inside, in one more byte."),
        ),
    )


@answers
def encrypted_records(traffic: Traffic) -> Answer:
    """Records of the server whose content type says application data."""
    records = _encrypted(traffic, by_client=False)
    segments = len({packet.number for packet in records})
    every = len(_layers(_last(traffic), "TLS", by_client=False))
    return Answer(
        len(records),
        (
            (segments, "Those are segments: the first has several records."),
            (every, "ServerHello and ChangeCipherSpec are in the clear."),
        ),
    )


# QUIC: RFC 9000 -------------------------------------------------------------------------------


def _quic(traffic: Traffic) -> list[tuple[Seen, list[Layer]]]:
    """The datagrams of the first QUIC flow, each with its packets."""
    found = [
        (packet, layers)
        for packet in traffic
        if (layers := [layer for layer in packet.found.layers if layer.name == "QUIC"])
    ]
    if not found:
        raise BadInput(f"{traffic!r} has no QUIC", "a capture of QUIC")
    return found


@answers
def first_datagram(traffic: Traffic) -> Answer:
    """Bytes that the first datagram carries: section 14.1."""
    packet = _quic(traffic)[0][0]
    length = packet.found["UDP"]["length"]
    return Answer(
        length - 8,
        (
            (length, "The length field of UDP counts its own header too."),
            (packet.size, "That is with the headers of IP and UDP."),
        ),
    )


@answers
def coalesced(traffic: Traffic) -> Answer:
    """QUIC packets in the first datagram of the server: section 12.2."""
    begun = _quic(traffic)
    client = begun[0][0].source
    layers = next(layers for packet, layers in begun if packet.source != client)
    return Answer(len(layers))


@answers
def long_headers(traffic: Traffic) -> Answer:
    """Datagrams that begin with a long header."""
    found = _quic(traffic)
    every = sum(layer["header form"] for _, layers in found for layer in layers)
    return Answer(
        sum(layers[0]["header form"] for _, layers in found),
        ((every, "Those are packets: several may share a datagram."),),
    )


@answers
def first_short_header(traffic: Traffic) -> Answer:
    """Milliseconds from the first datagram to the first 1-RTT packet of the client."""
    found = _quic(traffic)
    client = found[0][0].source
    first = next(
        packet
        for packet, layers in found
        if packet.source == client and not layers[-1]["header form"]
    )
    others = [p.now for p, layers in found if p.source != client and not layers[-1]["header form"]]
    return Answer(
        to_ms(first.now - traffic.start),
        ((to_ms(others[0] - traffic.start), "That is the server's first."),),
    )
