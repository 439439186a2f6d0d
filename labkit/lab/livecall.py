"""A call on real sockets: the objects of `Call.simulate`, driven by the event loop.

Sender and receiver have a socket each on the loopback interface, and between them stands a relay
that does to real datagrams what the profile says. Nothing here decides anything: decisions are
the machines'.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labkit.core.source import Clip
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.sender import LINGER, Sender
from labkit.lab.layered import STREAMS
from labkit.lab.livesound import LiveSink, LiveSource
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.live.clock import now, wallclock_offset
from labkit.live.driver import Driver
from labkit.live.relay import UdpRelay
from labkit.live.stopwatch import Stopwatch
from labkit.live.tcp import TcpConnection, connect_tcp, serve_tcp
from labkit.live.tcprelay import TcpRelay
from labkit.live.udp import open_udp
from labkit.words.errors import MissingCapability, SessionClosed
from labkit.words.format import Samples
from labkit.words.machine import Event
from labkit.words.units import to_seconds

if TYPE_CHECKING:
    from labkit.lab.call import Call

GRACE_S = 30
"""How long a call may last beyond its sound before it is given up."""


async def run(call: "Call", duration: float = 10.0, speaker: LiveSink | None = None) -> Result:
    """Run `call` in real time. `SessionClosed` if it does not come to an end.

    `duration` is how many seconds a microphone speaks.
    """
    if isinstance(call.source, Clip):
        duration = call.seconds
    try:
        async with asyncio.timeout(duration + GRACE_S), AsyncExitStack() as stack:
            live = _Live(call, duration)
            await live.prepare(stack, speaker)
            connect = _over_tcp if call.transport in STREAMS else _over_udp
            sender, receiver = await connect(call, live)
            await live.finish()
            return call.result(sender, receiver, live.notes, said=live.said)
    except TimeoutError:
        raise SessionClosed("the call did not end in time", clean=False, by="us") from None


class _Live:
    """What a call is beside its two ends: who speaks into it, who hears it, when it is over."""

    def __init__(self, call: "Call", duration: float) -> None:
        self.call = call
        self.duration = duration
        self.notes = Notes()
        self.done = asyncio.Event()
        self.said: Samples | None = None
        """What the microphone heard while the call lasted."""
        self._blocks: AsyncIterator[Samples] | None = None
        self._write: Callable[[Samples, int], object] | None = None
        self._latency: Callable[[], int] = int

    async def prepare(self, stack: AsyncExitStack, speaker: LiveSink | None) -> None:
        """Open microphone and speaker, if there are any."""
        form = self.call.codec.sample_rate, self.call.codec.channels
        if speaker is not None:
            playing = stack.enter_context(speaker.playing(*form))
            self._write, self._latency = playing.write, lambda: playing.latency
        if isinstance(self.call.source, LiveSource):
            self._blocks = await stack.enter_async_context(self.call.source.captured(*form))

    def take(self, event: Event) -> None:
        """An event of the receiver."""
        self.notes.take(event)
        if self._write is not None and isinstance(event, Heard):
            self._write(event.played, event.now)
        if self.notes.finished:
            self.done.set()

    async def until_done(self, sender: Sender, alice: Driver, bob: Driver) -> None:
        """Until the last frame was played. What a part raises meanwhile is raised here."""
        ends: list[asyncio.Future[None]] = [alice.done, bob.done]
        if self._blocks is not None:
            ends.append(asyncio.ensure_future(self._speak(self._blocks, sender, alice)))
        for end in ends:
            end.add_done_callback(self._ended)
        try:
            await self.done.wait()
        finally:
            for end in ends[2:]:
                end.cancel()
        for end in ends:
            if end.done() and not end.cancelled():
                end.result()

    def _ended(self, end: "asyncio.Future[None]") -> None:
        if end.cancelled() or end.exception():
            self.done.set()

    async def _speak(self, blocks: AsyncIterator[Samples], sender: Sender, alice: Driver) -> None:
        """Push what the microphone hears, once somebody listens."""
        said: list[Samples] = []
        missing = round(self.duration * self.call.codec.sample_rate)
        async for block in blocks:
            if sender.joined:
                part = block[:missing]
                said.append(part)
                missing -= len(part)
                sender.push_audio(part, now())
                alice.turn()
                if not missing:
                    break
        if not said:
            raise MissingCapability("the microphone gave no sound", "switch it on, and call again")
        self.said = np.concatenate(said)
        await asyncio.sleep(to_seconds(LINGER))
        sender.close(now())
        alice.turn()

    async def finish(self) -> None:
        """Until the last word was heard."""
        await asyncio.sleep(to_seconds(self._latency()))


async def _over_udp(call: "Call", live: _Live) -> tuple[Sender, Receiver]:
    offset = wallclock_offset()
    watch = Stopwatch(call.codec)
    watched = replace(call, codec=watch)
    sender = watch.sender(watched.sender(offset))
    alice = await open_udp(sender)
    async with await UdpRelay.start(
        ("127.0.0.1", 0), alice.address, call.profile, call.seed
    ) as relay:
        receiver = watch.receiver(watched.receiver(relay.address, offset))
        bob = await open_udp(receiver, on_event=live.take)
        try:
            await live.until_done(sender, alice, bob)
        finally:
            bob.close()
            alice.close()
    return sender, receiver


async def _over_tcp(call: "Call", live: _Live) -> tuple[Sender, Receiver]:
    watch = Stopwatch(call.codec)
    watched = replace(call, codec=watch)
    sender, receiver = watch.sender(watched.sender()), watch.receiver(watched.receiver(None))
    alice = TcpConnection(sender, nodelay=call.nodelay)
    server = await serve_tcp(lambda: alice)
    address = server.sockets[0].getsockname()[:2]
    async with await TcpRelay.start(("127.0.0.1", 0), address, call.profile, call.seed) as relay:
        bob = await connect_tcp(receiver, *relay.address, on_event=live.take)
        try:
            await live.until_done(sender, alice, bob)
        finally:
            bob.close()
            alice.close()
            server.close()
    return sender, receiver
