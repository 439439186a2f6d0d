"""QUIC with ends that are not ours: aioquic's own client and server, and tshark as a witness."""

import asyncio
import io
import struct
import subprocess

import numpy as np
import pytest
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    StreamDataReceived,
)
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates
from quicparts import (
    NAME,
    Pair,
    authority,
    client_identity,
    listening,
    receiver,
    sender,
    server_identity,
    serving,
)

from labkit.codec import Blank
from labkit.core.session import Closed, Joined, Received, Refused, Role
from labkit.core.source import Clip
from labkit.core.token import Gate, issue
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quicmedia import Carriage
from labkit.endpoints.quicserver import QuicServer
from labkit.endpoints.quictls import fingerprint
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.clock import wallclock_offset
from labkit.live.udp import open_udp
from labkit.words.errors import AuthenticationError
from labkit.words.units import seconds

pytestmark = pytest.mark.peer

LIMIT = 20
FRAMES = 25
SECRET = b"sixteen bytes or more"
HEAD = struct.Struct("!BBHII")  # version, kind, seq, timestamp, length: labkit.wire.framing
MEDIA, HELLO, DESCRIPTION, BYE = range(4)


def frame(kind: int, seq: int = 0, payload: bytes = b"") -> bytes:
    return HEAD.pack(1, kind, seq, seq * 960, len(payload)) + payload


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, seq and payload of every whole frame."""
    found, at = [], 0
    while at + HEAD.size <= len(data):
        _, kind, seq, _, size = HEAD.unpack_from(data, at)
        at += HEAD.size
        found.append((kind, seq, data[at : at + size]))
        at += size
    return found


# aioquic's client, our server ---------------------------------------------------------------------


class Listener(QuicConnectionProtocol):
    """Asks on stream 0 and notes all that comes; none of our code."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.streams: dict[int, bytearray] = {}
        self.datagrams: list[bytes] = []
        self.alpn = ""
        self.over = asyncio.get_running_loop().create_future()

    def ask(self, token: str) -> None:
        self._quic.send_stream_data(0, frame(HELLO, payload=token.encode()))
        self.transmit()

    def quic_event_received(self, event):
        match event:
            case HandshakeCompleted(alpn_protocol=name):
                self.alpn = name
            case StreamDataReceived(stream_id=number, data=data):
                self.streams.setdefault(number, bytearray()).extend(data)
                if number == 0 and any(kind == BYE for kind, *_ in frames(self.streams[0])):
                    self._quic.close(0, reason_phrase="BYE")
                    self.transmit()
            case DatagramFrameReceived(data=data):
                self.datagrams.append(data)
            case ConnectionTerminated() if not self.over.done():
                self.over.set_result(event)


def foreign(**more) -> QuicConfiguration:
    made = QuicConfiguration(
        alpn_protocols=["labkit-voice/1"], server_name=NAME, max_datagram_frame_size=65536
    )
    made.load_verify_locations(cadata=authority().certificate)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def our_server(**session) -> QuicServer:
    voice = Voice(Blank(), Clip(np.zeros((FRAMES * 960, 1), np.int16)))
    return QuicServer(
        lambda address: sender("v=0\r\n", **session), lambda take: Server(voice, take)
    )


async def listen(server: QuicServer, token: str = "", **configuration):
    """What aioquic's client hears of our server, and what our server told."""
    told: list = []
    endpoint = await open_udp(server, on_event=told.append)
    try:
        async with (
            asyncio.timeout(LIMIT),
            connect(
                *endpoint.address, configuration=foreign(**configuration), create_protocol=Listener
            ) as client,
        ):
            client.ask(token)
            end = await client.over
    finally:
        endpoint.close()
    return client, end, told


@pytest.mark.live
@pytest.mark.parametrize("carriage", list(Carriage))
def test_a_client_of_aioquic_plays_from_our_server(carriage):
    gate = Gate(SECRET, wallclock_offset=wallclock_offset())
    server = our_server(carriage=carriage, gate=gate)
    client, end, told = asyncio.run(listen(server, issue(SECRET, "a stranger", 10**10)))
    assert client.alpn == "labkit-voice/1"
    (kind, _, description), (last, *_) = frames(client.streams.pop(0))
    assert (kind, description, last) == (DESCRIPTION, b"v=0\r\n", BYE)
    assert (end.error_code, gate.admitted) == (0, 1)
    assert [type(event) for event in told] == [Joined, Closed]
    assert told[-1].clean
    match carriage:
        case Carriage.DATAGRAMS:
            heard = [one for data in client.datagrams for one in frames(data)]
        case Carriage.STREAM:
            assert list(client.streams) == [3]
            heard = frames(client.streams[3])
        case Carriage.STREAMS:
            assert len(client.streams) == FRAMES
            assert all(number % 4 == 3 for number in client.streams)
            heard = [one for data in client.streams.values() for one in frames(data)]
    first = heard[0][1]
    assert sorted((seq - first) & 0xFFFF for _, seq, _ in heard) == list(range(FRAMES))
    assert {kind for kind, *_ in heard} == {MEDIA}


@pytest.mark.live
def test_a_client_of_aioquic_without_a_token():
    client, end, told = asyncio.run(listen(our_server(gate=Gate(SECRET))))
    assert (end.error_code, end.frame_type, end.reason_phrase) == (1, None, "token missing")
    assert client.streams == {}
    assert isinstance(told[0], Refused)


@pytest.mark.live
def test_a_client_of_aioquic_shows_a_pinned_certificate():
    bob = client_identity()
    credentials = {
        "certificate": load_pem_x509_certificates(bob.certificate)[0],
        "private_key": load_pem_private_key(bob.key),
    }
    pinned = serving(pins=frozenset({fingerprint(bob.certificate)}))
    client, end, _ = asyncio.run(listen(our_server(credentials=pinned), **credentials))
    assert (end.error_code, len(client.datagrams)) == (0, FRAMES)
    _, end, told = asyncio.run(listen(our_server(credentials=pinned)))
    assert (end.error_code, type(told[0].error)) == (2, AuthenticationError)


@pytest.mark.live
def test_a_client_of_aioquic_that_takes_no_datagrams():
    _, end, _ = asyncio.run(listen(our_server(), max_datagram_frame_size=None))
    assert end.error_code == 6


# Our client, aioquic's server ---------------------------------------------------------------------


class Speaker(QuicConnectionProtocol):
    """Answers HELLO with a description, speaks in all three ways at once, and says BYE."""

    def quic_event_received(self, event):
        if not (isinstance(event, StreamDataReceived) and event.stream_id == 0 and event.data):
            return
        if frames(event.data) != [(HELLO, 0, b"a token")]:
            return
        quic = self._quic
        quic.send_stream_data(0, frame(DESCRIPTION, payload=b"v=0\r\n"))
        for seq in range(5):
            quic.send_datagram_frame(frame(MEDIA, seq, b"datagram"))
        for seq in range(5, 10):
            quic.send_stream_data(3, frame(MEDIA, seq, b"stream"))
        for seq in range(10, 15):
            number = quic.get_next_available_stream_id(is_unidirectional=True)
            quic.send_stream_data(number, frame(MEDIA, seq, b"streams"), end_stream=True)
        self.transmit()
        asyncio.get_running_loop().call_later(0.2, self._leave)

    def _leave(self):
        self._quic.send_stream_data(0, frame(BYE), end_stream=True)
        self.transmit()


async def hear(name: str = NAME) -> list:
    """What our client tells of aioquic's server."""
    configuration = QuicConfiguration(
        alpn_protocols=["labkit-voice/1"], is_client=False, max_datagram_frame_size=65536
    )
    configuration.certificate = load_pem_x509_certificates(server_identity().certificate)[0]
    configuration.private_key = load_pem_private_key(server_identity().key)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Speaker)
    address = server._transport.get_extra_info("sockname")
    told: list = []
    over = asyncio.Event()

    def take(event):
        told.append(event)
        if isinstance(event, Closed):
            over.set()

    session = QuicSession(Role.RECEIVER, credentials=listening(name), peer=address, token="a token")
    endpoint = await open_udp(session, on_event=take)
    try:
        async with asyncio.timeout(LIMIT):
            await over.wait()
    finally:
        endpoint.close()
        server.close()
    return told


@pytest.mark.live
def test_our_client_plays_from_a_server_of_aioquic():
    told = asyncio.run(hear())
    assert told[0] == Joined("v=0\r\n")
    assert told[-1] == Closed(True, "peer", "BYE")
    heard = {e.packet.seq: e.packet.payload for e in told if isinstance(e, Received)}
    assert heard == {seq: (b"datagram", b"stream", b"streams")[seq // 5] for seq in range(15)}


@pytest.mark.live
def test_our_client_refuses_a_server_of_aioquic_by_its_name():
    refused, closed = asyncio.run(hear("elsewhere.lab"))
    assert "'elsewhere.lab' doesn't match streamer.lab" in str(refused.error)
    assert isinstance(refused.error, AuthenticationError)
    assert not closed.clean


# tshark -------------------------------------------------------------------------------------------


def tshark(path, keys, *arguments: str) -> str:
    command = ["tshark", "-r", path, "-d", "udp.port==5004,quic", "-o", f"tls.keylog_file:{keys}"]
    done = subprocess.run(
        [*map(str, command), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def columns(path, keys, *names: str) -> dict[str, list[str]]:
    """For each field, what it is in the packets that have it; in one packet it may stand twice."""
    chosen = [word for name in names for word in ("-e", name)]
    rows = [line.split("\t") for line in tshark(path, keys, "-T", "fields", *chosen).splitlines()]
    return {
        name: [value for row in rows for value in row[at].split(",") if value]
        for at, name in enumerate(names)
    }


@pytest.mark.parametrize("carriage", list(Carriage))
def test_tshark_reads_a_conversation_of_ours(need, tmp_path, carriage):
    """The handshake, the name of the protocol, every frame of sound, and why it ended."""
    need("tshark")
    log = io.StringIO()
    pair = Pair(sender("v=0\r\n", carriage=carriage), receiver(key_log=log))
    pair.speak(20, start=seconds(1))
    pair.close(pair.server, at=seconds(2))
    pair.run(seconds(5))
    path, keys = tmp_path / "quic.pcapng", tmp_path / "keys.log"
    keys.write_text(log.getvalue())
    with path.open("wb") as file:
        pair.tap.write_pcapng(file)

    seen = columns(
        path,
        keys,
        "frame.protocols",
        "_ws.malformed",
        "tls.handshake.extensions_alpn_str",
        "tls.handshake.extensions_server_name",
        "quic.frame_type",
        "quic.stream.stream_id",
        "quic.cc.error_code.app",
    )
    assert len(seen["frame.protocols"]) == len(pair.tap.sent)
    assert all("quic" in protocols for protocols in seen["frame.protocols"])
    assert seen["_ws.malformed"] == []
    offered, chosen = seen["tls.handshake.extensions_alpn_str"]
    assert offered == chosen == "labkit-voice/1"
    assert seen["tls.handshake.extensions_server_name"] == [NAME]
    types = [int(number, 0) for number in seen["quic.frame_type"]]
    assert 0x1D in types  # CONNECTION_CLOSE of an application
    assert seen["quic.cc.error_code.app"] == ["0"]
    datagrams = sum(number in (0x30, 0x31) for number in types)
    assert datagrams == (20 if carriage is Carriage.DATAGRAMS else 0)
    sound = {int(number, 0) for number in seen["quic.stream.stream_id"]} - {0}
    if carriage is Carriage.STREAM:
        assert sound == {3}
    if carriage is Carriage.STREAMS:
        assert sound == {3 + 4 * number for number in range(20)}
