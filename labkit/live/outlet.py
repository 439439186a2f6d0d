"""A second socket on the same port, through which nothing comes in.

A server listens, so an event loop watches its socket. Then, whenever a datagram has left, Linux
looks whether somebody waits for room to send the next one, and finds the loop: 0.12 µs for each
datagram, a twentieth of what `sendmmsg(2)` takes for it. A socket that nobody watches is spared
that. So what goes to many leaves by a twin of the listening socket: bound to the same address,
with the same marks, never watched and never read.

Nor does anything arrive at it. Two sockets can share a port if both say SO_REUSEPORT, and would
share what arrives as well, if there were no program to say who gets it (socket(7),
SO_ATTACH_REUSEPORT_CBPF). Ours has one instruction: the first one gets it. The listening socket
says SO_REUSEPORT only after it is bound, so a port in use is still refused; and nobody but another
program of the same user, that says it too, can come to the port later, and even it gets nothing.

Elsewhere there is no twin, and everything leaves by the one socket. This module sends nothing.
"""

import ctypes
import socket
import struct
import sys
from typing import Final

from labkit.live.sockopts import send_buffer

SO_ATTACH_REUSEPORT_CBPF: Final = 51
"""Python has no name for it. This is its number wherever Linux has the usual ones."""
THE_FIRST: Final = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""One instruction of classic BPF, `return 0`: code BPF_RET | BPF_K, no jumps, the value."""
LEAST: Final = 1
"""Bytes of receive buffer to ask for: the kernel makes it the least it has."""


def outlet(sock: socket.socket) -> socket.socket | None:
    """The twin of a bound UDP socket; None where the system has no such thing.

    Close it with the other: if that one went alone, what arrives would be the twin's.
    """
    if sys.platform != "linux":
        return None
    twin = socket.socket(sock.family, socket.SOCK_DGRAM)
    try:
        twin.setblocking(False)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LEAST)
        send_buffer(twin, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2)
        for each in (sock, twin):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        twin.bind(sock.getsockname())
        _all_to_the_first(twin)
    except OSError:
        twin.close()
        return None
    return twin


def _all_to_the_first(sock: socket.socket) -> None:
    """Whatever arrives at the port of `sock` goes to whoever was bound to it first."""
    program = ctypes.create_string_buffer(THE_FIRST)
    length_and_where = struct.pack("HP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, length_and_where)
