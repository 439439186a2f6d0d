"""Datagrams onto the wire again, as far apart as they once were.

Whoever is late does not wait: after a stall the datagrams that are due leave at once, and the rest
keep their distance from the first.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from labkit.live.clock import now
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_S, ms

CLOSE: Final = ms(0.2)
"""What is due so soon is sent now: the event loop cannot wait for less."""


class Sending(NamedTuple):
    """What came of it."""

    packets: int
    latest: int
    """How late the latest datagram left, in nanoseconds."""
    refused: int
    """Datagrams that the kernel would not take: nobody listens there, or it is too long."""


async def resend(
    packets: Sequence[tuple[int, bytes]],
    destination: tuple[str, int],
    *,
    stop: asyncio.Event | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sending:
    """Send each of the `(time, data)` to `destination`, by the times' distances.

    `BadInput` when the address cannot be reached at all.
    """
    sock = _connected(destination)
    try:
        begun, sent, latest, refused = now(), 0, 0, 0
        for time, data in packets:
            due = begun + time - packets[0][0]
            await _until(due, stop)
            if stop is not None and stop.is_set():
                break
            try:
                sock.send(data)
            except OSError:
                refused += 1
            sent += 1
            latest = max(latest, now() - due)
            if progress is not None:
                progress(sent, len(packets))
        return Sending(sent, latest, refused)
    finally:
        sock.close()


def _connected(destination: tuple[str, int]) -> socket.socket:
    host, port = destination
    sock: socket.socket | None = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(destination)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise BadInput(
            f"cannot send to {host}:{port}: {error.strerror or error}", "127.0.0.1:5004"
        ) from error
    return sock


async def _until(due: int, stop: asyncio.Event | None) -> None:
    """Wait for the time, or for `stop`."""
    wait = due - now()
    if wait < CLOSE:
        return
    if stop is None:
        await asyncio.sleep(wait / NS_PER_S)
        return
    try:
        async with asyncio.timeout(wait / NS_PER_S):
            await stop.wait()
    except TimeoutError:
        pass
