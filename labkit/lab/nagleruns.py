"""Nagle's algorithm in real kernels: what the programs of this course send, and when (week 3).

    frame_delays(capture("03_nagle_on").connections[0])    how late each frame left, in ms
    traffic = side_by_side("nagle.pcapng")                 two servers, Nagle on and off, captured
    over_loopback("heard.wav")                             a voice over TCP on this machine
    await answer_times(nodelay=False)                      questions in two writes each, in ms

On loopback a stream that only goes one way has nothing to fear of Nagle: its reader acknowledges
at once. So there are two experiments. In `side_by_side` acknowledgements take a round trip, over a
lab network (`labkit.live.link`, Linux). In `answer_times` the other end answers each question, and
holds its acknowledgement back in the hope to put it on an answer; that is seen on any system.

This module judges nothing.
"""

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from labkit.core.source import Clip
from labkit.lab.conversations import Connection
from labkit.lab.sources import wav
from labkit.lab.traffic import Traffic, open_capture
from labkit.live.link import LabNetwork
from labkit.live.sockopts import no_delay
from labkit.wire.framing import FrameDecoder, Kind
from labkit.words.errors import BadInput, LabError
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.seqnum import ahead32
from labkit.words.units import SAMPLE_RATE, ms, ticks_to_ns, to_ms

PORTS: Final = (5001, 5002)
"""Of the server with Nagle's algorithm, and of the one without."""
HEADER, PAYLOAD = 12, 80
"""Bytes of the two writes of a question."""
PATIENCE_S: Final = 30.0
"""For programs that take much less, on a machine with much else to do."""


def frame_delays(connection: Connection) -> list[float]:
    """How much later than the least late one each frame of sound left the server, in ms.

    A frame has left when its last byte has; when it was spoken, its timestamp says.
    """
    decoder, times = FrameDecoder(), []
    for segment in connection.sent(by_client=False):
        if not segment.repeated:
            for kind, packet in decoder.receive(segment.packet.data[-segment.size :]):
                if kind is Kind.MEDIA:
                    times.append((segment.now, packet.timestamp))
    if not times:
        raise BadInput(f"{connection!r} carries no frame of sound", "a capture of week 3")
    first = times[0][1]
    transits = [now - ticks_to_ns(ahead32(ts, first), SAMPLE_RATE) for now, ts in times]
    return [to_ms(transit - min(transits)) for transit in transits]


def as_rows(traffic: Traffic, which: int = 0) -> list[tuple[float, str, int, int, int, str]]:
    """The segments of a connection, seen from its server, as plain values (exercise 03.3).

    Each is (ms, "out" or "in", seq, bytes of data, ack, flags), with numbers counted from 0.
    """
    return [
        (
            round(to_ms(s.now - traffic.start), 3),
            "in" if s.from_client else "out",
            s.seq,
            s.size,
            s.ack,
            s.flags,
        )
        for s in traffic.connections[which].segments
    ]


# In a lab network -------------------------------------------------------------------------------


def side_by_side(
    path: str | Path, *, round_trip: int = 50, seconds: float = 4, frame_ms: float = 20
) -> Traffic:
    """Serve a voice to two listeners over one link, and capture at the server.

    `connections[0]` has Nagle's algorithm, `connections[1]` TCP_NODELAY. `round_trip` is in
    milliseconds. `MissingCapability` where there can be no lab network.
    """
    link = LinkSpec(delay=ms(round_trip) // 2)
    profile = Profile("far", f"{round_trip} ms there and back", "chosen", link, link)
    serve = ["streamer", "serve", "--proto", "tcp", "--source", "speech", "--loop"]
    connect = ["receiver", "connect", "--proto", "tcp", "--no-sound", "--seconds", str(seconds)]
    with (
        TemporaryDirectory() as folder,
        LabNetwork(profile, capture=path, capture_at="alice") as net,
    ):
        for port, words in zip(PORTS, ([], ["--nodelay"]), strict=True):
            where = ["--host", net.alice.address, "--port", str(port)]
            net.alice.start([*serve, *where, "--frame-ms", str(frame_ms), *words])
            net.alice.wait_for_port(port, timeout=PATIENCE_S)
        listeners = [
            net.bob.start(
                [*connect, "--addr", f"{net.alice.address}:{port}", "--out", f"{folder}/{port}.wav"]
            )
            for port in PORTS
        ]
        for listener in listeners:
            if listener.wait(PATIENCE_S + seconds):
                raise LabError(f"a listener failed: {listener.stderr.text[-300:]}")
    traffic = open_capture(path)
    traffic.connections.sort(key=lambda connection: connection.server[1])
    return traffic


# On loopback ------------------------------------------------------------------------------------


def over_loopback(
    path: str | Path, *, seconds: float = 3, nodelay: bool = True
) -> tuple[Clip, str]:
    """`streamer serve` and `receiver connect` on this machine: what was heard, and what they said.

    The port is any free one; `path` is the WAV file that the receiver writes.
    """
    serve = ["serve", "--proto", "tcp", "--port", "0", "--source", "speech", "--loop"]
    server = _program("streamer", *serve, *(["--nodelay"] if nodelay else []))
    try:
        said = _until_it_listens(server)
        address = said[-1].split()[-1]
        connect = ["connect", "--proto", "tcp", "--addr", address, "--no-sound"]
        receiver = _program("receiver", *connect, "--out", str(path), "--seconds", str(seconds))
        try:
            output, _ = receiver.communicate(timeout=PATIENCE_S + seconds)
        finally:
            receiver.kill()
    finally:
        server.kill()
        server.communicate()
    if receiver.returncode:
        raise LabError(f"the receiver failed: {output[-300:]}")
    return wav(path), "\n".join([*said, *output.splitlines()[-4:]])


def _program(module: str, *words: str) -> "subprocess.Popen[str]":
    """One of the course's programs, by this Python: its folder need not be on the path."""
    main = f"from labkit.cli.{module} import main; raise SystemExit(main())"
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-u", "-c", main, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _until_it_listens(server: "subprocess.Popen[str]") -> list[str]:
    """What the server says, up to the line with its address."""
    said: list[str] = []
    assert server.stdout is not None
    for line in server.stdout:
        said.append(line.rstrip())
        if re.search(r"--addr \S+:\d+$", said[-1]):
            return said
    raise LabError(f"the server ended: {' '.join(said)[-300:]}")


async def answer_times(count: int = 20, *, nodelay: bool, pieces: int = 2) -> list[float]:
    """How long each question waits for its answer, over TCP on this machine, in milliseconds.

    A question is written in two pieces, header and payload, or in one; the answer comes when both
    are there.
    """
    question = [bytes(HEADER), bytes(PAYLOAD)] if pieces == 2 else [bytes(HEADER + PAYLOAD)]
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        no_delay(writer.get_extra_info("socket"), nodelay)
        found = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            for piece in question:
                writer.write(piece)
            await reader.readexactly(1)
            found.append(to_ms(time.perf_counter_ns() - begun))
        writer.close()
        await writer.wait_closed()
    return found


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await reader.readexactly(HEADER + PAYLOAD)
            writer.write(b"!")
    writer.close()


def two_ends() -> tuple[socket.socket, socket.socket]:
    """A TCP connection with both of its ends in this process, on loopback, without Nagle."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    for end in (ours, theirs):
        no_delay(end)
    return ours, theirs
