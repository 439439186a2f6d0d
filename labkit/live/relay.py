"""A bad network for any system: a relay that does to real datagrams what a profile says.

    relay = await UdpRelay.start(("127.0.0.1", 0), ("127.0.0.1", 5004), profile, seed=7)
    async with relay:
        ...                  # send to relay.address what was meant for port 5004

                       Impairment          one socket for each client, as behind a NAT
    client ──> [ listening socket ] ──────> [ socket ] ──> server
    client <── [                  ] <────── [        ] <── server
                       Impairment

The relay is one link: its clients share the rate and the queue. It needs no rights and no
particular system, and with the same profile and seed it decides as the simulation does. Datagrams
leave up to about a millisecond late, which is as fine as the event loop waits. Connections have
their own relay, `TcpRelay`.

This module knows nothing of what it relays.
"""

import asyncio
import heapq
import itertools
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from labkit.core.impairment import UDP_HEADERS
from labkit.live.clock import now
from labkit.live.relaying import MAX_CLIENTS, Address, both_directions, resolve
from labkit.live.sockopts import receive_buffer
from labkit.live.tcprelay import TcpRelay
from labkit.live.udp import RECEIVE_BUFFER, udp_socket
from labkit.words.profile import Profile
from labkit.words.units import NS_PER_S, seconds

__all__ = ["TcpRelay", "UdpRelay"]

IDLE: Final = seconds(120)
"""Silence after which a client's place may be given to another; RFC 4787 asks NATs for this."""


class UdpRelay:
    """Relays datagrams between many clients and one server. Made by `start`."""

    def __init__(
        self, to: Address, profile: Profile, seed: int, max_clients: int, idle: int
    ) -> None:
        self.to = to
        self.to_server, self.to_clients = both_directions(profile, seed, UDP_HEADERS)
        self.clients: dict[Any, _Client] = {}
        self.refused = 0
        """Datagrams from new clients for whom there was no place."""
        self._max_clients = max_clients
        self._idle = idle
        self._front: asyncio.DatagramTransport | None = None
        self._waiting: list[tuple[int, int, Callable[[bytes], None], bytes]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0

    @classmethod
    async def start(
        cls,
        listen: Address,
        to: Address,
        profile: Profile,
        seed: int = 0,
        *,
        max_clients: int = MAX_CLIENTS,
        idle: int = IDLE,
    ) -> Self:
        """Bind `listen` (port 0: any free one) and relay to `to`. `BadInput` when busy.

        `profile.up` is what happens on the way to the server.
        """
        to = await resolve(to, socket.SOCK_DGRAM)
        relay = cls(to, profile, seed, max_clients, idle)
        loop = asyncio.get_running_loop()
        sock = udp_socket(*listen)
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(relay._from_client), sock=sock
        )
        relay._front = transport
        return relay

    @property
    def address(self) -> Address:
        """Where clients send to."""
        assert self._front is not None
        host, port = self._front.get_extra_info("sockname")[:2]
        return host, port

    def close(self) -> None:
        """Close every socket; what is still on the link is lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        for client in self.clients.values():
            client.close()
        self.clients.clear()
        if self._front is not None:
            self._front.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    # What comes in ----------------------------------------------------------------------------

    def _from_client(self, data: bytes, address: Any) -> None:
        instant = now()
        client = self.clients.get(address) or self._admit(address, instant)
        if client is None:
            self.refused += 1
            return
        client.heard = instant
        self._hold(self.to_server.push(data, instant), client.send)

    def _from_server(self, data: bytes, address: Any) -> None:
        """A datagram for the client at `address`."""
        front = self._front
        assert front is not None
        self._hold(self.to_clients.push(data, now()), lambda data: front.sendto(data, address))

    def _admit(self, address: Any, instant: int) -> "_Client | None":
        """A place for a new client, if need be that of one who has long been silent."""
        if len(self.clients) >= self._max_clients:
            for other, client in list(self.clients.items()):
                if instant - client.heard >= self._idle:
                    client.close()
                    del self.clients[other]
        if len(self.clients) >= self._max_clients:
            return None
        client = _Client(self.to, lambda data, _: self._from_server(data, address))
        self.clients[address] = client
        return client

    # What goes out ----------------------------------------------------------------------------

    def _hold(self, deliveries: list[tuple[int, bytes]], send: Callable[[bytes], None]) -> None:
        for leaves, data in deliveries:
            heapq.heappush(self._waiting, (leaves, next(self._order), send, data))
        self._release()

    def _release(self) -> None:
        """Send what is due, and arm one timer for what is not."""
        waiting = self._waiting
        instant = now()
        while waiting and waiting[0][0] <= instant:
            _, _, send, data = heapq.heappop(waiting)
            send(data)
        earliest = waiting[0][0] if waiting else 0
        if earliest != self._armed:
            self._armed = earliest
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if earliest:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_at(earliest / NS_PER_S, self._ring)

    def _ring(self) -> None:
        self._armed = 0
        self._release()


class _Receiver(asyncio.DatagramProtocol):
    """Passes on what a socket receives."""

    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP). To who sends, that is loss."""


class _Client:
    """A client's socket towards the server. What is sent before it is open waits a moment."""

    def __init__(self, to: Address, receive: Callable[[bytes, Any], None]) -> None:
        self.heard = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []
        self._opening = asyncio.create_task(self._open(to, receive))

    async def _open(self, to: Address, receive: Callable[[bytes, Any], None]) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(receive), remote_addr=to
        )
        receive_buffer(self._transport.get_extra_info("socket"), RECEIVE_BUFFER)
        for data in self._early:
            self._transport.sendto(data)
        self._early.clear()

    def send(self, data: bytes) -> None:
        """Towards the server."""
        if self._transport is not None:
            self._transport.sendto(data)
        else:
            self._early.append(data)

    def close(self) -> None:
        self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
