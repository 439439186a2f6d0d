"""What `streamer serve` does: a server, a socket, a source, and a status line."""

import argparse
import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import SystemRandom
from typing import Any

from labkit.cli import common
from labkit.cli.protection import write_description
from labkit.cli.transports import STREAMS, ServerSide
from labkit.cli.watching import Watch, watching
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.core.source import Looped
from labkit.endpoints.server import Server
from labkit.endpoints.simulcast import Simulcast, renditions
from labkit.endpoints.voice import Voice
from labkit.live.broadcast import TcpBroadcast, broadcast_tcp
from labkit.live.clock import now
from labkit.live.multicast import is_group, join_group
from labkit.live.relaying import resolve
from labkit.live.sockopts import mark
from labkit.live.udp import UdpEndpoint, open_udp
from labkit.wire import sdp
from labkit.words.machine import Address, Event
from labkit.words.trace import Did
from labkit.words.units import NS_PER_S, bitrate, seconds, to_ms

STATUS_EVERY = 0.5
MAX_LINES = 5
"""Refusals a second that are told one by one, and as many leavings and reports."""
MAX_JOINED = 10
"""Listeners a second of whom it is told that they joined."""
GOODBYE = 1.0
"""Seconds that our goodbyes may take to be confirmed; who listens in silence never does."""


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Serve until the source ends or `stop` is set; 0."""
    if options.to:
        options.to = await resolve(options.to, socket.SOCK_DGRAM)
    voice = _voice(options)
    side = ServerSide(options, voice)
    machine, server = _server(options, voice, side)
    async with AsyncExitStack() as stack:
        status = stack.enter_context(common.closing_status())
        watch = await stack.enter_async_context(watching(options, server.figures, status))
        adapter = await _open(options, machine, _Reporter(status, watch).take, status)
        sent = _Sent(server)
        host, port = adapter.address
        status.say(f"serving {voice.codec.format} over {options.proto} on {host}:{port}")
        side.description = _describe(options, side, host, port, status)
        if options.to:
            _push(options, server, adapter)
        microphone = (
            asyncio.create_task(_feed(options, server, adapter)) if voice.source is None else None
        )
        try:
            await _watch(server, adapter, microphone, stop, lambda: status.show(sent.status()))
        finally:
            if microphone is not None:
                microphone.cancel()
            await _end(server, adapter)
        status.say("ended")
    return 0


def _voice(options: argparse.Namespace) -> Voice:
    """The codec and the source that were asked for, as a voice."""
    codec = common.codec_from(options)
    source: Any = None
    if options.source != "mic":
        source = common.source_from(options.source, codec.sample_rate, codec.channels)
        source = Looped(source) if options.loop else source
    if options.simulcast:
        return Simulcast(renditions(codec, options.simulcast), source, rng=SystemRandom())
    return Voice(codec, source, rng=SystemRandom())


def _server(options: argparse.Namespace, voice: Voice, side: ServerSide) -> tuple[Any, Server]:
    """The machine on the socket, and the server in it: for most transports they are one."""
    # A key in a description is for one: two who share it would share a keystream.
    most = 1 if options.srtp == "sdes" else options.max_clients

    def server(make: Callable[[Address], Any]) -> Server:
        return Server(voice, make, max_clients=most)

    if options.proto != "quic":
        made = server(side.make)
        return side.protection.around(made), made
    from labkit.endpoints.quicserver import QuicServer

    quic = QuicServer(side.make, server)
    return quic, quic.server


async def _watch(
    server: Server,
    adapter: UdpEndpoint | TcpBroadcast,
    microphone: "asyncio.Task[None] | None",
    stop: asyncio.Event,
    show: Callable[[], None],
) -> None:
    """Show the status until the source ends or somebody wants to stop; raise what went wrong."""
    stopping = asyncio.create_task(stop.wait())
    ends = [end for end in (stopping, adapter.done, microphone) if end is not None]
    try:
        while not (server.closing or any(end.done() for end in ends)):
            show()
            await asyncio.wait(ends, timeout=STATUS_EVERY, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end.done():
                end.result()
    finally:
        stopping.cancel()


async def _open(
    options: argparse.Namespace, machine: Any, on_event: Any, status: common.StatusLine
) -> UdpEndpoint | TcpBroadcast:
    adapter: UdpEndpoint | TcpBroadcast
    where: dict[str, Any] = {"host": options.host, "port": options.port, "on_event": on_event}
    if options.proto in STREAMS:
        adapter = await broadcast_tcp(machine, nodelay=options.nodelay, **where)
    else:
        adapter = await open_udp(machine, **where)
    if options.to and is_group(options.to[0]):
        assert isinstance(adapter, UdpEndpoint)
        await join_group(adapter, options.to, ttl=options.ttl)
    if options.dscp is not None:
        for said in filter(None, (mark(sock, options.dscp) for sock in adapter.sockets)):
            status.say(said)
    return adapter


def _describe(
    options: argparse.Namespace, side: ServerSide, host: str, port: int, status: common.StatusLine
) -> str:
    """Say how to listen, write the SDP where it was asked for, and return it."""
    security = side.protection.security
    if options.to:
        host, port = options.to
    else:
        status.say(
            f"listen with: receiver connect --proto {options.proto} --addr {host}:{port}"
            f"{side.advice}"
        )
    text = sdp.describe(side.voice.codec.format, host=host, port=port, security=security)
    if options.sdp:
        write_description(Path(options.sdp), text, secret=options.srtp == "sdes")
        status.say(f"SDP in {options.sdp}")
    return text


def _push(options: argparse.Namespace, server: Server, adapter: Any) -> None:
    """Send to an address that did not ask, as RTP senders do."""
    server.admit(options.to)
    server.tick(now())
    adapter.turn()


async def _feed(options: argparse.Namespace, server: Server, adapter: Any) -> None:
    """Pass on what the microphone captures."""
    from labkit.live.soundcard import captured

    codec = server.voice.codec
    async with captured(codec.sample_rate, codec.channels, options.device) as blocks:
        async for block in blocks:
            server.push_audio(block, now())
            adapter.turn()


async def _end(server: Server, adapter: Any) -> None:
    """Say goodbye to everybody, and leave the goodbyes some time to be confirmed."""
    if isinstance(adapter, TcpBroadcast):
        await adapter.close()
        return
    server.close(now())
    adapter.turn()
    deadline = now() + seconds(GOODBYE)
    while not (server.closed or adapter.done.done()) and now() < deadline:
        await asyncio.sleep(0.02)
    adapter.close()


class _Sent:
    """How much sound leaves, for the status line."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._since = now()

    def status(self) -> str:
        """What happened since the last call."""
        entries = self._server.voice.trace.entries
        size = sum(entry[3] for entry in entries if entry[1] is Did.SENT)
        entries.clear()  # a server may run for weeks
        since, self._since = self._since, now()
        rate = bitrate(size, max(self._since - since, 1)) / 1000
        return f"{self._server.listening()} listening   {rate:6.1f} kbit/s of sound"


class _Reporter:
    """Says what happens.

    Somebody who sends noise must not fill the terminal, or the disk that it is written to: of each
    kind a few lines a second are said, and the metrics count the others.
    """

    def __init__(self, status: common.StatusLine, watch: Watch) -> None:
        self._status = status
        self._watch = watch
        self._second = 0
        self._said: Counter[str] = Counter()
        """How often in that second, by kind."""
        self._last = ""

    def take(self, event: Event) -> None:
        """One event of a listener, or of who wanted to be one."""
        self._watch.take(event)
        match event:
            case Joined():
                self._say("joined", "a receiver joined", MAX_JOINED)
            case Closed(why=why) if why == self._last:
                pass  # of who was refused, that was said
            case Closed(clean=clean, why=why):
                self._say("left", f"a receiver left: {why}{'' if clean else ' (not clean)'}")
            case Refused(error=error):
                self._last = str(error)
                self._say("refused", f"refused: {error}")
            case Report(ours=False) as r:
                trip = "" if r.round_trip is None else f", round trip {to_ms(r.round_trip):.1f} ms"
                self._say(
                    "report",
                    f"RTCP from the receiver: lost {r.fraction_lost:.1%} lately, "
                    f"{r.cumulative_lost} in all, jitter {to_ms(r.jitter):.1f} ms{trip}",
                )

    def _say(self, kind: str, text: str, most: int = MAX_LINES) -> None:
        second = now() // NS_PER_S
        if second != self._second:
            self._second = second
            self._said.clear()
        self._said[kind] += 1
        if self._said[kind] < most:
            self._status.say(text)
        elif self._said[kind] == most:
            self._status.say(f"{text}, and more; the metrics count them")
