"""A datagram machine on a real UDP socket.

The adapter does five things and nothing else: feed, send, report, ask for the deadline, wait. The
numbers in the comments are those of `labkit.words.machine`. What the bytes mean, when to answer
and what to give up on is the machine's affair.

An event loop would log what a machine raises and go on without it. Here it ends the endpoint:
await `done`, and it is raised where somebody waits.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from labkit.live.clock import now
from labkit.words.errors import BadInput
from labkit.words.machine import DatagramMachine, Event
from labkit.words.units import NS_PER_S

RECEIVE_BUFFER = 1 << 20
"""Bytes the kernel may hold for us; the default loses half of a burst of 500 datagrams."""


class UdpEndpoint(asyncio.DatagramProtocol):
    """Drives one machine on one socket. Made by `open_udp`."""

    def __init__(self, machine: DatagramMachine, on_event: Callable[[Event], None]) -> None:
        self.machine = machine
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the socket is closed; raises what the machine or `on_event` raised."""
        self._on_event = on_event
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: int | None = None
        self._others: list[asyncio.DatagramTransport] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where the socket is bound."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def close(self) -> None:
        """Close the socket. Close the machine first, so that it can say goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        for transport in (self._transport, *self._others):
            if transport is not None:
                transport.close()
        if not self.done.done():
            self.done.set_result(None)

    async def also_listen(self, host: str, port: int) -> None:
        """Take datagrams from a second port too: RTCP beside RTP (RFC 3550 section 11)."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _SecondPort(self), sock=udp_socket(host, port)
        )
        self._others.append(transport)

    def turn(self) -> None:
        """After every call that changes the machine: steps 2 to 5."""
        assert self._transport is not None
        if self._transport.is_closing():
            return
        send: Any = self._transport.sendto
        for data, destination in self.machine.transmits():  # 2. drain what it wants sent
            send(data, destination)
        for event in self.machine.events():  # 3. drain what happened
            self._on_event(event)
        deadline = self.machine.deadline()  # 4. ask when, arm one timer
        if deadline != self._armed:
            self._arm(deadline)

    def _arm(self, deadline: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = deadline
        if deadline is not None and not self.done.done():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(deadline / NS_PER_S, self._wake)  # 5. wait

    def _wake(self) -> None:
        self._armed = None
        self._drive(self.machine.tick, now())  # 1. feed

    def _drive(self, feed: Callable[..., None], *arguments: Any) -> None:
        """Feed the machine and take the other steps; what is raised meanwhile is the end."""
        try:
            feed(*arguments)
            self.turn()
        except Exception as error:  # noqa: BLE001 - whoever awaits `done` decides
            if not self.done.done():
                self.done.set_exception(error)
            self.close()

    # asyncio.DatagramProtocol -----------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The socket is open: the machine may have something to say."""
        self._transport = transport
        self._drive(self.machine.tick, now())

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """1. feed. Of IPv6's four-part addresses the first two parts tell who it is."""
        self._drive(self.machine.receive_datagram, data, addr[:2], now())

    def error_received(self, exc: Exception) -> None:
        """The kernel reports what ICMP said: to a machine, that is silence like any other."""


class _SecondPort(asyncio.DatagramProtocol):
    """Hands what it receives to an endpoint."""

    def __init__(self, endpoint: UdpEndpoint) -> None:
        self._endpoint = endpoint

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._endpoint.datagram_received(data, addr)


def udp_socket(host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket. `BadInput` when the address is busy or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise BadInput(
            f"cannot receive on UDP {host}:{port}: {error.strerror or error}",
            "another port, or --port 0 for any free one",
        ) from error
    return sock


async def open_udp(
    machine: DatagramMachine,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> UdpEndpoint:
    """Run `machine` on a UDP socket bound to `host` and `port` (0: any free one)."""
    sock = udp_socket(host, port)
    loop = asyncio.get_running_loop()
    _, endpoint = await loop.create_datagram_endpoint(
        lambda: UdpEndpoint(machine, on_event), sock=sock
    )
    return endpoint
