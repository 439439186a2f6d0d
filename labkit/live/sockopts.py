"""The socket options that a voice feels, and how systems differ.

Each function does one `setsockopt` and says what the kernel made of it. Nothing here sends,
receives or waits.

    option          Linux                           macOS                     Windows
    TCP_NODELAY     as everywhere                   as everywhere             as everywhere
    NOTSENT_LOWAT   so many bytes wait unsent       the same                  there is none
    SO_RCVBUF       doubled, cut to rmem_max        refused above a maximum   taken as it is
    SO_REUSEADDR    a port in TIME_WAIT is free     the same                  a port in use: stolen
    IP_TOS          anybody, any DSCP; sets the     anybody, any DSCP         taken, and ignored
                    socket's SO_PRIORITY too
    IPV6_TCLASS     anybody, any DSCP               the same                  ignored, or refused
    SO_PRIORITY     0 to 6 anybody, more: root      there is none             there is none

Windows marks packets only where a policy says so (`New-NetQosPolicy`, group policy), or by the
qWAVE service (`QOSAddSocketToFlow`), where only an administrator chooses the DSCP itself. macOS
has a word of its own beside the mark, SO_NET_SERVICE_TYPE, which chooses the Wi-Fi queue. Neither
was tried here: the table is from their documents and from those who fell into it.
"""

import errno
import os
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from labkit.words.dscp import Mark, name_of, read_tos
from labkit.words.errors import BadInput

_INSTEAD: Final = {
    errno.EADDRNOTAVAIL: "an address of this machine, such as 127.0.0.1",
    errno.EACCES: "a port above 1023",
}


def cannot_bind(what: str, error: OSError, free: str = "--port 0") -> BadInput:
    """Why an address cannot be had, in the system's words, and what to take instead.

    `what` begins the sentence, and `free` asks for any free port. asyncio puts words of its own
    into `strerror`, so of the system's errors only the number is believed.
    """
    if error.errno is None or isinstance(error, socket.gaierror):
        return BadInput(f"{what}: {error.strerror or error}", "an address of this machine")
    another = f"another port, or {free} for any free one"
    return BadInput(f"{what}: {os.strerror(error.errno)}", _INSTEAD.get(error.errno, another))


def no_delay(sock: socket.socket, on: bool = True) -> None:
    """Send small writes at once (True), or let Nagle's algorithm hold them back (False).

    Nagle's algorithm keeps a small segment while an earlier one is not acknowledged (RFC 9293
    section 3.7.4): for a round trip, and longer where the receiver delays its acknowledgements
    (up to 40 ms on Linux, 200 ms on Windows). On loopback there is nothing to see, because Linux
    acknowledges at once what is read at once. Over 20 ms each way frames of 2.5 ms leave sixteen
    at a time, half of them more than 20 ms late (`tests/peers/test_nagle.py`).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)


def limit_unsent(sock: socket.socket, size: int) -> None:
    """Linux and macOS: let at most about `size` bytes wait in the kernel that were never sent.

    Beyond that the socket is full (tcp(7), TCP_NOTSENT_LOWAT). What is on its way does not count,
    so no speed is lost, as it would be with a small send buffer. That one grows to megabytes:
    minutes of a voice, which a reader that stops would all get later.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, size)


def receive_buffer(sock: socket.socket, wanted: int) -> int:
    """Ask for `wanted` bytes of receive buffer; return what the kernel says it is now.

    Linux gives twice what is asked, because it counts its own bookkeeping too: some 800 bytes for
    each datagram of 160. It silently stops at `net.core.rmem_max`.
    """
    return _buffer(sock, socket.SO_RCVBUF, wanted)


def send_buffer(sock: socket.socket, wanted: int) -> int:
    """Ask for `wanted` bytes of send buffer; return what the kernel says it is now.

    A small one makes a slow reader felt early: `pause_writing` comes before seconds are queued.
    """
    return _buffer(sock, socket.SO_SNDBUF, wanted)


def _buffer(sock: socket.socket, option: int, wanted: int) -> int:
    while wanted:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, wanted)
            break
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            wanted //= 2  # macOS: more than kern.ipc.maxsockbuf is refused, not cut
    return sock.getsockopt(socket.SOL_SOCKET, option)


def reuse_address(sock: socket.socket) -> None:
    """Let a restarted server have its port back at once. Call it before `bind`, every time.

    After a connection the port rests in TIME_WAIT for a minute (RFC 9293 section 3.6.1), which
    SO_REUSEADDR ignores; Linux wants it set on the old socket as well as on the new. On Windows
    that option would let a second program take the port away; there a resting port is free
    anyway, and SO_EXCLUSIVEADDRUSE keeps thieves out.
    """
    if sys.platform == "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def set_mark(sock: Any, dscp: int) -> Mark:
    """Let every packet of a socket carry a DSCP; the mark that the system says it will carry.

    `sock` is a socket, or what `transport.get_extra_info("socket")` gives. Nobody needs rights for
    it. On a listening socket before the first connection it holds for those that it accepts, and
    for the handshake. The ECN bits stay: of TCP they are the kernel's (RFC 3168).

    Linux also chooses the socket's SO_PRIORITY by it, for IPv4 (see `queue_priority`). Compare
    what comes back with what was asked: Windows may take the call and change nothing, and even
    the right answer says only what leaves this socket, not what arrives.
    """
    tos = Mark(dscp, get_mark(sock).ecn).tos
    if sock.family == socket.AF_INET6:
        # Also of IPv4 packets, which an IPv6 socket sends to ::ffff:192.0.2.1 and its like.
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        with suppress(OSError):  # Windows
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    return get_mark(sock)


def get_mark(sock: Any) -> Mark:
    """What the packets of a socket carry: IPv4's TOS, or of an IPv6 socket the traffic class."""
    level, option = socket.IPPROTO_IP, socket.IP_TOS
    if sock.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, socket.IPV6_TCLASS
    try:
        tos = sock.getsockopt(level, option)
    except OSError:  # Windows, IPv6
        return Mark(0)
    return read_tos(max(tos, 0))  # -1: nobody has said anything yet


def mark(sock: Any, dscp: int) -> str:
    """As `set_mark`, for people: a sentence if packets will not be marked as they wanted, or "".

    Whoever asked for a mark should be told when the system took the call and did something else.
    """
    try:
        said = set_mark(sock, dscp)
    except OSError as error:
        return f"packets are not marked {name_of(dscp)}: {error.strerror or error}"
    if said.dscp == dscp:
        return ""
    remedy = "New-NetQosPolicy marks them" if sys.platform == "win32" else "ask its administrator"
    return f"packets are marked {said}, not {name_of(dscp)}: this system decides ({remedy})"


def queue_priority(sock: Any, priority: int | None = None) -> int | None:
    """Linux: which queue of our own computer a packet waits in; set it, or only ask. Else None.

    SO_PRIORITY never leaves the computer. The queueing discipline of the network card may sort
    by it: `pfifo_fast`, `prio` and `mqprio` do, `fq_codel` and the lab's devices do not. It also
    becomes the priority of a VLAN tag. Setting IP_TOS sets it: EF to 4, which with `pfifo_fast` is
    the middle band of three, that of everybody else; 6 is the first. So set it after the mark.
    Above 6 it needs CAP_NET_ADMIN: `PermissionError`.
    """
    option = getattr(socket, "SO_PRIORITY", None)
    if option is None:
        return None
    if priority is not None:
        sock.setsockopt(socket.SOL_SOCKET, option, priority)
    return int(sock.getsockopt(socket.SOL_SOCKET, option))
