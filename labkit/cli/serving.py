"""What `streamer serve` does: a server, a socket, a source, and a status line."""

import argparse
import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any

from labkit.cli import common
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Refused, Report, Role
from labkit.core.source import Looped
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.broadcast import TcpBroadcast, broadcast_tcp
from labkit.live.clock import now, wallclock_offset
from labkit.live.relaying import resolve
from labkit.live.udp import UdpEndpoint, open_udp
from labkit.wire import sdp
from labkit.words.machine import Address, Event
from labkit.words.trace import Did
from labkit.words.units import bitrate, seconds, to_ms

STATUS_EVERY = 0.5
GOODBYE = 1.0
"""Seconds that our goodbyes may take to be confirmed; who listens in silence never does."""


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Serve until the source ends or `stop` is set; 0."""
    codec = common.codec_from(options)
    source: Any = None
    if options.source != "mic":
        source = common.source_from(options.source, codec.sample_rate, codec.channels)
        source = Looped(source) if options.loop else source
    if options.to:
        options.to = await resolve(options.to, socket.SOCK_DGRAM)
    voice = Voice(codec, source, rng=SystemRandom())
    sessions = _Sessions(options, voice)
    server = Server(voice, sessions.make, max_clients=options.max_clients)
    with common.closing_status() as status:
        sent = _Sent(server)
        on_event = _reporter(status)
        adapter = await _open(options, server, on_event)
        host, port = adapter.address
        status.say(f"serving {codec.format} over {options.proto} on {host}:{port}")
        sessions.description = _describe(options, voice, host, port, status)
        if options.to:
            _push(options, server, adapter)
        microphone = (
            asyncio.create_task(_feed(options, server, adapter)) if source is None else None
        )
        try:
            await _watch(server, adapter, microphone, stop, lambda: status.show(sent.status()))
        finally:
            if microphone is not None:
                microphone.cancel()
            await _end(server, adapter)
        status.say("ended")
    return 0


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


class _Sessions:
    """Makes a session for each listener; `description` is known when the socket is bound."""

    def __init__(self, options: argparse.Namespace, voice: Voice) -> None:
        self.description = ""
        self._options = options
        self._voice = voice

    def make(self, address: Address) -> Any:
        """A session with the listener at `address`."""
        options = self._options
        if options.proto == "tcp":
            return StreamSession(Role.SENDER, self.description)
        if options.proto == "udp":
            return DatagramSession(Role.SENDER, self.description)
        return RtpSession(
            Role.SENDER,
            self.description,
            peer=address if address == options.to else None,  # who did not ask is pushed to
            ssrc=self._voice.ssrc,
            clock_rate=self._voice.codec.format.clock_rate,
            rng=SystemRandom(),
            rtcp_interval=seconds(options.report_every),
            wallclock_offset=wallclock_offset(),
        )


async def _open(
    options: argparse.Namespace, server: Server, on_event: Any
) -> UdpEndpoint | TcpBroadcast:
    if options.proto == "tcp":
        return await broadcast_tcp(
            server, host=options.host, port=options.port, nodelay=options.nodelay, on_event=on_event
        )
    return await open_udp(server, host=options.host, port=options.port, on_event=on_event)


def _describe(
    options: argparse.Namespace, voice: Voice, host: str, port: int, status: common.StatusLine
) -> str:
    """Say how to listen, write the SDP where it was asked for, and return it."""
    if options.to:
        host, port = options.to
    else:
        status.say(f"listen with: receiver connect --proto {options.proto} --addr {host}:{port}")
    text = sdp.describe(voice.codec.format, host=host, port=port)
    if options.sdp:
        Path(options.sdp).write_text(text, newline="")
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


def _reporter(status: common.StatusLine) -> Any:
    def report(event: Event) -> None:
        match event:
            case Joined():
                status.say("a receiver joined")
            case Closed(clean=clean, why=why):
                status.say(f"a receiver left: {why}{'' if clean else ' (not clean)'}")
            case Refused(error=error):
                status.say(f"refused: {error}")
            case Report(ours=False) as r:
                trip = "" if r.round_trip is None else f", round trip {to_ms(r.round_trip):.1f} ms"
                status.say(
                    f"RTCP from the receiver: lost {r.fraction_lost:.1%} lately, "
                    f"{r.cumulative_lost} in all, jitter {to_ms(r.jitter):.1f} ms{trip}"
                )

    return report
