"""The relays: real sockets, the profile's decisions, and places that are given back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from labkit.core.impairment import UDP_HEADERS, Impairment
from labkit.live.clock import now
from labkit.live.relay import TcpRelay, UdpRelay
from labkit.live.tcprelay import lossless
from labkit.words.errors import BadInput
from labkit.words.linkspec import GilbertElliott, LinkSpec, Reorder, Step
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds, to_ms

pytestmark = pytest.mark.live

LOCAL = ("127.0.0.1", 0)


def profile(up: LinkSpec | None = None, down: LinkSpec | None = None) -> Profile:
    return Profile("test", "a test", "chosen", up or LinkSpec(), down or LinkSpec())


class Mailbox(asyncio.DatagramProtocol):
    """Keeps what arrives, with its sender and instant; `echo` sends it back."""

    def __init__(self, echo: bool = False) -> None:
        self.mail: asyncio.Queue[tuple[bytes, tuple[str, int], int]] = asyncio.Queue()
        self.echo = echo

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.mail.put_nowait((data, addr, now()))
        if self.echo:
            self.transport.sendto(data, addr)

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.transport.sendto(data, to)


@asynccontextmanager
async def mailboxes(count: int, echo: int | None = None) -> AsyncIterator[list[Mailbox]]:
    """Bound sockets on loopback; the one numbered `echo` answers."""
    loop = asyncio.get_running_loop()
    boxes = []
    for number in range(count):
        made = await loop.create_datagram_endpoint(
            lambda number=number: Mailbox(number == echo), local_addr=LOCAL
        )
        boxes.append(made[1])
    try:
        yield boxes
    finally:
        for box in boxes:
            box.transport.close()
        await asyncio.sleep(0)


def address(box: Mailbox) -> tuple[str, int]:
    return box.transport.get_extra_info("sockname")


async def relay_to(server: Mailbox, a_profile: Profile, **options) -> UdpRelay:
    return await UdpRelay.start(LOCAL, address(server), a_profile, **options)


def test_there_and_back_each_direction_has_its_delay():
    """30 ms up and 20 ms down are 50 ms for an echo, and a few for the event loop."""

    async def main():
        async with mailboxes(2, echo=1) as (client, server):
            specs = profile(LinkSpec(delay=ms(30)), LinkSpec(delay=ms(20)))
            async with await relay_to(server, specs) as relay:
                start = now()
                client.send(b"hello", relay.address)
                data, sender, came = await client.mail.get()
                _, _, passed = await server.mail.get()
                assert (data, sender) == (b"hello", relay.address)
                assert ms(30) <= passed - start < ms(300)
                assert ms(50) <= came - start < ms(400)

    asyncio.run(main())


def test_the_relay_decides_as_the_simulation_does():
    """The same profile and seed lose the same packets, one after another."""
    spec = LinkSpec(loss=0.3, delay=ms(1))
    expected = Impairment(spec, "5 up", headers=UDP_HEADERS)
    survivors = [n for n in range(100) if expected.push(b"%03d" % n, n)]

    async def main():
        async with (
            mailboxes(2) as (client, server),
            await relay_to(server, profile(spec), seed=5) as relay,
        ):
            for number in range(100):
                client.send(b"%03d" % number, relay.address)
            came = [int((await server.mail.get())[0]) for _ in survivors]
            assert came == survivors
            assert relay.to_server.sent == 100
            assert relay.to_server.lost == 100 - len(survivors)

    asyncio.run(main())


def test_packets_leave_in_the_order_of_their_instants():
    """A packet that draws a long delay is overtaken, as on the wire."""
    spec = LinkSpec(delay=ms(20), jitter=ms(20))
    expected = Impairment(spec, "1 up", headers=UDP_HEADERS)
    instants = [(expected.push(b"", 0)[0][0], n) for n in range(8)]

    async def main():
        async with (
            mailboxes(2) as (client, server),
            await relay_to(server, profile(spec), seed=1) as relay,
        ):
            for number in range(8):
                client.send(b"%d" % number, relay.address)
            came = [int((await server.mail.get())[0]) for _ in range(8)]
            assert came != sorted(came)
            assert came == [number for _, number in sorted(instants)]

    asyncio.run(main())


def test_every_client_has_a_socket_of_its_own():
    """The server tells clients apart, and each gets its own answers: as behind a NAT."""

    async def main():
        async with (
            mailboxes(4, echo=3) as (*clients, server),
            await relay_to(server, profile()) as relay,
        ):
            for number, client in enumerate(clients):
                client.send(b"%d" % number, relay.address)
            for number, client in enumerate(clients):
                assert (await client.mail.get())[0] == b"%d" % number
            sources = {(await server.mail.get())[1] for _ in clients}
            assert len(sources) == 3

    asyncio.run(main())


def test_clients_are_bounded():
    """Who comes when every place is taken is refused and counted, and costs nothing."""

    async def main():
        async with (
            mailboxes(3, echo=2) as (first, second, server),
            await relay_to(server, profile(), max_clients=1) as relay,
        ):
            first.send(b"1", relay.address)
            await first.mail.get()
            second.send(b"2", relay.address)
            first.send(b"3", relay.address)
            assert (await first.mail.get())[0] == b"3"
            assert second.mail.empty()
            assert relay.refused == 1
            assert len(relay.clients) == 1

    asyncio.run(main())


def test_an_idle_client_gives_its_place_to_a_new_one():
    """With a patience of nothing, every client that is not speaking is idle."""

    async def main():
        async with (
            mailboxes(3, echo=2) as (first, second, server),
            await relay_to(server, profile(), max_clients=1, idle=0) as relay,
        ):
            first.send(b"1", relay.address)
            await first.mail.get()
            second.send(b"2", relay.address)
            assert (await second.mail.get())[0] == b"2"
            assert relay.refused == 0

    asyncio.run(main())


def test_a_server_that_is_not_there_is_loss_and_no_error():
    """The kernel says "port unreachable"; the relay goes on."""

    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(LOCAL)
            port = nobody.getsockname()[1]
        async with (
            mailboxes(2, echo=1) as (client, server),
            await UdpRelay.start(LOCAL, ("127.0.0.1", port), profile()) as relay,
        ):
            client.send(b"1", relay.address)
            client.send(b"2", relay.address)
            client.send(b"ping", address(server))
            await client.mail.get()  # by now the kernel has answered
            assert relay.to_server.sent == 2

    asyncio.run(main())


def test_a_busy_port_and_an_unknown_host_are_named():
    """Both are what a person typed, and the message says which."""

    async def main():
        async with mailboxes(1) as (server,):
            with pytest.raises(BadInput, match="cannot receive on UDP"):
                await UdpRelay.start(address(server), address(server), profile())
            with pytest.raises(BadInput, match=r"no host 'nowhere\.invalid'"):
                await UdpRelay.start(LOCAL, ("nowhere.invalid", 1), profile())

    asyncio.run(main())


# --- TCP -----------------------------------------------------------------------------------------


@asynccontextmanager
async def echo_server() -> AsyncIterator[tuple[str, int]]:
    """Sends back what comes, and ends when the client does."""

    async def answer(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, *LOCAL)
    async with server:
        yield server.sockets[0].getsockname()


def test_tcp_every_byte_arrives_later_and_in_order():
    """Jitter, loss and all: a stream stays a stream, at least one delay late each way."""
    spec = LinkSpec(delay=ms(10), jitter=ms(8), loss=0.5, duplicate=0.5, corrupt=0.5)

    async def main():
        async with (
            echo_server() as server,
            await TcpRelay.start(LOCAL, server, profile(spec, spec)) as relay,
        ):
            reader, writer = await asyncio.open_connection(*relay.address)
            sent = bytes(range(256)) * 200
            start = now()
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(-1) == sent
            assert to_ms(now() - start) >= 2 * (10 - 8)
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_tcp_rate_is_kept():
    """40 segments at 4 Mbit/s take 120 ms, headers counted."""

    async def main():
        async with (
            echo_server() as server,
            await TcpRelay.start(LOCAL, server, profile(LinkSpec(rate=4_000_000))) as relay,
        ):
            reader, writer = await asyncio.open_connection(*relay.address)
            start = now()
            writer.write(bytes(40 * 1448))
            writer.write_eof()
            assert len(await reader.read(-1)) == 40 * 1448
            assert ms(119) <= now() - start < ms(1000)
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_tcp_a_missing_server_closes_the_connection():
    """The client sees its connection end, and the relay lives on."""

    async def main():
        with socket.socket() as nobody:
            nobody.bind(LOCAL)
            port = nobody.getsockname()[1]
        async with await TcpRelay.start(LOCAL, ("127.0.0.1", port), profile()) as relay:
            for attempt in (1, 2):
                reader, writer = await asyncio.open_connection(*relay.address)
                assert await reader.read() == b""
                assert relay.refused == attempt
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())


def test_tcp_a_reset_cuts_both_sides():
    """A client that resets is not left half open at the server."""

    async def main():
        ended = asyncio.Event()

        async def answer(reader, writer):
            with suppress(OSError):
                while await reader.read(100):
                    pass
            ended.set()
            writer.close()

        server = await asyncio.start_server(answer, *LOCAL)
        async with server:
            to = server.sockets[0].getsockname()
            async with await TcpRelay.start(LOCAL, to, profile()) as relay:
                _, writer = await asyncio.open_connection(*relay.address)
                writer.write(b"hello")
                await writer.drain()
                writer.transport.abort()
                await ended.wait()

    asyncio.run(main())


def test_tcp_what_breaks_a_stream_is_taken_out_of_every_step():
    """Delay, jitter and rate stay, in the steps too."""
    spec = LinkSpec(
        delay=ms(5),
        jitter=ms(1),
        gemodel=GilbertElliott(0.1, 0.5),
        duplicate=0.1,
        reorder=Reorder(0.1),
        corrupt=0.1,
        rate=1000,
        steps=(Step(seconds(1), LinkSpec(delay=ms(7), loss=1.0)),),
    )
    safe = lossless(spec)
    assert (safe.delay, safe.jitter, safe.rate) == (ms(5), ms(1), 1000)
    assert (safe.gemodel, safe.duplicate, safe.reorder, safe.corrupt) == (None, 0, None, 0)
    assert safe.steps[0].spec.loss == 0
    assert safe.steps[0].spec.delay == ms(7)


def test_tcp_closing_with_a_connection_open_says_nothing():
    """Python 3.11 would log an error of the server's task; in a notebook everybody sees it."""
    complaints: list[dict[str, object]] = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        async with echo_server() as server:
            relay = await TcpRelay.start(LOCAL, server, profile())
            reader, writer = await asyncio.open_connection(*relay.address)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            await relay.close()
            assert await reader.read() == b""
            writer.close()
            assert complaints == []  # before the echo server's own task is cut

    asyncio.run(main())
