"""The same listener and the same followers on real sockets, in real time (week 4).

    followed = await follow_live(Patient(), [Outage(1.5, 2.5)], clip=speech(4))

A TCP server on the loopback interface dies and is started again at the same port, as the outages
say, and the listener comes back when its follower says so. A server dies as a killed process does:
its sockets are closed, and what they say then, FIN or RST, is the kernel's affair. asyncio tells
its protocols only that the connection has ended, so here every end is a `fin`.

This module decides nothing: followers do.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from labkit.codec.face import Codec
from labkit.core.reconnect import Backoff
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Finished
from labkit.endpoints.sender import LINGER, Sender
from labkit.endpoints.voice import Voice
from labkit.lab.call import Call
from labkit.lab.followers import Attempt, Followed, Follower, Outage, in_seconds, waited
from labkit.lab.notes import Notes
from labkit.live.clock import now
from labkit.live.tcp import TcpConnection, connect_again, connect_tcp, serve_tcp
from labkit.wire import sdp
from labkit.words.machine import Event
from labkit.words.units import NS_PER_S, to_seconds

MOST: Final = 1000
"""Attempts to connect after one end."""
GRACE_S: Final = 20
"""Seconds beyond the voice's own length, before a run is given up."""


async def follow_live(
    follower: Follower,
    outages: Sequence[Outage] = (Outage(1.5, 2.5),),
    *,
    clip: Clip | None = None,
    codec: Codec | None = None,
    seed: int = 0,
    name: str = "",
) -> Followed:
    """One voice, one listener, a server with these outages, and real TCP."""
    call = Call(clip, transport="tcp", seed=seed)
    if codec is not None:
        call = replace(call, codec=codec)
    live = _Live(call, follower, tuple(outages), name or type(follower).__name__)
    async with asyncio.timeout(call.seconds + GRACE_S):
        return await live.done()


class _Live:
    """The server, the studio behind it, and the listener, as tasks of one event loop."""

    def __init__(
        self, call: Call, follower: Follower, outages: tuple[Outage, ...], name: str
    ) -> None:
        self.call, self.follower, self.outages, self.name = call, follower, outages, name
        self.voice = Voice(call.codec, call.clip.rewound(), rng=Random(f"{call.seed} voice"))
        self.receiver = call.receiver(None)
        self.notes = Notes()
        self.attempts: list[Attempt] = []
        self.sound: list[float] = []
        self.log: list[str] = []
        self._dice = Random(f"{call.seed} draw")
        self._server: asyncio.Server | None = None
        self._mouth: TcpConnection | None = None
        self._port = 0
        self._begun = asyncio.Event()
        self._played = asyncio.Event()

    async def done(self) -> Followed:
        """Run to the end."""
        await self._serve()
        tasks = [asyncio.create_task(each) for each in (self._speak(), self._die(), self._listen())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._hang_up()
        result = self.call.result(Sender(None, self.voice), self.receiver, self.notes)
        result.name = self.name
        return Followed(self.name, result, self.outages, self.attempts, self.sound, self.log)

    # The server -------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._server = await serve_tcp(self._accept, port=self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> TcpConnection:
        description = sdp.describe(self.call.codec.format, host="127.0.0.1", port=5000)
        sender = Sender(StreamSession(Role.SENDER, description), None)
        self._mouth = TcpConnection(sender, lambda event: self._begun.set())
        return self._mouth

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._mouth is not None:
            self._mouth.abort()

    async def _die(self) -> None:
        """Go and come back."""
        await self._begun.wait()
        for outage in self.outages:
            await self._until(outage.begins)
            self._note("the server is gone")
            self._hang_up()
            await self._until(outage.ends)
            await self._serve()
            self._note("the server is back")

    async def _speak(self) -> None:
        await self._begun.wait()
        self.voice.start(now())
        while (due := self.voice.deadline()) is not None:
            await asyncio.sleep(to_seconds(max(0, due - now())))
            packets = self.voice.tick(now())
            if self._mouth is not None:
                self._mouth.machine.send(packets, now())  # type: ignore[attr-defined]
                self._mouth.turn()
        await asyncio.sleep(to_seconds(LINGER))
        if self._mouth is not None:
            self._mouth.machine.close(now())  # type: ignore[attr-defined]
            self._mouth.turn()

    async def _until(self, second: float) -> None:
        begun = self.voice.started if self.voice.started is not None else now()
        await asyncio.sleep(max(0.0, second - (now() - begun) / NS_PER_S))

    # The listener -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Connect, hear the stream out, ask the follower what now; and play what is left."""
        connection = await connect_tcp(self._heard(), *self._address, on_event=self._take)
        with contextlib.suppress(_Enough):
            while True:
                await connection.done
                asking, old = _Asking(self), connection
                connection = await connect_again(
                    lambda old=old: self._heard(old),  # type: ignore[misc]
                    *self._address,
                    backoff=asking,
                    attempts=MOST,
                    on_event=self._take,
                )
        await self._played.wait()
        connection.close()

    @property
    def _address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def _heard(self, old: TcpConnection | None = None) -> Any:
        """There is a connection: from now on it drives the receiver."""
        if old is not None:
            old.close()
            self.receiver.resume(StreamSession(Role.RECEIVER))
        self._played.clear()
        self.attempts.append(Attempt(self.second, worked=True))
        self._note("connected")
        self.follower.opened()
        return _Ear(self)

    def _take(self, event: Event) -> None:
        self.notes.take(event)
        if isinstance(event, Finished):
            self._played.set()

    def ask(self, how: str) -> int:
        """What the follower says, in nanoseconds; `_Enough` when it leaves it at that."""
        if how == "refused":
            self.attempts.append(Attempt(self.second, worked=False))
        wait = waited(getattr(self.follower, how)(self._dice.random()), how)
        plan = "that was all" if wait is None else f"again in {wait / 1e6:.0f} ms"
        self._note(f"{'FIN' if how == 'fin' else how}: {plan}")
        if wait is None:
            raise _Enough
        return wait

    @property
    def second(self) -> float:
        """Since the voice began."""
        return in_seconds(now(), self.voice.started)

    def _note(self, text: str) -> None:
        self.log.append(f"{self.second:7.3f} s  {text}")


class _Enough(Exception):
    """The follower will not connect again."""


class _Asking(Backoff):
    """The waits of one search: the follower's, first after the end, then after each refusal."""

    def __init__(self, live: _Live) -> None:
        super().__init__()
        self._live = live
        self._how = "fin"

    def next_delay(self) -> int:
        """In nanoseconds."""
        how, self._how = self._how, "refused"
        return self._live.ask(how)


class _Ear:
    """The receiver, with a look for the follower at what comes."""

    def __init__(self, live: _Live) -> None:
        self._live = live

    def receive_data(self, data: bytes, now: int) -> None:
        """For both."""
        live = self._live
        live.follower.received(data)
        before = live.receiver.session.stats.received
        live.receiver.receive_data(data, now)
        if live.receiver.session.stats.received > before:
            live.sound.append(live.second)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live.receiver, name)
