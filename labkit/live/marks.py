"""What a datagram carried when it came: its mark, and when the kernel had it.

    ask_for_marks(sock)
    arrival = receive_marked(sock)      # Arrival(data, source, mark=EF, stamp=…)

A socket hands over bytes and says nothing of the header they came with, unless asked: the answer
comes beside the data, as ancillary data (RFC 3542 section 4.1 for IPv6; recvmsg(2)). So one sees
whether a mark has survived the way, which who sends can never know.

    asked with      Linux                 macOS                      Windows
    IP_RECVTOS      comes as IP_TOS       comes as IP_RECVTOS        Python has no recvmsg there
    IPV6_RECVTCLASS comes as IPV6_TCLASS  the same                   -
    SO_TIMESTAMPNS  comes as itself       there is none              -

The stamp is the kernel's, taken when the packet came: who reads late does not make it later. Its
clock is the date's, CLOCK_REALTIME.

This module knows no protocol: what the bytes mean is somebody else's affair.
"""

import socket
import struct
import sys
from typing import Final, NamedTuple

from labkit.words.dscp import Mark, read_tos
from labkit.words.errors import MissingCapability
from labkit.words.machine import Address
from labkit.words.units import NS_PER_S

SO_TIMESTAMPNS: Final = 35
"""Linux's number; Python has no name for it."""
TIMESPEC: Final = struct.Struct("@qq")
ROOM: Final = 128
"""Bytes for the ancillary data: three items of at most 16 bytes, each with a header of 16."""


class Arrival(NamedTuple):
    """One datagram, and what was beside it."""

    data: bytes
    source: Address
    mark: Mark | None
    """None where the system does not tell."""
    stamp: int | None
    """When the kernel had it, in nanoseconds since 1970; None where it does not tell."""


def ask_for_marks(sock: socket.socket) -> None:
    """From now on every datagram's mark and stamp come with it. `MissingCapability` on Windows."""
    if not hasattr(sock, "recvmsg"):
        raise MissingCapability("Python cannot see marks of datagrams here", "Linux or macOS")
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive_marked(sock: socket.socket, size: int = 2048) -> Arrival:
    """The next datagram; waits as the socket does."""
    data, beside, _, source = sock.recvmsg(size, ROOM)
    mark = stamp = None
    for level, kind, value in beside:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(value) == TIMESPEC.size:
            whole, rest = TIMESPEC.unpack(value)
            stamp = whole * NS_PER_S + rest
        elif level == socket.IPPROTO_IP and kind in (socket.IP_TOS, socket.IP_RECVTOS):
            mark = read_tos(value[0])  # one byte, where setsockopt takes an int
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_TCLASS:
            mark = read_tos(int.from_bytes(value[:4], sys.byteorder))
    return Arrival(data, source[:2], mark, stamp)
