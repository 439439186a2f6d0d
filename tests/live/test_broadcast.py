"""One voice, many listeners over TCP and UDP: who is let in, and how it ends for all."""

import asyncio
import contextlib
import socket
from random import Random

import numpy as np
import pytest
import quicparts

from labkit.codec import Blank, Pcm
from labkit.core.datagramsession import DatagramSession
from labkit.core.delaypolicy import Fixed
from labkit.core.flowcontrol import Drop
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Limits, Received, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.quicserver import QuicServer
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.lab.layered import layered
from labkit.live.broadcast import broadcast_tcp
from labkit.live.clock import now
from labkit.live.tcp import connect_tcp
from labkit.live.udp import open_udp
from labkit.wire.framing import Kind, pack
from labkit.words.errors import BadInput
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms

pytestmark = pytest.mark.live

FRAMES = 25
"""Half a second of sound."""


def stream_server(**options) -> Server:
    clip = Clip(np.zeros((FRAMES * 960, 1), np.int16))
    voice = Voice(Blank(), clip, rng=Random(1))
    return Server(voice, lambda _: StreamSession(Role.SENDER, "v=0"), **options)


class Listener:
    """A session whose events are kept by kind."""

    def __init__(self, session) -> None:
        self.session = session
        self.events: list[Event] = []

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def over_tcp(self, address: tuple[str, int]) -> None:
        self.connection = await connect_tcp(self.session, *address, on_event=self.events.append)

    async def closed(self) -> Closed:
        async with asyncio.timeout(10):
            while not self.of(Closed):
                await asyncio.sleep(0.001)
        (closed,) = self.of(Closed)
        return closed


def test_every_listener_hears_the_same_and_is_told_the_end():
    """The voice begins with the first who joins; when it is over, all get BYE and the end."""

    async def main():
        server = stream_server()
        events: list[Event] = []
        broadcast = await broadcast_tcp(server, on_event=events.append)
        listeners = [Listener(StreamSession(Role.RECEIVER)) for _ in range(3)]
        for listener in listeners:
            await listener.over_tcp(broadcast.address)
        ends = [await listener.closed() for listener in listeners]
        heard = [[e.packet for e in listener.of(Received)] for listener in listeners]
        await broadcast.close()
        assert all(end == Closed(True, "peer", "BYE, and the stream ended") for end in ends)
        assert len(heard[0]) == FRAMES
        for packets in heard[1:]:  # who came some milliseconds later may have missed the first
            assert packets == heard[0][-len(packets) :]
            assert len(packets) >= FRAMES - 5
        assert len([e for e in events if isinstance(e, Joined)]) == 3
        assert not broadcast.connections
        assert not server.clients

    asyncio.run(main())


def test_a_listener_is_shown_by_the_address_that_it_comes_from():
    """As over datagrams: a number would tell nobody who it is."""

    async def main():
        server = stream_server()
        broadcast = await broadcast_tcp(server)
        listener = Listener(StreamSession(Role.RECEIVER))
        await listener.over_tcp(broadcast.address)
        async with asyncio.timeout(10):
            while not listener.of(Joined):
                await asyncio.sleep(0.001)
        host, port = listener.connection._transport.get_extra_info("sockname")
        assert [each.name for each in server.figures(now()).clients] == [f"{host}:{port}"]
        assert listener.session.stats.jitter is None  # nobody measures it over a stream
        await broadcast.close()

    asyncio.run(main())


def test_a_full_house_refuses_and_lets_in_again():
    """The connection closes at once; when somebody leaves there is room."""

    async def main():
        server = stream_server(max_clients=1)
        broadcast = await broadcast_tcp(server)
        first, second, third = (Listener(StreamSession(Role.RECEIVER)) for _ in range(3))
        await first.over_tcp(broadcast.address)
        await second.over_tcp(broadcast.address)
        assert (await second.closed()).clean is False
        assert server.refused_clients == 1
        first.session.close(now())
        first.connection.turn()
        await first.connection.done
        async with asyncio.timeout(10):
            while server.clients:
                await asyncio.sleep(0.001)
        await third.over_tcp(broadcast.address)
        async with asyncio.timeout(10):
            while not third.of(Joined):
                await asyncio.sleep(0.001)
        await broadcast.close()
        assert (await third.closed()).clean

    asyncio.run(main())


def test_a_voice_that_fails_is_heard_of():
    """What a source raises comes out of `done`; the timer of the voice is no place to hide it."""

    class Broken(Clip):
        def read(self, samples: int):
            raise BadInput("the tape is torn")

    async def main():
        voice = Voice(Blank(), Broken(np.zeros((960, 1), np.int16)))
        broadcast = await broadcast_tcp(Server(voice, lambda _: StreamSession(Role.SENDER, "v=0")))
        listener = Listener(StreamSession(Role.RECEIVER))
        await listener.over_tcp(broadcast.address)
        with pytest.raises(BadInput, match="the tape is torn"):
            await asyncio.wait_for(broadcast.done, 10)
        await broadcast.close()
        await listener.closed()

    asyncio.run(main())


def test_over_datagrams_the_server_is_one_machine():
    """One socket for all; each hears everything and the end."""

    async def main():
        clip = Clip(np.zeros((FRAMES * 960, 1), np.int16))
        server = Server(
            Voice(Blank(), clip, rng=Random(1)), lambda _: DatagramSession(Role.SENDER, "v=0")
        )
        adapter = await open_udp(server)
        listeners = [
            Listener(DatagramSession(Role.RECEIVER, peer=adapter.address)) for _ in range(3)
        ]
        sockets = [await open_udp(each.session, on_event=each.events.append) for each in listeners]
        ends = [await listener.closed() for listener in listeners]
        async with asyncio.timeout(10):
            while not server.closed:
                await asyncio.sleep(0.001)
        for sock in (adapter, *sockets):
            sock.close()
        assert all(end == Closed(True, "peer", "BYE") for end in ends)
        for listener in listeners:
            assert FRAMES - 5 <= len(listener.of(Received)) <= FRAMES

    asyncio.run(main())


# Together ---------------------------------------------------------------------------------------


OVER_TCP = ("tcp", "ws", "wss")


def many(transport: str, voice: Voice):
    """A server by this transport, not yet on a socket."""
    if transport in OVER_TCP:
        return Server(voice, lambda _: layered(StreamSession(Role.SENDER, "v=0"), transport))
    if transport == "quic":
        return QuicServer(lambda _: quicparts.sender(), lambda take: Server(voice, take))
    options = {"ssrc": voice.ssrc, "rng": Random()}
    return Server(voice, lambda _: RtpSession(Role.SENDER, "v=0", **options))


def one(transport: str, peer):
    """A session that asks the server at this address."""
    if transport in OVER_TCP:
        return layered(StreamSession(Role.RECEIVER), transport)
    if transport == "quic":
        return quicparts.receiver(peer=peer)
    return RtpSession(Role.RECEIVER, peer=peer)


@pytest.mark.parametrize("transport", ["tcp", "wss", "rtp", "quic"])
def test_two_receivers_play_the_same_instant_within_50_ms(transport):
    """The second comes 200 ms after the first; each draws its own line by what arrives."""

    async def main():
        voice = Voice(Blank(), Clip(np.zeros((75 * 960, 1), np.int16)), rng=Random(1))
        over_tcp = transport in OVER_TCP
        adapter = await (broadcast_tcp if over_tcp else open_udp)(many(transport, voice))
        played: list[dict[int, int]] = [{}, {}]
        ends = []
        for heard in played:

            def take(event: Event, heard: dict[int, int] = heard) -> None:
                if isinstance(event, Heard) and event.timestamp is not None:
                    heard[event.timestamp % 2**32] = event.now

            session = one(transport, adapter.address)
            machine = Receiver(session, Blank(), policy=Fixed(ms(60)))
            if over_tcp:
                ends.append(await connect_tcp(machine, *adapter.address, on_event=take))
            else:
                ends.append(await open_udp(machine, on_event=take))
            if heard is played[0]:
                async with asyncio.timeout(10):
                    while len(heard) < 10:
                        await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            while not all(end.machine.finished for end in ends):
                await asyncio.sleep(0.001)
        for end in ends:
            end.close()
        (await adapter.close()) if over_tcp else adapter.close()
        both = played[0].keys() & played[1].keys()
        apart = [abs(played[0][media] - played[1][media]) for media in both]
        assert len(both) >= 25
        assert max(apart) < ms(50)
        assert sorted(apart)[len(apart) // 2] < ms(20)

    asyncio.run(main())


# At the door ------------------------------------------------------------------------------------


def test_connections_that_never_ask_keep_nobody_out():
    """Three hundred of them: the oldest are cut off, and a listener is heard among them."""

    async def main():
        server = stream_server(max_clients=2, max_waiting=4)
        broadcast = await broadcast_tcp(server)
        loop = asyncio.get_running_loop()
        idle = []
        for _ in range(300):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, broadcast.address)
            idle.append(sock)
        listener = Listener(StreamSession(Role.RECEIVER))
        await listener.over_tcp(broadcast.address)
        assert (await listener.closed()).clean
        assert len(listener.of(Received)) == FRAMES
        assert server.refused["never asked for the stream"] >= 296
        assert len(broadcast.connections) <= 4
        await broadcast.close()
        for sock in idle:
            sock.close()

    asyncio.run(main())


def test_connections_that_come_all_at_once_keep_nobody_out():
    """As many as fit into one turn of the event loop: the oldest have to go before asyncio has
    told them that they are connected."""

    async def main():
        server = stream_server(max_clients=2, max_waiting=4)
        broadcast = await broadcast_tcp(server)
        idle = [socket.create_connection(broadcast.address) for _ in range(60)]
        for sock in idle[:56]:
            sock.setblocking(False)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        assert len(broadcast.connections) == len(server.clients) == 4
        await broadcast.close()
        for sock in idle:
            sock.close()

    asyncio.run(main())


def test_who_stops_reading_loses_packets_and_nobody_else_does():
    """Faster than real time: the queue is at its bound, and the figures say so."""

    async def main():
        voice = Voice(Pcm(), rng=Random(1))
        limits = Limits(queue=20, drop=Drop.NEWEST)
        server = Server(voice, lambda _: StreamSession(Role.SENDER, "v=0", limits=limits))
        broadcast = await broadcast_tcp(server)
        listener = Listener(StreamSession(Role.RECEIVER))
        await listener.over_tcp(broadcast.address)
        with socket.create_connection(broadcast.address) as stalled:
            stalled.sendall(pack(Packet(0, 0, b""), Kind.HELLO))
            async with asyncio.timeout(10):
                while server.listening() < 2:
                    await asyncio.sleep(0.001)
            said = 0
            async with asyncio.timeout(20):
                while max(c.dropped for c in server.figures(now()).clients) < 100:
                    server.push_audio(np.zeros((960, 1), np.int16), now())
                    broadcast.turn()
                    said += 2  # 1920 bytes are cut into two packets
                    while len(listener.of(Received)) < said:
                        await asyncio.sleep(0)
            figures = server.figures(now())
        slow = max(figures.clients, key=lambda client: client.dropped)
        fast = min(figures.clients, key=lambda client: client.dropped)
        assert (slow.queued, slow.queue_limit) == (20, 20)
        assert slow.lag > 0
        assert (fast.queued, fast.dropped, fast.sent) == (0, 0, said)
        await broadcast.close()

    asyncio.run(main())
