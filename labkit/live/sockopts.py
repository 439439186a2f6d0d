"""The socket options that a voice feels, and how systems differ.

Each function does one `setsockopt` and says what the kernel made of it. Nothing here sends,
receives or waits.

    option          Linux                           macOS                     Windows
    TCP_NODELAY     as everywhere                   as everywhere             as everywhere
    SO_RCVBUF       doubled, cut to rmem_max        refused above a maximum   taken as it is
    SO_REUSEADDR    a port in TIME_WAIT is free     the same                  a port in use: stolen
"""

import errno
import socket
import sys


def no_delay(sock: socket.socket, on: bool = True) -> None:
    """Send small writes at once (True), or let Nagle's algorithm hold them back (False).

    Nagle's algorithm keeps a small segment while an earlier one is not acknowledged (RFC 9293
    section 3.7.4): for a round trip, and longer where the receiver delays its acknowledgements
    (up to 40 ms on Linux, 200 ms on Windows). On loopback there is nothing to see, because Linux
    acknowledges at once what is read at once. Over 20 ms each way frames of 2.5 ms leave sixteen
    at a time, half of them more than 20 ms late (`tests/peers/test_nagle.py`).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)


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
