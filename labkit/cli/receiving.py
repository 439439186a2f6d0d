"""What `receiver` does: a session, a jitter buffer, a sound card or a file, and a status line."""

import argparse
import asyncio
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import Any

from labkit.cli import common
from labkit.codec import codec_for, default_format
from labkit.codec.face import Codec
from labkit.core.datagramsession import DatagramSession
from labkit.core.delaypolicy import Adaptive, Fixed
from labkit.core.reconnect import Backoff
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Refused, Report, Role
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.live.clock import now, wallclock_offset
from labkit.live.soundcard import Playback
from labkit.live.tcp import connect_again, connect_tcp
from labkit.live.udp import open_udp
from labkit.live.wav import WavWriter
from labkit.wire import sdp
from labkit.words.errors import BadInput
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds, to_ms

STATUS_EVERY = 0.5
GOODBYE = 1.0
"""Seconds that our goodbye may take to be confirmed."""


async def play(options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Play a file through a ring buffer; 0."""
    from labkit.lab import playback, sources

    clip = sources.wav(options.file)
    print(
        f"{options.file}: {len(clip) / clip.sample_rate:.1f} s, {clip.sample_rate} Hz, "
        f"{clip.channels} channel{'s' if clip.channels > 1 else ''}"
    )
    played = await playback.play(
        clip,
        options.buffer_ms,
        jitter_ms=options.jitter_ms,
        seed=options.seed,
        device=options.device,
        stop=stop,
    )
    print(played)
    return 0


def sweep(options: argparse.Namespace) -> int:
    """Underruns and delay at every size of the buffer, in virtual time, as a table and picture."""
    from labkit.lab import playback, sources

    jitter = options.jitter_ms or 10
    results = playback.sweep(sources.wav(options.file), jitter_ms=jitter, seed=options.seed)
    for result in results:
        print(result)
    print(f"look at {playback.picture(results, jitter).save(options.sweep)}")
    return 0


async def connect(options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Receive until the end of the stream; 0."""
    with ExitStack() as stack:
        listener = _Listener(options, stack)
        stack.callback(listener.status.end)
        if options.seconds:
            asyncio.get_running_loop().call_later(options.seconds, stop.set)
        follow = _follow_tcp if options.proto == "tcp" else _follow_udp
        await follow(options, listener, stop)
        listener.status.say(listener.summary())
        if not listener.receiver.trace.entries:
            raise BadInput("nothing was received", _remedy(options))
    return 0


def _remedy(options: argparse.Namespace) -> str:
    if options.addr is None:
        return f"is somebody sending to the address in {options.sdp}?"
    host, port = options.addr
    return f"is it running?  streamer serve --proto {options.proto} --host {host} --port {port}"


class _Listener:
    """The receiver, where its sound goes, and what is said about it."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options = options
        self.status = common.StatusLine()
        self.done = asyncio.Event()
        self.closed: Closed | None = None
        self.description = ""
        self.receiver = Receiver(
            self.session(),
            policy=Fixed(ms(options.buffer_ms)) if options.buffer_ms else Adaptive(),
            choose=self._choose,
        )
        self._stack = stack
        self._file: WavWriter | None = None
        self.playback: Playback | None = None
        if not options.no_sound and options.out is None:
            Playback.require(options.device)  # better now than after the first packet

    def session(self) -> Any:
        """A fresh session with the streamer."""
        options = self.options
        if options.proto == "tcp":
            return StreamSession(Role.RECEIVER)
        if options.proto == "udp":
            return DatagramSession(Role.RECEIVER, peer=options.addr)
        return RtpSession(
            Role.RECEIVER,
            peer=options.addr,
            rng=SystemRandom(),
            rtcp_interval=seconds(options.report_every),
            wallclock_offset=wallclock_offset(),
        )

    def _choose(self, description: str, packet: Packet) -> Codec:
        """The codec that the SDP names; without one, what our payload types stand for."""
        text = description or self.description
        format_ = sdp.parse(text).audio if text else default_format(packet.payload_type)
        codec = codec_for(format_)
        self.status.say(f"receiving {format_}")
        return codec

    # Sound ------------------------------------------------------------------------------------

    def hear(self, heard: Heard) -> None:
        """Pass one turn of sound to the card and to the file."""
        if self._file is None and self.playback is None:
            self._open()
        if self._file is not None:
            self._file.write(heard.played)
        if self.playback is not None:
            self.playback.write(heard.played, heard.now)

    def _open(self) -> None:
        codec = self.receiver.codec
        assert codec is not None
        if self.options.out is not None:
            writer = WavWriter(self.options.out, codec.sample_rate, codec.channels)
            self._file = self._stack.enter_context(writer)
        if not self.options.no_sound:
            playback = Playback(codec.sample_rate, codec.channels, self.options.device)
            if self._file is None or playback.possible():
                self.playback = self._stack.enter_context(playback)
            else:
                self.status.say("no sound card: writing the file only")

    # Words ------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """React to what the receiver tells."""
        match event:
            case Heard():
                self.hear(event)
            case Joined():
                self.status.say("joined")
            case Refused(error=error):
                self.status.say(f"refused: {error}")
            case Report(ours=True) as r:
                trip = "" if r.round_trip is None else f", round trip {to_ms(r.round_trip):.1f} ms"
                self.status.say(
                    f"RTCP sent: lost {r.fraction_lost:.1%} lately, {r.cumulative_lost} in all, "
                    f"jitter {to_ms(r.jitter):.1f} ms{trip}"
                )
            case Closed():
                self.closed = event
                self.status.say(f"the stream ended: {event.why}")
            case Finished():
                self.done.set()

    def show(self) -> None:
        """Write the status line."""
        receiver = self.receiver
        stats = receiver.session.stats
        depth = receiver.buffer.depth(now()) if receiver.buffer is not None else 0  # type: ignore[attr-defined]
        underruns = self.playback.ring.underruns if self.playback is not None else 0
        self.status.show(
            f"loss {stats.loss:5.1%}   jitter {to_ms(stats.jitter):5.1f} ms   "
            f"depth {to_ms(depth):4.0f} ms   underruns {underruns}   "
            f"{receiver.received_rate.rate(now()) / 1000:6.1f} kbit/s"
        )

    def summary(self) -> str:
        """What it came to, in a line."""
        buffer: Any = self.receiver.buffer
        if buffer is None:
            return "nothing heard"
        where = f", written to {Path(self.options.out)}" if self._file is not None else ""
        return (
            f"played {buffer.played} packets, {buffer.late} too late, {buffer.lost} missing{where}"
        )


async def _watch(listener: _Listener, stop: asyncio.Event) -> None:
    """Show the status until the stream is over, or somebody wants to stop."""
    stopping = asyncio.create_task(stop.wait())
    done = asyncio.create_task(listener.done.wait())
    try:
        while not (stopping.done() or done.done()):
            await asyncio.wait(
                (stopping, done), timeout=STATUS_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
            listener.show()
            if listener.playback is not None and listener.playback.failure is not None:
                raise listener.playback.failure
    finally:
        stopping.cancel()
        done.cancel()


async def _follow_udp(
    options: argparse.Namespace, listener: _Listener, stop: asyncio.Event
) -> None:
    host, port = "0.0.0.0", 0  # noqa: S104 - answers come back by whatever way they like
    rtcp_port = None
    if options.addr and ":" in options.addr[0]:
        host = "::"
    if options.sdp:
        described = _read_sdp(options.sdp)
        listener.description = Path(options.sdp).read_text(encoding="utf-8")
        host, port = described.host, described.port
        rtcp_port = None if described.rtcp_mux else port + 1
    endpoint = await open_udp(listener.receiver, host=host, port=port, on_event=listener.take)
    if rtcp_port is not None:
        await endpoint.also_listen(host, rtcp_port)
    if options.sdp:
        listener.status.say(f"waiting for RTP on {host}:{port}")
    try:
        await _watch(listener, stop)
        listener.receiver.close(now())
        endpoint.turn()
        await _until_closed(listener)
    finally:
        endpoint.close()


def _read_sdp(path: str) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}", "streamer serve … --sdp FILE") from error
    return sdp.parse(text)


async def _follow_tcp(
    options: argparse.Namespace, listener: _Listener, stop: asyncio.Event
) -> None:
    """Follow the stream; after it breaks, look for the server again with growing patience."""
    backoff = Backoff(rng=SystemRandom())
    connection = await connect_tcp(listener.receiver, *options.addr, on_event=listener.take)
    while True:
        broken = asyncio.create_task(_broken(listener, connection))
        watching = asyncio.create_task(_watch(listener, stop))
        await asyncio.wait((broken, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            broken.cancel()
            watching.result()
            break
        watching.cancel()
        listener.status.say("looking for the server again …")

        def again() -> Receiver:
            listener.closed = None
            listener.receiver.resume(listener.session())
            return listener.receiver

        retry = connect_again(
            again, *options.addr, backoff=backoff, attempts=options.retries, on_event=listener.take
        )
        connection = await retry
        backoff.reset()
    listener.receiver.close(now())
    connection.turn()
    await _until_closed(listener)
    connection.close()


async def _broken(listener: _Listener, connection: Any) -> None:
    """Return when the connection has ended and the stream has not."""
    await connection.done
    if listener.closed is not None and listener.closed.clean:
        await asyncio.Event().wait()  # it has ended well: the rest is the playout's


async def _until_closed(listener: _Listener) -> None:
    deadline = now() + seconds(GOODBYE)
    while not listener.receiver.session.closed and now() < deadline:
        await asyncio.sleep(0.02)
