"""A datagram machine on a real UDP socket.

The driver does five things and nothing else: feed, send, report, ask for the deadline, wait
(`labkit.live.driver`). Sending is the kernel's affair and takes no time: what it does not take is
counted in `unsent` and gone, so a full socket delays nobody. What a machine says to many leaves in
one system call where there is one for it (`labkit.live.batch`), by a socket of its own where that
costs less (`labkit.live.outlet`).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from labkit.live.batch import Batch
from labkit.live.clock import now
from labkit.live.driver import Driver
from labkit.live.outlet import outlet
from labkit.live.sockopts import cannot_bind, receive_buffer, send_buffer
from labkit.words.machine import DatagramMachine, Event, SpreadingMachine

RECEIVE_BUFFER = 1 << 20
"""Bytes the kernel may hold for us; the default loses half of a burst of 500 datagrams."""
SEND_BUFFER = 1 << 20
"""Bytes the kernel may hold of ours: one packet to a thousand listeners. Linux cuts it to
`net.core.wmem_max`."""


class UdpEndpoint(Driver, asyncio.DatagramProtocol):
    """Drives one machine on one socket. Made by `open_udp`."""

    machine: DatagramMachine

    def __init__(
        self, machine: DatagramMachine, on_event: Callable[[Event], None], sock: socket.socket
    ) -> None:
        super().__init__(machine, on_event)
        self.sock = sock
        spreads = isinstance(machine, SpreadingMachine)
        self._copies: Any = machine.copies if spreads else tuple  # type: ignore[attr-defined]
        self._outlet = outlet(sock) if spreads else None
        self._batch = Batch(self._outlet or sock)
        self._transport: asyncio.DatagramTransport | None = None
        self._others: list[asyncio.DatagramTransport] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where the socket is bound."""
        host, port = self.sock.getsockname()[:2]
        return host, port

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Its own, and the one for sending if there is one: a mark must be set on each."""
        return (self.sock,) if self._outlet is None else (self.sock, self._outlet)

    @property
    def unsent(self) -> int:
        """Datagrams that the kernel did not take: its buffer was full, or there was no way."""
        return self._batch.unsent

    def close(self) -> None:
        """Close the socket. Close the machine first, so that it can say goodbye."""
        super().close()
        for transport in (self._transport, *self._others):
            if transport is not None:
                transport.close()
        if self._outlet is not None:
            self._outlet.close()
        if not self.done.done():
            self.done.set_result(None)

    async def also_listen(self, host: str, port: int) -> None:
        """Take datagrams from a second port too: RTCP beside RTP (RFC 3550 section 11)."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _SecondPort(self), sock=udp_socket(host, port)
        )
        self.attach(transport)

    def attach(self, transport: asyncio.DatagramTransport) -> None:
        """One more that brings datagrams; it is closed with the endpoint."""
        self._others.append(transport)

    def _send(self) -> None:
        for data, destinations in self._copies():
            self._batch.send_copies(data, destinations)
        for data, destination in self.machine.transmits():
            self._batch.send(data, destination)

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
        receive_buffer(sock, RECEIVE_BUFFER)
        send_buffer(sock, SEND_BUFFER)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise cannot_bind(f"cannot receive on UDP {host}:{port}", error) from error
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
        lambda: UdpEndpoint(machine, on_event, sock), sock=sock
    )
    return endpoint
