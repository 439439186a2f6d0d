"""One voice, many listeners over TCP and UDP: who is let in, and how it ends for all."""

import asyncio
from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.session import Closed, Joined, Received, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.broadcast import broadcast_tcp
from labkit.live.clock import now
from labkit.live.tcp import connect_tcp
from labkit.live.udp import open_udp
from labkit.words.errors import BadInput
from labkit.words.machine import Event

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
