"""Messages between us and our helper: JSON, and with it open files.

They travel on a pair of sockets of the kind SOCK_SEQPACKET, which keeps messages apart and says
when the other side is gone. Open files travel beside the text (SCM_RIGHTS, unix(7)): so the
output of a program in the lab comes to us through a plain pipe, and through nobody's hands.

This module knows no message.
"""

import json
import socket
from collections.abc import Sequence
from typing import Any, Final

LARGEST: Final = 1 << 17
"""Bytes in one message: a command with its whole environment has some thousands."""
MOST_FILES: Final = 8


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: object, files: Sequence[int] = ()) -> None:
    """Send one message. `OSError` when nobody is there, or when it is too long."""
    socket.send_fds(sock, [json.dumps(message).encode()], list(files))


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Wait for one message; its value and its files. None: the other side is gone."""
    try:
        data, files, _, _ = socket.recv_fds(sock, LARGEST, MOST_FILES, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None, []
    return (json.loads(data) if data else None), files
