"""The same datagram to many, in as few system calls as the kernel allows.

A datagram to each of a thousand listeners is a thousand calls of `sendto`, each with its way into
the kernel and back, and with an address to be read from a Python tuple. Linux takes up to 1024
datagrams in one call, `sendmmsg(2)`, which Python does not have and ctypes can reach:

    mmsghdr[0] ─┬─ msg_name ──> sockaddr of the first listener
                └─ msg_iov ──┐
    mmsghdr[1] ─┬─ msg_name ─│> sockaddr of the second
                └─ msg_iov ──┴> iovec ──> the bytes, which all share

The table is made once for each set of destinations; for each packet only the iovec changes. What
UDP_SEGMENT would save beyond that holds for one destination only. On other systems, and for an
address that has no number, `sendto` it is.

Nothing here waits. What the kernel does not take is counted and gone, as a lost datagram is; the
next packet begins with those who got nothing, so it is not always the same ones.
"""

import ctypes
import errno
import socket
import struct
import sys
from typing import Any, Final

from labkit.words.machine import Address

MOST: Final = 1024
"""UIO_MAXIOV: the kernel takes no more in one call."""
PREPARED: Final = 8
"""Sets of destinations that are kept ready: the listeners of each bitrate, say."""
FULL: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
"""The socket, or the network card, has no room. Any other error is about one destination."""


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("message", _Msghdr), ("sent", ctypes.c_uint))


def _find_sendmmsg() -> Any:
    """The C library's function; None where there is none."""
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "sendmmsg", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    return call


_sendmmsg: Final[Any] = _find_sendmmsg()


class _Table:
    """What sendmmsg reads, for one set of destinations."""

    def __init__(self, destinations: tuple[Address, ...]) -> None:
        self.destinations = destinations  # kept, so that no other tuple gets its identity
        self.first = 0
        self.iovec = _Iovec()
        self._names = [ctypes.create_string_buffer(sockaddr(each)) for each in destinations]
        self.messages = (_Mmsghdr * len(destinations))()
        for entry, name in zip(self.messages, self._names, strict=True):
            entry.message.name = ctypes.addressof(name)
            entry.message.namelen = len(name) - 1  # without the zero that ctypes appends
            entry.message.iov = ctypes.pointer(self.iovec)
            entry.message.iovlen = 1

    def at(self, index: int) -> int:
        """The address of an entry."""
        return ctypes.addressof(self.messages) + index * ctypes.sizeof(_Mmsghdr)


class Batch:
    """Sends on one non-blocking UDP socket; `sendmmsg=False` for `sendto` alone."""

    def __init__(self, sock: socket.socket, *, sendmmsg: bool = True) -> None:
        self.unsent = 0
        """Datagrams that the kernel did not take."""
        self._sock = sock
        self._sendmmsg: Any = _sendmmsg if sendmmsg else None
        self._tables: dict[int, _Table | None] = {}

    def send(self, data: bytes, destination: Any) -> None:
        """One datagram."""
        try:
            self._sock.sendto(data, destination)
        except OSError:  # full, or no way there: to a machine, silence like any other
            self.unsent += 1

    def send_copies(self, data: bytes, destinations: tuple[Address, ...]) -> None:
        """The same to many. Pass the same tuple again when it is to the same ones."""
        table = self._table(destinations)
        if table is None:
            self._send_each(data, destinations)
            return
        table.iovec.base, table.iovec.len = data, len(data)
        first, count = table.first, len(destinations)
        stopped = self._send_range(table, first, count)
        if stopped == count:
            stopped = self._send_range(table, 0, first) if first else 0
            self.unsent += first - stopped
        else:
            self.unsent += first + count - stopped
        table.first = stopped % count

    def _send_each(self, data: bytes, destinations: tuple[Address, ...]) -> None:
        send: Any = self._sock.sendto
        for destination in destinations:
            try:
                send(data, destination)
            except OSError:
                self.unsent += 1

    def _send_range(self, table: _Table, start: int, end: int) -> int:
        """Send entries from `start` to `end`; where it stopped because there is no room."""
        descriptor = self._sock.fileno()
        while start < end:
            sent = self._sendmmsg(descriptor, table.at(start), min(end - start, MOST), 0)
            if sent > 0:
                start += sent
            elif (why := ctypes.get_errno()) in FULL:
                break
            elif why != errno.EINTR:  # this one cannot be reached; the others may be
                self.unsent += 1
                start += 1
        return start

    def _table(self, destinations: tuple[Address, ...]) -> _Table | None:
        """The table for these; None where `sendto` must do."""
        if self._sendmmsg is None or len(destinations) < 2:
            return None
        key = id(destinations)
        if key not in self._tables:
            if len(self._tables) >= PREPARED:
                del self._tables[next(iter(self._tables))]
            try:
                self._tables[key] = _Table(destinations)
            except (OSError, ValueError, TypeError):  # a name, which sendto would look up
                self._tables[key] = None
        return self._tables[key]


def sockaddr(address: Any) -> bytes:
    """The kernel's form of (host, port): struct sockaddr_in or sockaddr_in6. `OSError` for names.

    Linux's layout: the family in the order of the machine, the rest in that of the network.
    """
    host, port = address[:2]
    if ":" not in host:
        family = struct.pack("=H", socket.AF_INET)
        return family + struct.pack("!H4s8x", port, socket.inet_pton(socket.AF_INET, host))
    host, _, zone = host.partition("%")
    scope = socket.if_nametoindex(zone) if zone else 0
    family = struct.pack("=H", socket.AF_INET6)
    where = struct.pack("!HI16s", port, 0, socket.inet_pton(socket.AF_INET6, host))
    return family + where + struct.pack("=I", scope)
