"""A NAT for IPv4: many ports of a hidden host behind one address (RFC 3022, RFC 4787).

    192.168.1.2:5004 ──> [ Nat ] ──> 10.9.0.1:5004 ──> anywhere
                                <──                 <── only from where it has sent to

Mapping is endpoint-independent: a port inside has one port outside, whomever it sends to, and the
same number if that is free. Filtering is address and port-dependent: only who was sent to gets
through. So a home router behaves, and holes can be punched into it. UDP, TCP, echo requests and
the ICMP errors that belong to them are translated; all else is dropped.

Fragments follow their first one, which alone has ports. A mapping that nothing has used for a
time is forgotten. Checksums are not computed anew but corrected (RFC 1624).

This module knows no socket and no clock.
"""

import socket
from typing import Final, NamedTuple

from labkit.wire.ip import checksum
from labkit.words.units import seconds

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17

IDLE: Final = {UDP: seconds(120), ICMP: seconds(60), TCP: seconds(7440)}
"""When a mapping is forgotten: RFC 4787 REQ-5, RFC 5508 REQ-2, RFC 5382 REQ-5."""
MOST_MAPPINGS: Final = 4096
"""Ports of the hidden host, and packets in fragments, that are kept in mind."""
FIRST_PORT: Final = 1024

CHECKSUM_AT: Final = {UDP: 6, TCP: 16, ICMP: 2}
"""Where the checksum is, counted from the end of the IP header."""
ECHO_REQUEST: Final = 8
ECHO_REPLY: Final = 0
ICMP_ERRORS: Final = (3, 11, 12)
"""Unreachable, time exceeded, parameter problem: each quotes the packet that it is about."""
ICMP_HEADER: Final = 8

Port = tuple[int, int]
"""Protocol and port; for echo, its identifier."""
Remote = tuple[bytes, int]
"""Address and port of somebody outside; for echo the port is 0."""


class _Header(NamedTuple):
    """What a NAT reads of a packet."""

    length: int
    protocol: int
    first: bool
    """Whether ports can be read: it is no fragment, or the first one."""


class _Mapping:
    """One port inside, its port outside, and whom it has sent to."""

    def __init__(self, protocol: int, inside: int, outside: int) -> None:
        self.protocol = protocol
        self.inside = inside
        self.outside = outside
        self.used = 0
        self.remotes: set[Remote] = set()

    def idle(self, now: int) -> bool:
        """Whether it may be forgotten."""
        return now - self.used > IDLE[self.protocol]

    def lets_in(self, data: bytearray, header: _Header, now: int) -> bool:
        """Whether the sender of a packet was sent to, not long ago."""
        return not self.idle(now) and _remote(data, header, source=True) in self.remotes


class Nat:
    """Hides `inside` behind `outside`; both are IPv4 addresses in digits."""

    def __init__(self, inside: str, outside: str) -> None:
        self._inside = socket.inet_aton(inside)
        self._outside = socket.inet_aton(outside)
        self._by_inside: dict[Port, _Mapping] = {}
        self._by_outside: dict[Port, _Mapping] = {}
        self._fragments: set[bytes] = set()  # packets let in of which more is to come

    def outbound(self, packet: bytes, now: int) -> bytes | None:
        """A packet from inside as the world sees it. None: it does not leave."""
        header = _read(packet)
        if header is None or packet[12:16] != self._inside:
            return None
        data = bytearray(packet)
        if _is_error(data, header):
            if not self._translate_quoted(data, header, outward=True):
                return None
        elif header.first:
            place = _port_place(data, header, source=True)
            mapping = place and self._mapping(header.protocol, _number(data, place), now)
            if not place or not mapping:
                return None
            mapping.remotes.add(_remote(data, header, source=False))
            _replace(data, header, place, mapping.outside)
        _replace_address(data, header, 12, self._outside)
        return bytes(data)

    def inbound(self, packet: bytes, now: int) -> bytes | None:
        """A packet from outside as the hidden host sees it. None: it is not let in."""
        header = _read(packet)
        if header is None or packet[16:20] != self._outside:
            return None
        data = bytearray(packet)
        if _is_error(data, header):
            if not self._translate_quoted(data, header, outward=False):
                return None
        elif header.first:
            place = _port_place(data, header, source=False)
            mapping = place and self._by_outside.get((header.protocol, _number(data, place)))
            if not place or not mapping or not mapping.lets_in(data, header, now):
                return None
            mapping.used = now
            _replace(data, header, place, mapping.inside)
            self._remember_fragments(packet)
        elif packet[4:6] + packet[12:16] not in self._fragments:
            return None
        _replace_address(data, header, 16, self._inside)
        return bytes(data)

    def _remember_fragments(self, packet: bytes) -> None:
        """The first of several lets the others in: same identification, same sender."""
        if packet[6] & 0x20:  # more fragments
            if len(self._fragments) >= MOST_MAPPINGS:
                self._fragments.clear()
            self._fragments.add(packet[4:6] + packet[12:16])

    def _mapping(self, protocol: int, port: int, now: int) -> _Mapping | None:
        """The mapping of a port inside, a new one if need be. None: there is no place."""
        mapping = self._by_inside.get((protocol, port))
        if mapping is None:
            if len(self._by_inside) >= MOST_MAPPINGS:
                self._forget_idle(now)
            if len(self._by_inside) >= MOST_MAPPINGS:
                return None
            outside = port
            while (protocol, outside) in self._by_outside:
                outside = outside + 1 if outside < 0xFFFF else FIRST_PORT
            mapping = _Mapping(protocol, port, outside)
            self._by_inside[protocol, port] = self._by_outside[protocol, outside] = mapping
        elif mapping.idle(now):
            mapping.remotes.clear()
        mapping.used = now
        return mapping

    def _forget_idle(self, now: int) -> None:
        for key, mapping in list(self._by_inside.items()):
            if mapping.idle(now):
                del self._by_inside[key], self._by_outside[key[0], mapping.outside]

    def _translate_quoted(self, data: bytearray, header: _Header, *, outward: bool) -> bool:
        """Translate the packet that an ICMP error quotes. False: it is none of ours.

        An error on its way in quotes what our host has sent, one on its way out what it got.
        """
        at = header.length + ICMP_HEADER
        quoted = data[at:]
        inner = _read(quoted)
        place = inner and inner.first and _port_place(quoted, inner, source=not outward)
        if not inner or not place:
            return False
        ports = self._by_inside if outward else self._by_outside
        mapping = ports.get((inner.protocol, _number(quoted, place)))
        if mapping is None:
            return False
        port, address = mapping.inside, self._inside
        if outward:
            port, address = mapping.outside, self._outside
        quoted[place : place + 2] = port.to_bytes(2)
        _replace_address(quoted, inner._replace(first=False), 16 if outward else 12, address)
        data[at:] = quoted
        sum_at = header.length + CHECKSUM_AT[ICMP]
        data[sum_at : sum_at + 2] = bytes(2)
        data[sum_at : sum_at + 2] = checksum(bytes(data[header.length :])).to_bytes(2)
        return True


# --- fields of a packet ---------------------------------------------------------------------------


def _read(packet: bytes | bytearray) -> _Header | None:
    """The header, when it is IPv4 and of a protocol that we translate."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] not in CHECKSUM_AT:
        return None
    length = (packet[0] & 0x0F) * 4
    first = not (packet[6] & 0x1F or packet[7])  # the fragment offset is zero
    if length < 20 or len(packet) < length + 8:
        return None
    return _Header(length, packet[9], first)


def _number(data: bytearray, place: int) -> int:
    return int.from_bytes(data[place : place + 2])


def _is_error(data: bytearray, header: _Header) -> bool:
    return header.protocol == ICMP and header.first and data[header.length] in ICMP_ERRORS


def _port_place(data: bytearray, header: _Header, *, source: bool) -> int:
    """Where the port is that a NAT changes; 0: there is none."""
    if header.protocol != ICMP:
        return header.length + (0 if source else 2)
    asked = ECHO_REQUEST if source else ECHO_REPLY
    return header.length + 4 if data[header.length] == asked else 0


def _remote(data: bytearray, header: _Header, *, source: bool) -> Remote:
    """Who the packet is from, or to."""
    address = bytes(data[12:16] if source else data[16:20])
    if header.protocol == ICMP:
        return address, 0
    return address, _number(data, header.length + (0 if source else 2))


def _replace(data: bytearray, header: _Header, place: int, port: int) -> None:
    _correct(data, header.length + CHECKSUM_AT[header.protocol], header, place, port)


def _replace_address(data: bytearray, header: _Header, place: int, address: bytes) -> None:
    """Put an address, which the sums of IP, of UDP and of TCP know."""
    for half in (0, 2):
        word = int.from_bytes(address[half : half + 2])
        if header.first and header.protocol != ICMP:
            sum_at = header.length + CHECKSUM_AT[header.protocol]
            _correct(data, sum_at, header, place + half, word, put=False)
        _correct(data, 10, None, place + half, word)


def _correct(
    data: bytearray, sum_at: int, header: _Header | None, place: int, new: int, *, put: bool = True
) -> None:
    """Put a 16-bit word, and let a checksum follow: HC' = ~(~HC + ~m + m'), RFC 1624."""
    old_sum, old = _number(data, sum_at), _number(data, place)
    if put:
        data[place : place + 2] = new.to_bytes(2)
    is_udp = header is not None and header.protocol == UDP
    if len(data) < sum_at + 2 or (is_udp and not old_sum):
        return  # cut off, or a datagram without a sum
    total = (old_sum ^ 0xFFFF) + (old ^ 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16) ^ 0xFFFF
    if is_udp:
        total = total or 0xFFFF  # zero would say: no sum
    data[sum_at : sum_at + 2] = total.to_bytes(2)
