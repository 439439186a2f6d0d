"""A stream machine on a real TCP connection.

Feed, send, report, ask for the deadline, wait: as in `labkit.live.udp`, for a wire that keeps
order but no boundaries, that can be full (`pause_writing`) and that ends (`receive_eof`). Asyncio
holds at most `WRITE_BUFFER` bytes and what the machine hands over at once, the kernel about
`KERNEL_UNSENT` that were not sent yet: what a slow reader does not take stays in the machine, which
knows what may be dropped.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from labkit.core.reconnect import Backoff
from labkit.live.clock import now
from labkit.live.driver import Driver
from labkit.live.sockopts import cannot_bind, limit_unsent, no_delay
from labkit.words.errors import BadInput
from labkit.words.machine import Event, StreamMachine
from labkit.words.units import to_seconds

WRITE_BUFFER = 16 * 1024
"""Bytes waiting in asyncio above which the machine is told that the wire is full."""
KERNEL_UNSENT = 64 * 1024
"""Bytes waiting in the kernel beside what is under way: room for a queue of L16 at once, when a
reader that stopped goes on."""
READ_BUFFER = 64 * 1024
"""Bytes that are read at once."""
CONNECT_S = 10.0
"""Seconds that a server has to answer; the kernel alone would try for two minutes."""
LINGER_S = 2.0
"""Seconds that what is buffered has to leave after the end; a peer that never reads is cut off."""


class _Room(threading.local):
    """Where what arrives stands until it is handed on: one for all connections of a thread.

    Asyncio would ask for 256 KB and give most of them back, for each read of each connection: that
    costs more than the read, and under attack it leaves memory full of gaps.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BUFFER))


_ROOM = _Room()


class TcpConnection(Driver, asyncio.BufferedProtocol):
    """Drives one machine on one connection. Made by `connect_tcp` and `serve_tcp`."""

    machine: StreamMachine

    def __init__(
        self,
        machine: StreamMachine,
        on_event: Callable[[Event], None] = lambda event: None,
        *,
        nodelay: bool = True,
    ) -> None:
        super().__init__(machine, on_event)
        self._nodelay = nodelay
        self._transport: asyncio.Transport | None = None
        self._ending = False
        self._lost = False

    def close(self) -> None:
        """Drive no more, and end the connection after what is buffered. Close the machine first."""
        super().close()
        self._end()

    def abort(self) -> None:
        """Drive no more, and drop what is buffered."""
        self.close()
        self._cut_off()

    def _end(self) -> None:
        """Say that no more comes from us (FIN), and go on reading until the peer has said so too.

        Who closes both directions at once answers what is still under way with a reset, and a
        reset takes from the peer what it has not read yet (RFC 9293 section 3.6).
        """
        if self._transport is None or self._transport.is_closing() or self._ending:
            return
        self._ending = True
        with contextlib.suppress(OSError):  # the peer's reset was quicker
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._cut_off)

    def _cut_off(self) -> None:
        """Drop what is buffered, if the transport has not closed yet.

        One that has must not be aborted: asyncio would end it twice, and print a traceback.
        """
        if self._transport is not None and not self._lost:
            self._transport.abort()

    def turn(self) -> None:
        """After every call that changes the machine: steps 2 to 5.

        A machine outlives its connection: what a receiver has buffered is still to be played.
        """
        if self._transport is not None:
            super().turn()

    def _send(self) -> None:
        assert self._transport is not None
        for data in self.machine.transmits():
            if not (self._transport.is_closing() or self._ending):
                self._transport.write(data)
        if getattr(self.machine, "wants_close", False):
            self._end()

    # asyncio.BufferedProtocol -----------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The connection is open: the machine may speak first.

        Asyncio makes us a turn before this, and meanwhile we may have been told to go.
        """
        self._transport = transport
        if self._stopped:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        sock = transport.get_extra_info("socket")
        no_delay(sock, self._nodelay)
        limit_unsent(sock, KERNEL_UNSENT)
        self._drive(self.machine.tick, now())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what arrives."""
        del sizehint
        return _ROOM.view

    def buffer_updated(self, nbytes: int) -> None:
        """1. feed."""
        self._drive(self.machine.receive_data, bytes(_ROOM.view[:nbytes]), now())

    def eof_received(self) -> bool:
        """1. feed the end. The transport closes itself when nothing is left to send."""
        self._drive(self.machine.receive_eof, now())
        return False

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self.machine.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self._drive(self.machine.resume_writing)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, also when it came as a reset."""
        self._drive(self.machine.receive_eof, now())
        self._lost = True
        if not self.done.done():
            self.done.set_result(None)


async def connect_tcp(
    machine: StreamMachine,
    host: str,
    port: int,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    nodelay: bool = True,
) -> TcpConnection:
    """Connect and run `machine`. `BadInput` when nobody answers."""
    return await _connect(lambda: machine, host, port, on_event, nodelay)


async def _connect(
    make: Callable[[], StreamMachine],
    host: str,
    port: int,
    on_event: Callable[[Event], None],
    nodelay: bool,
) -> TcpConnection:
    """Connect, then make the machine: until there is a connection, it has nobody to speak to."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(
                lambda: TcpConnection(make(), on_event, nodelay=nodelay), host, port
            )
    except OSError as error:  # a timeout is one too
        raise BadInput(
            f"cannot connect to TCP {host}:{port}: {_why(error)}",
            f"is the server running?  streamer serve --proto tcp --port {port}",
        ) from error
    return connection


async def connect_again(
    make: Callable[[], StreamMachine],
    host: str,
    port: int,
    *,
    backoff: Backoff,
    attempts: int,
    on_event: Callable[[Event], None] = lambda event: None,
) -> TcpConnection:
    """Wait as `backoff` says, then connect; once more after each failure, `attempts` in all.

    `make` is called when there is a connection. Say `backoff.reset()` when it turns out to be of
    use, not before: a server that hangs up at once must not be asked again at once, for ever.
    """
    while True:
        if backoff.failures >= attempts:
            raise BadInput(
                f"TCP {host}:{port} was not found again, {attempts} times tried",
                f"is the server running?  streamer serve --proto tcp --port {port}",
            )
        await asyncio.sleep(to_seconds(backoff.next_delay()))
        with contextlib.suppress(BadInput):
            return await _connect(make, host, port, on_event, nodelay=True)


async def serve_tcp(
    accept: Callable[[], asyncio.BaseProtocol],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> asyncio.Server:
    """Listen; `accept` makes a protocol for each client. `BadInput` when busy."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            accept, host, port, reuse_address=True, family=socket.AF_UNSPEC
        )
    except OSError as error:
        raise cannot_bind(f"cannot listen on TCP {host}:{port}", error) from error


def _why(error: OSError) -> str:
    """What the system says; asyncio puts words of its own in place of it."""
    if isinstance(error, TimeoutError):
        return f"no answer for {CONNECT_S:g} s"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
