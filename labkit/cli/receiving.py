"""What `receiver` does: a session, a jitter buffer, a sound card or a file, and a status line."""

import argparse
import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from random import SystemRandom
from typing import Any

from labkit.cli import common
from labkit.cli.transports import STREAMS, receiver_session, refused
from labkit.cli.watching import Watch, watching
from labkit.codec import codec_for, default_format
from labkit.codec.face import Codec
from labkit.core.delaypolicy import Adaptive, Fixed
from labkit.core.figures import ReceiverFigures
from labkit.core.reconnect import Backoff
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.live.clock import now
from labkit.live.multicast import is_group, join_group
from labkit.live.relaying import resolve
from labkit.live.soundcard import Playback
from labkit.live.tcp import TcpConnection, connect_again, connect_tcp
from labkit.live.udp import open_udp
from labkit.live.wav import WavWriter
from labkit.wire import sdp
from labkit.words.errors import AuthenticationError, BadInput, WireError
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds, to_ms, to_seconds

LOOPBACK = ("127.0.0.1", "::1", "localhost")
STATUS_EVERY = 0.5
INTERRUPTED = 130
"""Exit code when Ctrl-C came before anything began."""
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
    """Receive until the end of the stream; 0, or 130 if it was stopped before it began."""
    if options.addr:
        options.called = options.addr[0]  # a certificate has the name, not where it leads
    if options.addr and options.proto not in STREAMS:
        options.addr = await resolve(options.addr, socket.SOCK_DGRAM)
    async with AsyncExitStack() as stack:
        listener = _Listener(options, stack)
        stack.callback(listener.status.end)
        listener.watch = await stack.enter_async_context(
            watching(options, listener.figures, listener.status)
        )
        if options.seconds:
            asyncio.get_running_loop().call_later(options.seconds, listener.done.set)
        if options.addr:
            host, port = options.addr
            listener.status.say(f"asking {host}:{port} for the stream")
            if options.proto == "ws" and options.token and host not in LOOPBACK:
                listener.status.say("whoever sees our packets has the token: wss encrypts it")
        follow = _follow_tcp if options.proto in STREAMS else _follow_udp
        await follow(options, listener, stop)
        listener.status.say(listener.summary())
        if listener.receiver.buffer is None:
            if listener.refusal is not None:
                raise refused(options, listener.refusal)
            if stop.is_set():
                return INTERRUPTED
            raise BadInput("nothing was received", _remedy(options, hung_up=listener.hung_up))
        if listener.playback is not None:
            await asyncio.sleep(to_seconds(listener.playback.latency))  # the last word is heard
    return 0


def _remedy(options: argparse.Namespace, *, hung_up: bool) -> str:
    if options.addr is None:
        return f"is somebody sending to the address in {options.sdp}?"
    host, port = options.addr
    if hung_up:
        return "somebody answers there and hangs up: has the streamer another --proto, or no room?"
    serve = f"is it running?  streamer serve --proto {options.proto}"
    if is_group(host):
        return f"{serve} --to {host}:{port}, by the network of --interface"
    unpinned = options.proto == "rtp" and not options.pin
    encrypted = "; if with --srtp dtls, give the --pin that it prints" if unpinned else ""
    return f"{serve} --host {host} --port {port}{encrypted}"


class _Listener:
    """The receiver, where its sound goes, and what is said about it."""

    def __init__(self, options: argparse.Namespace, stack: AsyncExitStack) -> None:
        self.options = options
        self.status = common.StatusLine()
        self.done = asyncio.Event()
        self.closed: Closed | None = None
        self.joined = False
        self.hung_up = False
        """A connection has ended before anybody had joined."""
        self.refusal: AuthenticationError | None = None
        """Why the streamer does not want us, or we not it: to try again would not help."""
        self.watch: Watch = None
        self.leaving = False
        """We say goodbye, and listen no more."""
        self.description = ""
        self.described: sdp.SessionDescription | None = None
        if options.sdp:
            self.description, self.described = _read_sdp(options.sdp)
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
        return receiver_session(self.options, self.described)

    def figures(self, instant: int) -> ReceiverFigures:
        """What is known at this instant."""
        underruns = self.playback.ring.underruns if self.playback is not None else 0
        return receiver_figures(self.receiver, instant, underruns=underruns)

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
                self.receiver.delays.card = lambda: playback.latency
            else:
                self.status.say("no sound card: writing the file only")

    # Words ------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """React to what the receiver tells."""
        if self.watch is not None:
            self.watch.take(event)
        match event:
            case Heard() if not self.leaving:
                self.hear(event)
            case Joined():
                self.joined = True
                self.status.say("joined")
            case Refused(error=AuthenticationError() as error):
                self.refusal = error
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
            case Finished() if not self.searching:
                self.done.set()

    @property
    def searching(self) -> bool:
        """Over TCP a stream that broke off is looked for again, but not where we are refused."""
        broken = self.closed is not None and not self.closed.clean
        return self.options.proto in STREAMS and broken and self.refusal is None

    def leave(self) -> None:
        """Say goodbye. Whether anybody answers takes a while, and nothing is heard meanwhile."""
        self.leaving = True
        self.receiver.close(now())

    def show(self) -> None:
        """Write the status line."""
        receiver = self.receiver
        receiver.trace.entries.clear()  # somebody may listen for weeks
        stats = receiver.session.stats
        depth = receiver.buffer.depth(now()) if receiver.buffer is not None else 0  # type: ignore[attr-defined]
        underruns = self.playback.ring.underruns if self.playback is not None else 0
        jitter = "" if stats.jitter is None else f"jitter {to_ms(stats.jitter):5.1f} ms   "
        self.status.show(
            f"loss {stats.loss:5.1%}   {jitter}depth {to_ms(depth):4.0f} ms   "
            f"underruns {underruns}   "
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


async def _watch(listener: _Listener, stop: asyncio.Event, connected: asyncio.Future[None]) -> None:
    """Show the status until the stream is over, or somebody wants to stop.

    `connected` is done when nobody brings packets any more; what it raises is raised here.
    """
    ends: list[asyncio.Future[Any]] = [
        asyncio.create_task(event.wait()) for event in (stop, listener.done)
    ]
    everything = [*ends, connected]
    try:
        while not any(end.done() for end in everything):
            await asyncio.wait(
                everything, timeout=STATUS_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
            listener.show()
            if listener.playback is not None and listener.playback.failure is not None:
                raise listener.playback.failure
        if connected.done():
            connected.result()
    finally:
        for end in ends:
            end.cancel()


async def _follow_udp(
    options: argparse.Namespace, listener: _Listener, stop: asyncio.Event
) -> None:
    host, port = "0.0.0.0", 0  # noqa: S104 - answers come back by whatever way they like
    rtcp_port = port
    if options.addr and ":" in options.addr[0]:
        host = "::"
    group = options.addr if options.addr and is_group(options.addr[0]) else None
    if group and options.interface:
        host = options.interface
    described = listener.described
    pushed = described is not None and not options.addr
    if described is not None and pushed:
        host, port, rtcp_port = described.host, described.port, described.rtcp_port
    endpoint = await open_udp(listener.receiver, host=host, port=port, on_event=listener.take)
    try:
        if group:
            await join_group(endpoint, group)
        if rtcp_port != port:
            await endpoint.also_listen(host, rtcp_port)
        if pushed:
            listener.status.say(f"waiting for RTP on {host}:{port}")
        await _watch(listener, stop, endpoint.done)
        listener.leave()
        endpoint.turn()
        await _until_closed(listener)
    finally:
        endpoint.close()


def _read_sdp(path: str) -> tuple[str, sdp.SessionDescription]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        return text, sdp.parse(text)
    except (OSError, UnicodeDecodeError, WireError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"cannot read {path}: {why}", "streamer serve … --sdp FILE") from error


async def _follow_tcp(
    options: argparse.Namespace, listener: _Listener, stop: asyncio.Event
) -> None:
    connections: list[TcpConnection] = []
    connected = asyncio.create_task(_stay_connected(options, listener, connections))
    try:
        await _watch(listener, stop, connected)
        if connections:
            listener.leave()
            connections[-1].turn()
            await _until_closed(listener)
    finally:
        connected.cancel()
        for connection in connections:
            connection.close()


async def _stay_connected(
    options: argparse.Namespace, listener: _Listener, connections: list[TcpConnection]
) -> None:
    """Connect; after the stream broke off, look for the server again with growing patience.

    `connections` holds the one in use. After a good end nothing is left to do but to play.
    """
    connections.append(await connect_tcp(listener.receiver, *options.addr, on_event=listener.take))
    backoff = Backoff(rng=SystemRandom())
    while True:
        await connections[-1].done
        if not listener.searching:
            await listener.done.wait()
            return
        if listener.joined:
            backoff.reset()
        else:
            listener.hung_up = True
            if backoff.failures >= options.retries:
                raise BadInput("nothing was received", _remedy(options, hung_up=True))
        listener.joined = False
        listener.status.say("looking for the server again …")
        connection = await connect_again(
            lambda: _resumed(listener, connections),
            *options.addr,
            backoff=backoff,
            attempts=options.retries,
            on_event=listener.take,
        )
        connections[:] = [connection]


def _resumed(listener: _Listener, connections: list[TcpConnection]) -> Receiver:
    """The receiver, whose playout went on meanwhile, with a session for the new connection."""
    connections[-1].close()
    listener.closed = None
    listener.receiver.resume(listener.session())
    return listener.receiver


async def _until_closed(listener: _Listener) -> None:
    deadline = now() + seconds(GOODBYE)
    while not listener.receiver.session.closed and now() < deadline:
        await asyncio.sleep(0.02)
