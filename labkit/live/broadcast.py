"""A `Server` on real TCP connections: one voice, a connection for each listener.

Over UDP a server is one machine on one socket, and `open_udp` is all it needs. Over TCP somebody
must accept connections and let the voice that they share speak; that is all this does. Each
listener's end is a machine on its own connection, with its own timer.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from labkit.core.session import Joined
from labkit.endpoints.client import Client, name_of
from labkit.endpoints.server import Server
from labkit.live.clock import now
from labkit.live.tcp import LINGER_S, TcpConnection, serve_tcp
from labkit.words.machine import Event
from labkit.words.units import NS_PER_S


class _Listener(TcpConnection):
    """A connection whose client is shown by the address that it comes from."""

    def __init__(self, client: Client, report: Callable[[Event], None], nodelay: bool) -> None:
        super().__init__(client, report, nodelay=nodelay)
        self._client = client

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        if peer is not None:  # None when it has gone already
            self._client.shown = name_of(peer[:2])
        super().connection_made(transport)


class _Refusal(asyncio.Protocol):
    """What a client gets when there is no room: the connection closes."""

    def connection_made(self, transport: Any) -> None:
        transport.close()


class TcpBroadcast:
    """Runs `server` on a listening socket. Made by `broadcast_tcp`."""

    def __init__(self, server: Server, on_event: Callable[[Event], None], nodelay: bool) -> None:
        self.server = server
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it is closed; raises what the voice, a session or `on_event` raised."""
        self._on_event = on_event
        self._nodelay = nodelay
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0
        self._by_name: dict[Any, TcpConnection] = {}  # as the server knows them
        server.hang_up = self._hang_up

    @property
    def connections(self) -> list[TcpConnection]:
        """Everybody's, the oldest first."""
        return list(self._by_name.values())

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Those that listen: what is set there before the first connection holds for all."""
        assert self._listener is not None
        return tuple(self._listener.sockets)

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept."""
        self._listener = await serve_tcp(self._accept, host=host, port=port)

    def turn(self) -> None:
        """After every call that changes the server: let each connection send, arm the timer."""
        for connection in self.connections:
            connection.turn()
        self._arm()

    async def close(self) -> None:
        """Stop listening, end every session in order, and cut off who does not take its end."""
        if self._listener is not None:
            self._listener.close()
        self.server.close(now())
        self.turn()
        if not self.done.done():
            self.done.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        ends = [connection.done for connection in self.connections]
        if ends:
            await asyncio.wait(ends, timeout=LINGER_S)
        for connection in self.connections:
            connection.abort()

    def _speak(self) -> None:
        try:
            self.server.speak(now())
            self.turn()
        except Exception as error:  # noqa: BLE001 - whoever awaits `done` decides
            self._fail(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.server.speaks()
        if deadline is not None and not self.done.done():
            self._timer = asyncio.get_running_loop().call_at(deadline / NS_PER_S, self._speak)

    def _hang_up(self, name: Any) -> None:
        self._by_name[name].abort()

    def _fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _accept(self) -> asyncio.BaseProtocol:
        self._count += 1
        name = self._count
        sender = self.server.admit(name)
        if sender is None:
            return _Refusal()

        def report(event: Event) -> None:
            self.server.receive_event(name, event, now())
            if isinstance(event, Joined):
                self._arm()  # the voice may have begun
            self._on_event(event)

        connection = _Listener(sender, report, self._nodelay)
        self._by_name[name] = connection

        def forget(done: asyncio.Future[None]) -> None:
            del self._by_name[name]
            self.server.dismiss(name)
            if (error := done.exception()) is not None:
                self._fail(error)

        connection.done.add_done_callback(forget)
        return connection


async def broadcast_tcp(
    server: Server,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    nodelay: bool = True,
    on_event: Callable[[Event], None] = lambda event: None,
) -> TcpBroadcast:
    """Serve `server` on TCP `host` and `port` (0: any free one)."""
    broadcast = TcpBroadcast(server, on_event, nodelay)
    await broadcast.listen(host, port)
    return broadcast
