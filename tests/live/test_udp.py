"""A machine on a UDP socket: the five steps, and what they do when something is wrong."""

import asyncio
import socket

import pytest

from labkit.core.datagramsession import DatagramSession
from labkit.core.session import Closed, Joined, Role
from labkit.live.clock import now
from labkit.live.udp import open_udp
from labkit.words.errors import BadInput
from labkit.words.machine import Datagram, Event
from labkit.words.units import ms

pytestmark = pytest.mark.live


class Echo:
    """Answers each datagram, and notes when it was ticked; `alarm` is when it wants to be."""

    def __init__(self, alarm: int | None = None) -> None:
        self.alarm = alarm
        self.ticks: list[int] = []
        self.sources: list[object] = []
        self._out: list[Datagram] = []

    def receive_datagram(self, data: bytes, source: object, now: int) -> None:
        self.sources.append(source)
        if data == b"fail":
            raise BadInput("told to fail")
        self._out.append(Datagram(data.upper(), source))

    def tick(self, now: int) -> None:
        self.ticks.append(now)
        if self.alarm is not None and now >= self.alarm:
            self.alarm = None

    def deadline(self) -> int | None:
        return self.alarm

    def transmits(self) -> list[Datagram]:
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        return []


async def ask(address: tuple[str, int], data: bytes, family: int = socket.AF_INET) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, data)
        return await asyncio.wait_for(loop.sock_recv(sock, 100), 10)


def test_a_datagram_is_fed_and_answered():
    async def main():
        echo = Echo()
        endpoint = await open_udp(echo)
        assert await ask(endpoint.address, b"hello") == b"HELLO"
        assert len(echo.ticks) == 1  # when the socket opened: a machine may speak first
        endpoint.close()
        await endpoint.done

    asyncio.run(main())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_addresses_are_pairs_too():
    """The kernel's have four parts; a session compares its peer with (host, port)."""

    async def main():
        echo = Echo()
        try:
            endpoint = await open_udp(echo, host="::1")
        except BadInput:
            pytest.skip("no IPv6 loopback")
        assert await ask(endpoint.address, b"hello", socket.AF_INET6) == b"HELLO"
        ((host, port),) = echo.sources
        assert (host, type(port)) == ("::1", int)
        endpoint.close()

    asyncio.run(main())


def test_a_deadline_is_kept_and_not_early():
    """Ticked when it is due, within the fraction of a second that a busy machine takes."""

    async def main():
        due = now() + ms(30)
        echo = Echo(due)
        endpoint = await open_udp(echo)
        async with asyncio.timeout(10):
            while echo.alarm is not None:
                await asyncio.sleep(0.001)
        assert due <= echo.ticks[-1] < due + ms(300)
        endpoint.close()

    asyncio.run(main())


def test_a_second_port_feeds_the_same_machine():
    """RTCP beside RTP (RFC 3550 section 11); answers leave from the first."""

    async def main():
        echo = Echo()
        endpoint = await open_udp(echo)
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        await endpoint.also_listen("127.0.0.1", port)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            sock.sendto(b"report", ("127.0.0.1", port))
            loop = asyncio.get_running_loop()
            answer, source = await asyncio.wait_for(loop.sock_recvfrom(sock, 100), 10)
        assert (answer, source) == (b"REPORT", endpoint.address)
        endpoint.close()

    asyncio.run(main())


def test_what_a_machine_raises_is_raised_where_somebody_waits():
    """The socket is closed, and `done` tells why; nothing is left to an event loop's log."""

    async def main():
        endpoint = await open_udp(Echo())
        address = endpoint.address
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"fail", address)
        with pytest.raises(BadInput, match="told to fail"):
            await asyncio.wait_for(endpoint.done, 10)
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(address)

    asyncio.run(main())


def test_a_busy_port_is_named():
    async def main():
        endpoint = await open_udp(Echo())
        host, port = endpoint.address
        with pytest.raises(BadInput, match=rf"{host}:{port}: Address already in use") as error:
            await open_udp(Echo(), host=host, port=port)
        assert "--port 0" in error.value.remedy
        endpoint.close()

    asyncio.run(main())


def test_two_sessions_meet_and_part():
    """The machines of virtual time, unmodified, on real sockets."""

    async def main():
        seen: dict[str, list[Event]] = {"sender": [], "receiver": []}
        sender = DatagramSession(Role.SENDER, "v=0")
        alice = await open_udp(sender, on_event=seen["sender"].append)
        receiver = DatagramSession(Role.RECEIVER, peer=alice.address)
        bob = await open_udp(receiver, on_event=seen["receiver"].append)
        async with asyncio.timeout(10):
            while not seen["receiver"]:
                await asyncio.sleep(0.001)
            receiver.close(now())
            bob.turn()
            while not (sender.closed and receiver.closed):
                await asyncio.sleep(0.001)
        alice.close()
        bob.close()
        assert seen["sender"] == [Joined("v=0"), Closed(clean=True, by="peer", why="BYE")]
        assert seen["receiver"] == [Joined("v=0"), Closed(clean=True, by="us", why="closed")]

    asyncio.run(main())
