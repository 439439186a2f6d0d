"""IP, UDP and TCP headers around a payload, so that what never crossed a wire can be captured.

Virtual time has no kernel that makes packets. A capture of it still has to look like one of a
real network to Wireshark, so these functions write the headers a kernel would: IPv4 (RFC 791) or
IPv6 (RFC 8200), UDP (RFC 768) and TCP (RFC 9293), with the right lengths and checksums.

This module writes and never reads: on a real network the kernel does this work. It knows no
options, no fragments and no retransmission; `TcpFlow` is the text of a conversation, not a TCP.
"""

import struct
from enum import IntFlag
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, TypeAlias

from labkit.words.errors import LocalProtocolError
from labkit.words.seqnum import add32

Endpoint: TypeAlias = tuple[str, int]
"""An IPv4 or IPv6 address in digits, and a port."""

IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |  V=4  | IHL=5 |Type of Service|          total length         |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |         identification        |flags|     fragment offset     |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |  time to live |    protocol   |        header checksum        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |              source address, then destination address         |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

IPV6: Final = struct.Struct("!IHBB16s16s")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |  V=6  | traffic class |              flow label               |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |         payload length        |  next header  |   hop limit   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |     source address, then destination address, 128 bits each   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

UDP: Final = struct.Struct("!HHHH")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |          source port          |        destination port       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |   length of header and data   |            checksum           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

TCP: Final = struct.Struct("!HHIIBBHHH")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |          source port          |        destination port       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                        sequence number                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                     acknowledgment number                     |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# | offset|  rsvd |     flags     |             window            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |            checksum           |         urgent pointer        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17

TTL: Final = 64
"""What RFC 1700 recommends and Linux sends."""
DONT_FRAGMENT: Final = 0x4000
MSS: Final = 1_460
"""Bytes in a TCP segment that fits, with 40 bytes of headers, into 1500 of Ethernet."""
WINDOW: Final = 65_535
"""The most that TCP can offer without the window scale option."""


class Flag(IntFlag):
    """TCP's control bits: RFC 9293 section 3.1."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


def udp(data: bytes, source: Endpoint, destination: Endpoint, *, tos: int = 0) -> bytes:
    """An IP packet with one datagram. `tos` is IPv4's Type of Service, IPv6's traffic class.

    `LocalProtocolError` for what is no address in digits, or does not fit its field.
    """
    size = UDP.size + len(data)
    try:
        header = UDP.pack(source[1], destination[1], size, 0)
    except struct.error as error:
        raise LocalProtocolError(f"{size} bytes {source} to {destination}: {error}") from error
    return _ip(PROTOCOL_UDP, header + data, 6, source[0], destination[0], tos)


def tcp(
    data: bytes, source: Endpoint, destination: Endpoint, *, seq: int, ack: int, flags: Flag
) -> bytes:
    """An IP packet with one segment. `LocalProtocolError` as for `udp`."""
    offset = TCP.size // 4 << 4
    try:
        header = TCP.pack(source[1], destination[1], seq, ack, offset, flags, WINDOW, 0, 0)
    except struct.error as error:
        raise LocalProtocolError(f"{source} to {destination}: {error}") from error
    return _ip(PROTOCOL_TCP, header + data, 16, source[0], destination[0], 0)


def _ip(
    protocol: int, segment: bytes, checksum_at: int, source: str, destination: str, tos: int
) -> bytes:
    """The IP header before a segment, whose checksum goes to byte `checksum_at`.

    UDP and TCP sum a pseudo-header too: the addresses, the protocol and the length. So they would
    notice a packet that came to the wrong host (RFC 9293 section 3.1, RFC 8200 section 8.1).
    """
    addresses = _digits(source) + _digits(destination)
    if len(addresses) not in (8, 32):
        raise LocalProtocolError(f"{source} and {destination} are of two families")
    total = checksum(addresses + struct.pack("!II", protocol, len(segment)) + segment)
    if protocol == PROTOCOL_UDP:
        total = total or 0xFFFF  # zero would say: no checksum
    segment = segment[:checksum_at] + struct.pack("!H", total) + segment[checksum_at + 2 :]
    header = _ipv4 if len(addresses) == 8 else _ipv6
    return header(protocol, len(segment), addresses, tos) + segment


def _ipv4(protocol: int, size: int, addresses: bytes, tos: int) -> bytes:
    ends = addresses[:4], addresses[4:]
    try:
        fields = 0x45, tos, IPV4.size + size, 0, DONT_FRAGMENT, TTL, protocol
        total = checksum(IPV4.pack(*fields, 0, *ends))
        return IPV4.pack(*fields, total, *ends)
    except struct.error as error:
        raise LocalProtocolError(f"{size} bytes, tos {tos}: {error}") from error


def _ipv6(protocol: int, size: int, addresses: bytes, tos: int) -> bytes:
    try:
        return IPV6.pack(6 << 28 | tos << 20, size, protocol, TTL, addresses[:16], addresses[16:])
    except struct.error as error:
        raise LocalProtocolError(f"{size} bytes, tos {tos}: {error}") from error


@lru_cache
def _digits(host: str) -> bytes:
    """An address as 4 or 16 bytes. Nothing is looked up."""
    try:
        return ip_address(host).packed
    except ValueError as error:
        raise LocalProtocolError(f"{host!r} is no IPv4 or IPv6 address") from error


def checksum(data: bytes) -> int:
    """The Internet checksum: ones' complement of the sum of all 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class TcpFlow:
    """Both directions of a TCP connection on which nothing is lost, as IP packets.

    `client` opens it. Every segment acknowledges all that came the other way before it.
    """

    def __init__(self, client: Endpoint, server: Endpoint) -> None:
        self._peer = {client: server, server: client}
        self._next = {client: 0, server: 0}

    def open(self) -> list[bytes]:
        """The three-way handshake."""
        client, server = self._peer
        return [
            self._segment(b"", client, Flag.SYN, ack=0),
            self._segment(b"", server, Flag.SYN | Flag.ACK),
            self._segment(b"", client, Flag.ACK),
        ]

    def send(self, data: bytes, source: Endpoint) -> list[bytes]:
        """Segments of at most 1460 bytes; the last one is pushed."""
        cut = [data[at : at + MSS] for at in range(0, len(data), MSS)]
        return [
            self._segment(part, source, Flag.ACK | (Flag.PSH if part is cut[-1] else 0))
            for part in cut
        ]

    def close(self, source: Endpoint) -> list[bytes]:
        """`source` will send no more, and the other side has seen it."""
        fin = self._segment(b"", source, Flag.FIN | Flag.ACK)
        return [fin, self._segment(b"", self._peer[source], Flag.ACK)]

    def _segment(self, data: bytes, source: Endpoint, flags: int, ack: int | None = None) -> bytes:
        destination = self._peer[source]
        seq = self._next[source]
        # SYN and FIN take a place in the sequence, so that they too can be acknowledged.
        self._next[source] = add32(seq, len(data) + bool(flags & (Flag.SYN | Flag.FIN)))
        ack = self._next[destination] if ack is None else ack
        return tcp(data, source, destination, seq=seq, ack=ack, flags=Flag(flags))
