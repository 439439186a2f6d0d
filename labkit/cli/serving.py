"""What `streamer serve` does: a server, a socket, a source, and a status line."""

import argparse
import asyncio
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
from labkit.live.udp import UdpEndpoint, open_udp
from labkit.wire import sdp
from labkit.words.machine import Address, Event
from labkit.words.trace import Did
from labkit.words.units import bitrate, seconds, to_ms

STATUS_EVERY = 0.5
GOODBYE = 0.3


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Serve until the source ends or `stop` is set; 0."""
    codec = common.codec_from(options)
    source: Any = None
    if options.source != "mic":
        source = common.source_from(options.source, codec.sample_rate, codec.channels)
        source = Looped(source) if options.loop else source
    voice = Voice(codec, source, rng=SystemRandom())
    server = Server(voice, _session_maker(options, voice), max_clients=options.max_clients)
    with common.closing_status() as status:
        sent = _Sent(server)
        on_event = _reporter(status)
        adapter = await _open(options, server, on_event)
        host, port = adapter.address
        status.say(f"serving {codec.format} over {options.proto} on {host}:{port}")
        _describe(options, voice, host, port, status)
        if options.to:
            _push(options, server, adapter)
        microphone = (
            asyncio.create_task(_feed(options, server, adapter)) if source is None else None
        )
        try:
            while not (stop.is_set() or server.closing or (microphone and microphone.done())):
                status.show(sent.status())
                await _pause(stop)
        finally:
            if microphone is not None:
                microphone.cancel()
            await _end(server, adapter)
        if microphone is not None and microphone.done() and not microphone.cancelled():
            microphone.result()  # raises what stopped the microphone, if something did
        status.say("ended")
    return 0


def _session_maker(options: argparse.Namespace, voice: Voice) -> Any:
    format_ = voice.codec.format
    description = sdp.describe(format_, host=options.host, port=options.port)

    def make(address: Address) -> Any:
        if options.proto == "tcp":
            return StreamSession(Role.SENDER, description)
        if options.proto == "udp":
            return DatagramSession(Role.SENDER, description)
        return RtpSession(
            Role.SENDER,
            description,
            peer=address if address == options.to else None,  # who did not ask is pushed to
            ssrc=voice.ssrc,
            clock_rate=format_.clock_rate,
            rng=SystemRandom(),
            rtcp_interval=seconds(options.report_every),
            wallclock_offset=wallclock_offset(),
        )

    return make


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
) -> None:
    """Say how to listen, and write the SDP where it was asked for."""
    if options.to:
        host, port = options.to
    else:
        status.say(f"listen with: receiver connect --proto {options.proto} --addr {host}:{port}")
    if options.sdp:
        text = sdp.describe(voice.codec.format, host=host, port=port)
        Path(options.sdp).write_text(text, newline="")
        status.say(f"SDP in {options.sdp}")


def _push(options: argparse.Namespace, server: Server, adapter: Any) -> None:
    """Send to an address that did not ask, as RTP senders do."""
    sender = server.admit(options.to)
    assert sender is not None
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


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), STATUS_EVERY)
    except TimeoutError:
        return


async def _end(server: Server, adapter: Any) -> None:
    """Say goodbye to everybody, and leave the goodbye a moment to go out."""
    if isinstance(adapter, TcpBroadcast):
        await adapter.close()
        return
    server.close(now())
    adapter.turn()
    await asyncio.sleep(GOODBYE)
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
