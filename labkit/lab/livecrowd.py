"""A crowd on real sockets: the objects of `Crowd.simulate`, driven by the event loop (week 10).

The server has one socket (UDP) or one that accepts (TCP); each listener has its own, and a relay
before it that does to real bytes what its line says. A `clear` line needs none. Who never reads is
a bare socket with the smallest buffer that the system gives, which asks for the stream and then
does nothing at all.
"""

import asyncio
import contextlib
import socket
from contextlib import AsyncExitStack
from typing import Any, Final

from labkit.lab.crowd import HELLO, SAMPLED, Crowd, NeverReads, OwnQueues, note
from labkit.lab.crowdresult import CrowdResult, Sample
from labkit.lab.notes import Notes
from labkit.live.broadcast import broadcast_tcp
from labkit.live.clock import now
from labkit.live.relay import TcpRelay, UdpRelay
from labkit.live.tcp import connect_tcp
from labkit.live.udp import open_udp
from labkit.words.errors import SessionClosed
from labkit.words.machine import Address
from labkit.words.units import to_seconds

GRACE_S: Final = 20
"""How long a crowd may last beyond its sound before it is sent home."""
PATIENCE_S: Final = 10
"""How long a listener may take to be let in."""
SMALL: Final = 4096
"""Bytes that the system may keep for who never reads."""


async def run(crowd: Crowd) -> CrowdResult:
    """Run `crowd` in real time. `SessionClosed` if it does not come to an end."""
    voice = crowd.voice()
    live = _Live(crowd, crowd.make_server(voice))
    length = len(crowd.clip) / crowd.codec.sample_rate
    try:
        async with asyncio.timeout(length + GRACE_S), AsyncExitStack() as stack:
            await live.gather(stack)
            await live.finish()
    except TimeoutError:
        raise SessionClosed("the crowd did not end in time", clean=False, by="us") from None
    return crowd.result(live.server, live.ends, live.notes, live.samples)


class _Live:
    """A server, and who has come so far."""

    def __init__(self, crowd: Crowd, server: OwnQueues) -> None:
        self.crowd = crowd
        self.server = server
        self.ends: dict[str, Any] = {}
        self.notes = {name: Notes() for name in crowd.lines}
        self.samples: dict[str, list[Sample]] = {name: [] for name in crowd.lines}
        self.known: dict[str, Address] = {}

    async def gather(self, stack: AsyncExitStack) -> None:
        """Let everybody in, one after the other, so that it is known who is who."""
        if self.crowd.transport == "tcp":
            broadcast = await broadcast_tcp(self.server)
            stack.push_async_callback(broadcast.close)
            address = broadcast.address
        else:
            endpoint = await open_udp(self.server)
            stack.callback(endpoint.close)
            address = endpoint.address
        watching = asyncio.ensure_future(self._watch())
        stack.callback(watching.cancel)
        for number, name in enumerate(self.crowd.lines):
            await self._let_in(stack, name, await self._way(stack, name, address, number))

    async def _way(self, stack: AsyncExitStack, name: str, to: Any, number: int) -> Any:
        """Where this listener connects to: the server, or a relay that is its line."""
        profile = self.crowd.profiles[name]
        if not self.crowd.reads(name) or profile.name == "clear":
            return to
        kind: Any = TcpRelay if self.crowd.transport == "tcp" else UdpRelay
        relay = await kind.start(("127.0.0.1", 0), to, profile, self.crowd.seed + number)
        await stack.enter_async_context(relay)
        return relay.address

    async def _let_in(self, stack: AsyncExitStack, name: str, to: Any) -> None:
        before = set(self.server.clients)
        take = self.notes[name].take
        if not self.crowd.reads(name):
            self.ends[name] = NeverReads()
            stack.enter_context(await _stalled(to))
        else:
            self.ends[name] = self.crowd.receiver(name, to)
            if self.crowd.transport == "tcp":
                end: Any = await connect_tcp(self.ends[name], *to, on_event=take)
            else:
                end = await open_udp(self.ends[name], on_event=take)
            stack.callback(end.close)
        with contextlib.suppress(TimeoutError):  # there was no room
            async with asyncio.timeout(PATIENCE_S):
                while not self._seated(before):
                    await asyncio.sleep(0.002)
                    if self.server.refused_clients:
                        return
        for address in set(self.server.clients) - before:
            self.known[name] = address

    def _seated(self, before: set[Address]) -> bool:
        return any(
            client.session.ready
            for address, client in self.server.clients.items()
            if address not in before
        )

    async def _watch(self) -> None:
        """The figures of each listener while the voice speaks, written down again and again."""
        voice = self.server.voice
        while not (voice.finished or self.server.closing):
            if voice.started is not None:
                instant = now()
                note(self.server, self.known, self.samples, instant - voice.started, instant)
            await asyncio.sleep(to_seconds(SAMPLED))

    async def finish(self) -> None:
        """Until everybody who listens has heard the last word."""
        waited = [self.notes[name] for name in self.known if self.crowd.reads(name)]
        while not all(note.finished for note in waited):
            await asyncio.sleep(0.01)


async def _stalled(to: tuple[str, int]) -> socket.socket:
    """A connection that asks for the stream and reads nothing of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, to)
    await loop.sock_sendall(sock, HELLO)
    return sock
