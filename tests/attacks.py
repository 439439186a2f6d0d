"""What a stranger may do to an open port, for tests: without rest, at a rate that is said.

    target = Target("wss", ("localhost", 5000), metrics=("127.0.0.1", 9464), token=token)
    done = await besiege(target, seconds=10)

An attack is a coroutine that does one bad thing to a `Target` and ends, whatever comes of it.
`besiege` begins each as often a second as `ATTACKS` says, at random moments, and never more of a
kind at a time than it says: so the attacker costs a known part of a core, and what is found is that
of the server. Attacks that join have a token, if there are tokens: the worst listener is one who
may listen.

Where anybody may listen, anybody may take the seats, so the attacks that ask for the stream leave
half of 64 free. From QUIC's port they come from some hundred ports, and ask in vain.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from random import Random
from typing import Any, NamedTuple

from aioquic.asyncio import connect as connect_quic
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from labkit.endpoints.quictls import ALPN
from labkit.wire import framing, minirtp, rtcp
from labkit.wire.framing import Kind
from labkit.words.packet import Packet

STREAMS = ("tcp", "ws", "wss")
MEGABYTE = 1 << 20
HOLD = 6.0
"""Seconds that a connection is held which says nothing: one more than it may be."""
PORTS = {"udp": 20, "rtp": 20, "quic": 200}
"""How many an attacker sends from: over QUIC they bring him nothing."""
INITIALS = 256
"""First packets of QUIC that are made before they are sent again; each costs two milliseconds."""

Address = tuple[str, int]


@dataclass
class Target:
    """A streamer. `secure` is what its listeners need to believe: nothing, for an attacker."""

    proto: str
    address: Address
    metrics: Address | None = None
    token: str = ""
    rng: Random = field(default_factory=lambda: Random(1))
    initials: list[bytes] = field(default_factory=list)

    @property
    def over_stream(self) -> bool:
        return self.proto in STREAMS

    @cached_property
    def hello(self) -> bytes:
        """The first thing that a listener says, inside of whatever stands around it."""
        asks = Packet(0, 0, b"")
        match self.proto:
            case "udp":
                return minirtp.pack(asks, Kind.HELLO)
            case "rtp":
                name = rtcp.SourceDescription.named(1, "somebody")
                return rtcp.pack(rtcp.ReceiverReport(1, ()), name)
            case _:
                return framing.pack(asks, Kind.HELLO)

    def head(self, token: str) -> bytes:
        """The request of a WebSocket."""
        return (
            f"GET / HTTP/1.1\r\nHost: {self.address[0]}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: labkit.v1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()

    @cached_property
    def ports(self) -> list[socket.socket]:
        """Datagram sockets to attack from."""
        made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(PORTS[self.proto])]
        for sock in made:
            sock.setblocking(False)
            sock.connect(self.address)
        return made

    def first(self) -> bytes:
        """A real first packet."""
        match self.proto:
            case "quic" if len(self.initials) < INITIALS:
                self.initials.append(_initial())
                return self.initials[-1]
            case "quic":
                return self.rng.choice(self.initials)
            case "wss":
                return _client_hello()
            case "ws":
                return self.head("nothing.nothing")
            case _:
                return self.hello

    def spoiled(self) -> bytes:
        """A real first packet, with some bytes changed, left out or doubled."""
        data = bytearray(self.first())
        for _ in range(self.rng.randint(1, 4)):
            place = self.rng.randrange(len(data))
            match self.rng.randrange(4):
                case 0:
                    data[place] = self.rng.randrange(256)
                case 1:
                    data[place] ^= 1 << self.rng.randrange(8)
                case 2 if len(data) > 1:
                    del data[place]
                case _:
                    data[place:place] = data[place : place + self.rng.randint(1, 60)]
        return bytes(data)

    def noise(self, most: int = 1400) -> bytes:
        return self.rng.randbytes(self.rng.randint(1, most))

    def close(self) -> None:
        for sock in self.__dict__.get("ports", ()):
            sock.close()


# Over streams -------------------------------------------------------------------------------------


@contextmanager
def _whatever_comes() -> Iterator[None]:
    """A refusal is no failure of an attack."""
    with contextlib.suppress(OSError, EOFError, TimeoutError, ssl.SSLError):
        yield


class _Line:
    """A connection that is cut off at the end."""

    def __init__(self, target: Target, *, secure: bool = False, metrics: bool = False) -> None:
        self._target = target
        self._secure = secure and target.proto == "wss"
        self._to = target.metrics if metrics else target.address

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._to is not None
        options: dict[str, Any] = (
            {"ssl": _anybody(), "server_hostname": "x"} if self._secure else {}
        )
        sock = socket.socket()
        sock.setblocking(False)
        async with asyncio.timeout(HOLD):
            try:
                await asyncio.get_running_loop().sock_connect(sock, self._to)
            except BaseException:
                sock.close()
                raise
            line = await asyncio.open_connection(sock=sock, limit=2048, **options)
        self._writer = line[1]
        return line

    async def __aexit__(self, *error: object) -> None:
        self._writer.transport.abort()
        await asyncio.sleep(0)  # then it is closed


async def _until_cut_off(reader: asyncio.StreamReader, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await reader.read(65536):
            pass


async def silence(target: Target) -> None:
    """Connect, say nothing; over TLS sometimes a ClientHello first."""
    async with _Line(target) as (reader, writer):
        if target.proto == "wss" and target.rng.random() < 0.5:
            writer.write(_client_hello())
        await _until_cut_off(reader, HOLD)


async def drip(target: Target) -> None:
    """Begin well, and never come to the end: a byte every tenth of a second (slow loris)."""
    inside = target.rng.random() < 0.5
    async with _Line(target, secure=inside) as (reader, writer):
        data = target.head("nothing.nothing") if inside and target.proto != "tcp" else None
        await _drip(writer, data or target.first())
        await _until_cut_off(reader, 1)


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data[:80]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def megabyte(target: Target) -> None:
    """A megabyte where a token belongs, or a first word."""
    async with _Line(target, secure=target.rng.random() < 0.7) as (reader, writer):
        if target.proto == "tcp":
            writer.write(target.hello + target.noise(10) + bytes(MEGABYTE))
        else:
            writer.write(target.head("x" * MEGABYTE))
        async with asyncio.timeout(HOLD):
            await writer.drain()
        await _until_cut_off(reader, 1)


async def handshake(target: Target) -> None:
    """A whole handshake, with a token that is none; then gone."""
    async with _Line(target, secure=True) as (reader, writer):
        writer.write(target.hello if target.proto == "tcp" else target.head("nothing.nothing"))
        async with asyncio.timeout(HOLD):
            await reader.read(100)


async def noise(target: Target) -> None:
    """Bytes without meaning."""
    async with _Line(target, secure=target.rng.random() < 0.3) as (reader, writer):
        writer.write(target.noise(4000))
        await _until_cut_off(reader, 1)


async def spoiled(target: Target) -> None:
    """A first packet that is nearly right."""
    async with _Line(target) as (reader, writer):
        writer.write(target.spoiled())
        await _until_cut_off(reader, 1)


async def reset(target: Target) -> None:
    """Hang up rudely, in the middle of the first packet or after it."""
    async with _Line(target) as (_, writer):
        first = target.first()
        writer.write(first[: target.rng.randint(0, len(first))])
        await asyncio.sleep(target.rng.random() * 0.1)
        linger = struct.pack("ii", 1, 0)  # RST in place of FIN
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def deaf(target: Target) -> None:
    """Join, never read, and say every second that one is there; at last be only half closed."""
    async with _Line(target, secure=True) as (_, writer):  # its reader stops at 4 KB
        _join(target, writer)
        for _ in range(10):
            await asyncio.sleep(1)
            writer.write(target.hello if target.proto == "tcp" else _message(target.hello))
            if target.proto != "tcp" and writer.transport.get_write_buffer_size() < MEGABYTE:
                writer.write(_message(bytes(125), 0x9) * 200)  # Pings, whose answers it leaves
        if writer.can_write_eof():
            writer.write_eof()
        await asyncio.sleep(3)


async def oversized(target: Target) -> None:
    """Join, then a frame that is longer than any may be."""
    async with _Line(target, secure=True) as (reader, writer):
        _join(target, writer)
        if target.proto == "tcp":
            writer.write(
                framing.HEADER.pack(framing.VERSION, Kind.HELLO, 0, 0, 1 << 31) + bytes(70_000)
            )
        else:
            claimed = target.rng.choice((1 << 62, 1 << 24, 70_000))
            writer.write(b"\x82\xff" + struct.pack("!Q", claimed) + bytes(4 + 70_000))
        await _until_cut_off(reader, 1)


def _join(target: Target, writer: asyncio.StreamWriter) -> None:
    if target.proto == "tcp":
        writer.write(target.hello)
    else:
        writer.write(target.head(target.token) + _message(target.hello))


def _message(data: bytes, opcode: int = 0x2) -> bytes:
    """A whole frame of a WebSocket client, whose mask is zero (RFC 6455 section 5.2)."""
    return bytes([0x80 | opcode, 0x80 | len(data)]) + bytes(4) + data


# Over datagrams -----------------------------------------------------------------------------------


async def noise_datagrams(target: Target) -> None:
    for _ in range(5):
        _send(target, target.noise())


async def spoiled_datagram(target: Target) -> None:
    _send(target, target.spoiled())


async def first_datagram(target: Target) -> None:
    """One that opens a connection, or asks for the stream."""
    _send(target, target.first())


async def oversized_datagram(target: Target) -> None:
    """The longest that UDP carries."""
    _send(target, (target.first() + bytes(66_000))[:65_000])


async def gone(target: Target) -> None:
    """Ask for the stream, and close the port: ICMP will say so."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(target.first(), target.address)


async def deaf_datagrams(target: Target) -> None:
    """Ask again and again, take nothing, answer nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(10):
            sock.sendto(target.first(), target.address)
            await asyncio.sleep(1)


def _send(target: Target, data: bytes) -> None:
    with contextlib.suppress(OSError):
        target.rng.choice(target.ports).send(data)


async def quic_half(target: Target) -> None:
    """A whole handshake of QUIC, also after a Retry; then nothing is asked for."""
    async with asyncio.timeout(HOLD), _quic(target):
        await asyncio.sleep(4)


async def quic_handshake(target: Target) -> None:
    """The same, with a token that is none."""
    async with asyncio.timeout(HOLD), _quic(target) as client:
        hello = framing.pack(Packet(0, 0, b"nothing.nothing"), Kind.HELLO)
        client._quic.send_stream_data(0, hello)
        client.transmit()
        await client.wait_closed()


async def quic_megabyte(target: Target) -> None:
    """A megabyte where a token belongs."""
    async with asyncio.timeout(HOLD), _quic(target) as client:
        header = framing.HEADER.pack(framing.VERSION, Kind.HELLO, 0, 0, framing.MAX_PAYLOAD)
        client._quic.send_stream_data(0, header + b"x" * MEGABYTE)
        client.transmit()
        await client.wait_closed()


async def quic_deaf(target: Target) -> None:
    """Join with a good token, and from then on confirm nothing."""
    async with asyncio.timeout(HOLD + 4), _quic(target) as client:
        hello = framing.pack(Packet(0, 0, target.token.encode()), Kind.HELLO)
        client._quic.send_stream_data(0, hello)
        client.transmit()
        await asyncio.sleep(1)
        client.transmit = lambda: None
        await asyncio.sleep(8)


def _quic(target: Target) -> Any:
    return connect_quic(*target.address, configuration=_quic_anybody())


def _quic_anybody() -> QuicConfiguration:
    return QuicConfiguration(
        is_client=True,
        alpn_protocols=[ALPN],
        verify_mode=ssl.CERT_NONE,
        max_datagram_frame_size=65536,
        idle_timeout=10,
    )


def _initial() -> bytes:
    client = QuicConnection(configuration=_quic_anybody())
    client.connect(("127.0.0.1", 1), now=time.monotonic())
    data: bytes = client.datagrams_to_send(now=time.monotonic())[0][0]
    return data


# On the metrics -----------------------------------------------------------------------------------


async def metrics_drip(target: Target) -> None:
    async with _Line(target, metrics=True) as (reader, writer):
        await _drip(writer, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 100)
        await _until_cut_off(reader, 1)


async def metrics_noise(target: Target) -> None:
    async with _Line(target, metrics=True) as (reader, writer):
        end = target.rng.choice((b"", b"\r\n\r\n"))
        writer.write(target.noise(4000) + end)
        await _until_cut_off(reader, 1)


async def metrics_megabyte(target: Target) -> None:
    async with _Line(target, metrics=True) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nAuthorization: " + b"x" * MEGABYTE)
        await _until_cut_off(reader, 1)


async def metrics_deaf(target: Target) -> None:
    """Ask for the page, and do not read it."""
    async with _Line(target, metrics=True) as (_, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.sleep(HOLD)


# Which, how often ---------------------------------------------------------------------------------


class Attack(NamedTuple):
    """`rate`: how often a second; `most`: how many at a time."""

    how: Callable[[Target], Awaitable[None]]
    rate: float
    most: int = 20


_METRICS = (
    Attack(metrics_drip, 3),
    Attack(metrics_noise, 3),
    Attack(metrics_megabyte, 0.5),
    Attack(metrics_deaf, 1),
)
_OVER_STREAM = (
    Attack(silence, 15, 100),
    Attack(drip, 8, 60),
    Attack(megabyte, 1),
    Attack(handshake, 10),
    Attack(noise, 15),
    Attack(spoiled, 15),
    Attack(reset, 10),
    Attack(deaf, 0.3, 4),
    Attack(oversized, 3),
)
_OVER_DATAGRAMS = (
    Attack(noise_datagrams, 20),
    Attack(spoiled_datagram, 40),
    Attack(first_datagram, 20),
    Attack(oversized_datagram, 1),
    Attack(gone, 0.3),
    Attack(deaf_datagrams, 0.3, 4),
)
_QUIC = (
    Attack(noise_datagrams, 20),
    Attack(spoiled_datagram, 40),
    Attack(first_datagram, 40),
    Attack(oversized_datagram, 1),
    Attack(gone, 3),
    Attack(quic_half, 2),
    Attack(quic_handshake, 2),
    Attack(quic_megabyte, 0.3),
    Attack(quic_deaf, 0.2, 3),
)


def attacks_on(target: Target) -> tuple[Attack, ...]:
    """All that fit."""
    if target.over_stream:
        ours = _OVER_STREAM
    else:
        ours = _QUIC if target.proto == "quic" else _OVER_DATAGRAMS
    return ours + (_METRICS if target.metrics else ())


async def besiege(target: Target, seconds: float, scale: float = 1) -> Counter[str]:
    """Attack for so long, `scale` times as often as said; how many attacks of each kind there were.

    Attacks that were begun are cut short at the end.
    """
    done: Counter[str] = Counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for attack in attacks_on(target):
                group.create_task(_keep_on(target, attack, scale, done))
    target.close()
    return done


async def _keep_on(target: Target, attack: Attack, scale: float, done: Counter[str]) -> None:
    running = 0

    async def once() -> None:
        nonlocal running
        running += 1
        try:
            with _whatever_comes():
                await attack.how(target)
        finally:
            running -= 1

    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while True:
            due += target.rng.expovariate(attack.rate * scale)
            await asyncio.sleep(max(0, due - time.monotonic()))
            if running < attack.most:
                done[attack.how.__name__] += 1
                group.create_task(once())


# What they need -----------------------------------------------------------------------------------


@cache  # to make one takes ten milliseconds
def _anybody() -> ssl.SSLContext:
    """Trusts whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _anybody().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
