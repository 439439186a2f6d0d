"""WebSocket over TLS on real sockets: our own listeners, openssl, and Chromium (BoringSSL)."""

import asyncio
import base64
import contextlib
import hashlib
import shutil
import time
from contextlib import asynccontextmanager
from random import Random

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from layerparts import SDP, SECRET, folders

from labkit.codec import Blank
from labkit.core.session import (
    DEFAULT_LIMITS,
    Closed,
    Joined,
    Limits,
    Received,
    Refused,
    Role,
)
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.core.token import Gate, issue
from labkit.endpoints.server import Server
from labkit.endpoints.tls import Tls
from labkit.endpoints.upgrade import BEARER, SUBPROTOCOL
from labkit.endpoints.voice import Voice
from labkit.endpoints.websocket import WebSocket
from labkit.live.broadcast import broadcast_tcp
from labkit.live.certs import client_context, server_context
from labkit.live.clock import wallclock_offset
from labkit.live.tcp import connect_tcp
from labkit.words.machine import Event
from labkit.words.units import ms

pytestmark = pytest.mark.live

FRAMES = 25
"""Half a second of sound."""


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return folders(tmp_path_factory.mktemp("certificates"))


def token(secret=SECRET, hours=1.0):
    return issue(secret, "alice", int(time.time() + hours * 3600))


@asynccontextmanager
async def serving(folder, *, frames=FRAMES, limits=DEFAULT_LIMITS, **options):
    """A broadcast of `frames` frames over wss with a gate; what it was told is in `events`."""
    gate = Gate(SECRET, wallclock_offset=wallclock_offset())
    context = server_context(folder / "server.pem", folder / "server-key.pem", **options)
    voice = Voice(Blank(), Clip(np.zeros((frames * 960, 1), np.int16)), rng=Random(1))

    def session(_: object) -> Tls:
        inner = StreamSession(Role.SENDER, SDP, limits=limits)
        return Tls(WebSocket(inner, gate=gate), context)

    server = Server(voice, session)
    events: list[Event] = []
    broadcast = await broadcast_tcp(server, on_event=events.append)
    try:
        yield broadcast.address, events, gate
    finally:
        await broadcast.close()


class Listener:
    """One of ours, and what it was told."""

    def __init__(self, context, given=None, name="localhost") -> None:
        session = WebSocket(StreamSession(Role.RECEIVER), token=given, secure=True)
        self.machine = Tls(session, context, server_name=name)
        self.events: list[Event] = []

    async def connect(self, address) -> None:
        self.connection = await connect_tcp(self.machine, *address, on_event=self.events.append)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def end(self) -> Closed:
        await until(lambda: self.of(Closed))
        return self.of(Closed)[0]


async def until(true) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def test_three_listeners_hear_every_frame_through_both_layers(at):
    async def main():
        async with serving(at("ours")) as (address, events, gate):
            trusting = client_context(at("ours") / "ca.pem")
            listeners = [Listener(trusting, token()) for _ in range(3)]
            for listener in listeners:
                await listener.connect(address)
            ends = [await listener.end() for listener in listeners]
            assert ends == [Closed(True, "peer", "BYE, and the stream ended")] * 3
            assert len(listeners[0].of(Received)) == FRAMES
            assert gate.admitted == 3
            await until(lambda: sum(isinstance(e, Closed) for e in events) == 3)
            assert not [event for event in events if isinstance(event, Refused)]
            await asyncio.wait([listener.connection.done for listener in listeners], timeout=5)
            assert all(listener.machine.wants_close for listener in listeners)

    asyncio.run(main())


def test_who_is_refused_is_told_and_who_listens_hears_on(at):
    async def main():
        async with serving(at("ours"), frames=100) as (address, events, gate):
            trusting = client_context(at("ours") / "ca.pem")
            good = Listener(trusting, token())
            await good.connect(address)
            strangers = [
                (Listener(trusting), "a token is needed"),
                (Listener(trusting, token(hours=-1)), "has expired"),
                (Listener(trusting, token(SECRET[::-1])), "not made with this secret"),
                (Listener(client_context(at("theirs") / "ca.pem"), token()), "not trusted here"),
                (Listener(trusting, token(), name="example.org"), "for another name"),
            ]
            for stranger, words in strangers:
                await stranger.connect(address)
                assert words in (await stranger.end()).why
                assert stranger.machine.refused == 1
            assert gate.refused == {"missing": 1, "expired": 1, "wrong": 1}
            errors = [event.error for event in events if isinstance(event, Refused)]
            reasons = sorted(error.reason for error in errors)
            assert reasons == ["certificate", "certificate", "expired", "missing", "wrong"]
            assert not good.of(Closed)
            heard = len(good.of(Received))
            await until(lambda: len(good.of(Received)) > heard + 5)

    asyncio.run(main())


def test_half_open_handshakes_and_noise_are_dropped_and_who_listens_hears_every_frame(at):
    """Silent connections, half a ClientHello, dripping headers inside TLS, random bytes."""

    async def main():
        limits = Limits(answer=ms(300))
        async with serving(at("ours"), frames=60, limits=limits) as (address, events, _):
            trusting = client_context(at("ours") / "ca.pem")
            good = Listener(trusting, token())
            await good.connect(address)
            await until(lambda: good.of(Joined))
            rng = Random(1)
            strangers = []
            for n in range(40):
                given = [b"", b"\x16\x03\x01\x02\x00\x01\x00", rng.randbytes(400)][n % 3]
                reader, writer = await asyncio.open_connection(*address)
                writer.write(given)
                strangers.append((reader, writer))
            for _ in range(10):
                reader, writer = await asyncio.open_connection(
                    *address, ssl=trusting, server_hostname="localhost"
                )
                writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
                strangers.append((reader, writer))
            async with asyncio.timeout(10):
                for reader, _ in strangers:
                    with contextlib.suppress(OSError):
                        await reader.read()
            for _, writer in strangers:
                writer.close()
            refused = [event for event in events if isinstance(event, Refused)]
            assert len(refused) == 50
            assert (await good.end()).clean
            assert len(good.of(Received)) >= 58

    asyncio.run(main())


async def s_client(address, *arguments, said: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"{address[0]}:{address[1]}", "-ign_eof",
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(said), 20)
    return out.decode(errors="replace")


def test_openssl_s_client_shakes_hands_and_reads_the_answer(at, need):
    need("openssl")

    async def main():
        async with serving(at("ours")) as (address, events, _):
            trust = ["-CAfile", at("ours") / "ca.pem", "-verify_return_error"]
            asked = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
            said = await s_client(address, *trust, "-verify_hostname", "localhost", said=asked)
            assert "Verify return code: 0 (ok)" in said
            assert "TLSv1.3" in said
            assert "HTTP/1.1 426 Upgrade Required" in said
            said = await s_client(address, *trust, "-verify_hostname", "example.org")
            assert "hostname mismatch" in said.lower()
            said = await s_client(address, "-tls1_2")
            assert "alert protocol version" in said
            whys = [event.why for event in events if isinstance(event, Closed)]
            assert "the other end speaks no TLS 1.3" in whys
        clients = at("ours") / "ca.pem"
        async with serving(at("ours"), clients=clients) as (address, events, _):
            said = await s_client(address, *trust, said=asked)
            assert "alert certificate required" in said
            key = ["-cert", at("ours") / "alice.pem", "-key", at("ours") / "alice-key.pem"]
            said = await s_client(address, *trust, *key, said=asked)
            assert "HTTP/1.1 426" in said

    asyncio.run(main())


PAGE = """
async ([url, protocols]) => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    const frames = [];
    const hello = new Uint8Array(12);
    hello[0] = 1; hello[1] = 1;              // ver 1, HELLO
    socket.onopen = () => socket.send(hello);
    socket.onmessage = ({data}) => {
        const view = new DataView(data);
        frames.push([view.getUint8(0), view.getUint8(1), view.getUint16(2), view.getUint32(4),
                     view.getUint32(8), data.byteLength - 12]);
    };
    return await new Promise(done => socket.onclose = ({code, wasClean}) =>
        done({code, wasClean, frames, protocol: socket.protocol}));
}
"""
"""What a page needs to hear us: to ask, and to read the header of our frames."""


@pytest.mark.peer
def test_a_page_in_chromium_listens_and_is_refused(at, need):
    need("chromium")
    from playwright.async_api import async_playwright

    certificate = x509.load_pem_x509_certificate((at("ours") / "server.pem").read_bytes())
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pinned = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    plain = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

    async def listen(play, address, arguments, *protocols):
        browser = await play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*plain, *arguments]
        )
        try:
            page = await browser.new_page()
            return await page.evaluate(PAGE, [f"wss://localhost:{address[1]}/", list(protocols)])
        finally:
            await browser.close()

    async def main():
        async with async_playwright() as play, serving(at("ours")) as (address, events, gate):
            trusting = [f"--ignore-certificate-errors-spki-list={pinned}"]
            refused = await listen(play, address, trusting, SUBPROTOCOL)
            assert (refused["code"], refused["frames"]) == (1006, [])
            assert gate.refused == {"missing": 1}
            refused = await listen(play, address, [], SUBPROTOCOL, BEARER + token())
            assert (refused["code"], refused["frames"]) == (1006, [])
            errors = [event.error for event in events if isinstance(event, Refused)]
            assert [error.reason for error in errors] == ["missing", "certificate"]
            heard = await listen(play, address, trusting, SUBPROTOCOL, BEARER + token())
            (joined,) = [event for event in events if isinstance(event, Joined)]
            return heard, joined, [event for event in events if isinstance(event, Closed)][-1]

    heard, joined, closed = asyncio.run(main())
    assert (heard["code"], heard["wasClean"], heard["protocol"]) == (1000, True, SUBPROTOCOL)
    description, *media, bye = heard["frames"]
    assert description == [1, 2, 0, 0, len(SDP), len(SDP)]
    assert bye[:2] == [1, 3]
    assert len(media) == FRAMES
    assert {(ver, kind) for ver, kind, *_ in media} == {(1, 0)}
    first_seq, first_timestamp = media[0][2:4]
    for n, (_, _, seq, timestamp, size, rest) in enumerate(media):
        assert seq == (first_seq + n) & 0xFFFF
        assert timestamp == (first_timestamp + 960 * n) & 0xFFFFFFFF
        assert size == rest > 0
    assert joined == Joined(SDP)
    assert closed == Closed(True, "us", "closed")
