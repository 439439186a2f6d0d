"""A door with a guard: real sockets, a certificate made for the day, and a token (week 9).

    gate = guard(secret)
    knock = await knock_at("wss", token, gate)        a server and a listener, on this machine
    print(knock)                                      came in, and heard 1.5 s; or why not

A server is opened on the loopback interface, one listener comes over WebSocket, WebSocket over TLS
or QUIC, shows its token, and hears the voice to its end or is told why not. All of it is what
`streamer serve --secret` and `receiver connect --token` do, in one process.

This module decides nothing: who may come in is `labkit.core.token`'s affair.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from labkit.codec import Opus
from labkit.core.session import Closed, Refused, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.core.token import Gate
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.layered import layered
from labkit.lab.quic import QUIC, quic_session
from labkit.lab.sources import speech
from labkit.live.clock import wallclock_offset
from labkit.live.tcp import TcpConnection, connect_tcp, serve_tcp
from labkit.live.udp import open_udp
from labkit.wire import sdp
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.machine import Address, Event

WAYS: Final = ("ws", "wss", *QUIC)
"""Transports that have room for a token."""
PATIENCE_S: Final = 30.0
"""Beyond the sound: the machine may be busy."""


@dataclass
class Knock:
    """What became of one listener. `take` is given every event of its receiver."""

    way: str
    heard: list[Heard] = field(default_factory=list, repr=False)
    why: str = ""
    """What the listener was told, if it was not let in."""
    over: bool = False

    @property
    def came_in(self) -> bool:
        """Whether it heard anything."""
        return bool(self.heard)

    @property
    def samples(self) -> Samples:
        """What it heard, at 48 kHz: shape (samples, 1)."""
        parts = [each.played for each in self.heard]
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.int16)

    def take(self, event: Event) -> None:
        """Note one event."""
        if isinstance(event, Heard):
            self.heard.append(event)
        elif isinstance(event, Refused):
            self.why = self.why or str(event.error)
        elif isinstance(event, Closed):
            self.why = self.why or ("" if event.clean else event.why)
            self.over = self.over or not self.heard
        elif isinstance(event, Finished):
            self.over = True

    def __str__(self) -> str:
        if self.came_in:
            return f"{self.way:5} came in, and heard {len(self.samples) / 48_000:.1f} s"
        return f"{self.way:5} was refused: {self.why}"


def guard(secret: bytes) -> Gate:
    """A gate that knows what time it is; it lets in who has a token made with `secret`."""
    return Gate(secret, wallclock_offset=wallclock_offset())


async def knock_at(way: str, token: str | None, gate: Gate, *, clip: Clip | None = None) -> Knock:
    """Open a server with this gate, and listen to it with this token; to the last word.

    `way` is one of `WAYS`. The voice is the kit's, a second and a half of it, or `clip`.
    """
    if way not in WAYS:
        raise BadInput(f"over {way!r} nobody can show a token", " or ".join(WAYS))
    said = (clip or speech(1.5)).rewound()
    voice = Voice(Opus(32_000), said)
    knock, over = Knock(way), asyncio.Event()

    def take(event: Event) -> None:
        knock.take(event)
        if knock.over:
            over.set()

    meet = _over_quic if way in QUIC else _over_tcp
    async with (
        asyncio.timeout(len(said) / said.sample_rate + PATIENCE_S),
        AsyncExitStack() as stack,
    ):
        await meet(stack, way, token, gate, voice, take)
        await over.wait()
    return knock


async def _over_tcp(
    stack: AsyncExitStack, way: str, token: str | None, gate: Gate, voice: Voice, take: Any
) -> None:
    text = sdp.describe(voice.codec.format, host="127.0.0.1", port=0)
    ours = layered(StreamSession(Role.SENDER, text), way, gate=gate)
    connection = TcpConnection(Sender(ours, voice))
    server = await serve_tcp(lambda: connection)
    stack.callback(server.close)
    stack.callback(connection.abort)
    address = server.sockets[0].getsockname()[:2]
    theirs = layered(StreamSession(Role.RECEIVER), way, token=token)
    listener = await connect_tcp(Receiver(theirs, voice.codec), *address, on_event=take)
    stack.callback(listener.abort)


async def _over_quic(
    stack: AsyncExitStack, way: str, token: str | None, gate: Gate, voice: Voice, take: Any
) -> None:
    text = sdp.describe(voice.codec.format, host="127.0.0.1", port=0)
    server = await open_udp(Sender(quic_session(Role.SENDER, text, way, None, gate=gate), voice))
    stack.callback(server.close)
    address: Address = server.address
    theirs = quic_session(Role.RECEIVER, "", way, address, token=token or "")
    listener = await open_udp(Receiver(theirs, voice.codec), on_event=take)
    stack.callback(listener.close)
