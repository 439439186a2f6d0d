"""A stream machine on a real TCP connection.

Feed, send, report, ask for the deadline, wait: as in `labkit.live.udp`, for a wire that keeps
order but no boundaries, that can be full (`pause_writing`) and that ends (`receive_eof`). The
kernel and asyncio together hold at most `WRITE_BUFFER` bytes of ours beyond the socket's own
buffer: what a slow reader does not take stays in the machine, which knows what may be dropped.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from labkit.core.reconnect import Backoff
from labkit.live.clock import now
from labkit.live.sockopts import no_delay
from labkit.words.errors import BadInput
from labkit.words.machine import Event, StreamMachine
from labkit.words.units import NS_PER_S, to_seconds

WRITE_BUFFER = 16 * 1024
"""Bytes waiting in asyncio above which the machine is told that the wire is full."""


class TcpConnection(asyncio.Protocol):
    """Drives one machine on one connection. Made by `connect_tcp` and `serve_tcp`."""

    def __init__(
        self,
        machine: StreamMachine,
        on_event: Callable[[Event], None] = lambda event: None,
        *,
        nodelay: bool = True,
    ) -> None:
        self.machine = machine
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, by whomever."""
        self._on_event = on_event
        self._nodelay = nodelay
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: int | None = None
        self._stopped = False

    def close(self) -> None:
        """End the connection after what is buffered. Close the machine first."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def turn(self) -> None:
        """After every call that changes the machine: steps 2 to 5.

        A machine outlives its connection: what a receiver has buffered is still to be played.
        """
        assert self._transport is not None
        for data in self.machine.transmits():  # 2. drain what it wants sent
            if not self._transport.is_closing():
                self._transport.write(data)
        for event in self.machine.events():  # 3. drain what happened
            self._on_event(event)
        if getattr(self.machine, "wants_close", False):
            self._transport.close()
        deadline = None if self._stopped else self.machine.deadline()  # 4. ask when, arm one timer
        if deadline != self._armed:
            self._arm(deadline)

    def _arm(self, deadline: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = deadline
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(deadline / NS_PER_S, self._wake)  # 5. wait

    def _wake(self) -> None:
        self._armed = None
        self.machine.tick(now())  # 1. feed
        self.turn()

    # asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The connection is open: the machine may speak first."""
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        no_delay(transport.get_extra_info("socket"), self._nodelay)
        self.machine.tick(now())
        self.turn()

    def data_received(self, data: bytes) -> None:
        """1. feed."""
        self.machine.receive_data(data, now())
        self.turn()

    def eof_received(self) -> bool:
        """1. feed the end. The transport closes itself when nothing is left to send."""
        self.machine.receive_eof(now())
        self.turn()
        return False

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self.machine.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self.machine.resume_writing()
        self.turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, also when it came as a reset."""
        self.machine.receive_eof(now())
        self.turn()
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
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: TcpConnection(machine, on_event, nodelay=nodelay), host, port
        )
    except OSError as error:
        raise BadInput(
            f"cannot connect to TCP {host}:{port}: {error.strerror or error}",
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
    """Connect, and after each failure wait as `backoff` says; the last error after `attempts`."""
    while True:
        try:
            return await connect_tcp(make(), host, port, on_event=on_event)
        except BadInput:
            attempts -= 1
            if attempts <= 0:
                raise
            await asyncio.sleep(to_seconds(backoff.next_delay()))


async def serve_tcp(
    accept: Callable[[], asyncio.Protocol],
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
        raise BadInput(
            f"cannot listen on TCP {host}:{port}: {error.strerror or error}",
            "another port, or --port 0 for any free one",
        ) from error
