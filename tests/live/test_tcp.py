"""TCP: a server that comes back, a stream that is cut off, a reader that does not read."""

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from random import Random
from statistics import median

import numpy as np
import pytest
from programs import free_port, listening, run, serving

from labkit.codec import Pcm
from labkit.core.reconnect import Backoff
from labkit.core.session import Closed, Joined, Limits, Received, Role
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.broadcast import TcpBroadcast, broadcast_tcp
from labkit.live.clock import now
from labkit.live.tcp import WRITE_BUFFER, TcpConnection, connect_again, connect_tcp, serve_tcp
from labkit.live.wav import read_wav
from labkit.wire import sdp
from labkit.wire.framing import Kind, pack
from labkit.words.errors import BadInput
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

pytestmark = pytest.mark.live

HELLO = pack(Packet(0, 0, b""), Kind.HELLO)


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until it is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


# A server that comes back ---------------------------------------------------------------------


def test_a_server_that_crashes_and_comes_back_is_found_again(tmp_path):
    """The receiver tells, waits, joins again and plays on; all of it is in its file."""
    heard = tmp_path / "heard.wav"
    with serving("tcp", "tone") as server:
        address = server.wait_for(r"--addr (\S+)")[1]
        port = address.rpartition(":")[2]
        with listening("tcp", address, heard, "--buffer-ms", 60) as receiver:
            receiver.wait_for("receiving opus")
            server.kill()
            receiver.wait_for("the stream ended: the stream ended without BYE")
            with serving("tcp", "tone", "--port", port) as again:
                receiver.wait_for("joined", times=2)
                time.sleep(1)  # of sound: the machine under test is a listener
                again.interrupt()
                assert again.finish() == 0
                assert receiver.finish() == 0, receiver.output
    assert "looking for the server again" in receiver.output
    sound, rate = read_wav(heard)
    assert loud_seconds(sound[:, 0], rate) > 0.9


def loud_seconds(sound, rate: int) -> float:
    """How many seconds of a file are not silence, in pieces of 10 ms."""
    pieces = sound[: len(sound) // (rate // 100) * (rate // 100)].reshape(-1, rate // 100)
    return np.count_nonzero(np.abs(pieces).max(axis=1) > 1000) / 100


def test_a_server_that_does_not_come_back_is_given_up(tmp_path):
    with serving("tcp", "tone") as server:
        address = server.wait_for(r"--addr (\S+)")[1]
        with listening("tcp", address, tmp_path / "heard.wav", "--retries", 2) as receiver:
            receiver.wait_for("receiving opus")
            server.kill()
            assert receiver.finish() == 2
    assert receiver.lines[-2].endswith(f"TCP {address} was not found again, 2 times tried")
    assert read_wav(tmp_path / "heard.wav")[1] == 48_000


def test_ctrl_c_ends_the_search(tmp_path):
    """Nobody waits for a patience of ten seconds to end before he may leave."""
    with serving("tcp", "tone") as server:
        address = server.wait_for(r"--addr (\S+)")[1]
        with listening("tcp", address, tmp_path / "heard.wav", "--retries", 1000) as receiver:
            receiver.wait_for("receiving opus")
            server.kill()
            receiver.wait_for("looking for the server again")
            receiver.interrupt()
            assert receiver.finish() == 0, receiver.output


def test_a_server_that_hangs_up_at_once_is_not_asked_at_once_for_ever(tmp_path):
    """Each attempt is a failure and costs patience, though every connection succeeds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = 0

        def hang_up() -> None:
            nonlocal accepted
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted += 1
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        where = ("--addr", address, "--no-sound", "--out", tmp_path / "x.wav")
        program = run("receiver", "connect", "--proto", "tcp", *where, "--retries", 3)
        server.shutdown(socket.SHUT_RDWR)
    assert program.process.returncode == 2
    assert accepted == 4


def test_the_machine_is_made_when_there_is_a_connection():
    """Until then it has nobody to speak to, and would lose its first words."""
    made = []

    def make() -> StreamSession:
        made.append(now())
        return StreamSession(Role.RECEIVER)

    async def main() -> None:
        port = free_port(socket.SOCK_STREAM)
        backoff = Backoff(ms(1), rng=Random(1))
        with pytest.raises(BadInput, match=f"127.0.0.1:{port} was not found again, 3 times tried"):
            await connect_again(make, "127.0.0.1", port, backoff=backoff, attempts=3)
        assert not made
        backoff.reset()
        with socket.create_server(("127.0.0.1", port)) as server:
            connection = await connect_again(make, "127.0.0.1", port, backoff=backoff, attempts=1)
            peer, _ = server.accept()
            with peer:
                assert peer.recv(100) == HELLO
            await connection.done
        assert len(made) == 1

    asyncio.run(main())


# A stream that is cut off ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (b"", "the stream ended without BYE"),
        (pack(Packet(7, 0, bytes(96)))[:20], "the stream ended 20 bytes into a frame"),
    ],
    ids=["between frames", "in mid-frame"],
)
def test_a_stream_that_is_cut_off_says_where(last, why):
    """A server that sends so much and closes; the frame before it was heard."""
    description = sdp.describe(Pcm().format, host="127.0.0.1", port=0)
    answer = pack(Packet(0, 0, description.encode()), Kind.DESCRIPTION)
    whole = pack(Packet(6, 0, bytes(96)))

    async def answer_and_close(reader, writer):
        assert await reader.readexactly(len(HELLO)) == HELLO
        writer.write(answer + whole + last)
        writer.close()

    async def main() -> list[Event]:
        events: list[Event] = []
        server = await asyncio.start_server(answer_and_close, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            session = StreamSession(Role.RECEIVER)
            connection = await connect_tcp(session, *address, on_event=events.append)
            await connection.done
        return events

    joined, heard, closed = asyncio.run(main())
    assert isinstance(joined, Joined)
    assert isinstance(heard, Received)
    assert closed == Closed(clean=False, by="peer", why=why)


# A reader that does not read ------------------------------------------------------------------


class Arrivals:
    """How many packets have come to a listener, and when the last one did."""

    def __init__(self) -> None:
        self.count = self.last = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Received):
            self.count += 1
            self.last = now()


async def with_a_stalled_reader(
    act: Callable[[TcpBroadcast, StreamSession, Arrivals], Awaitable[None]],
) -> None:
    """A server of live sound with two listeners; one says HELLO and never reads a byte.

    `act` gets the server, the session of the stalled one, and what came to the other.
    """
    came = Arrivals()

    voice = Voice(Pcm(), rng=Random(1))
    # Who is silent is given up after 15 s; on a busy machine all this may take longer.
    patient = Limits(silence=seconds(3600))
    server = Server(voice, lambda address: StreamSession(Role.SENDER, "v=0", limits=patient))
    broadcast = await broadcast_tcp(server)
    listener = await connect_tcp(
        StreamSession(Role.RECEIVER), *broadcast.address, on_event=came.take
    )
    with socket.create_connection(broadcast.address) as stalled:
        stalled.sendall(HELLO)
        await until(lambda: server.listening() == 2)
        peers = {
            transport_of(broadcast, s).get_extra_info("peername"): s for s in sessions(broadcast)
        }
        await act(broadcast, peers[stalled.getsockname()], came)
        listener.close()
        await listener.done
        await broadcast.close()


def sessions(broadcast: TcpBroadcast) -> list[StreamSession]:
    return [sender.session for sender in broadcast.server.clients.values()]


def transport_of(broadcast: TcpBroadcast, session: StreamSession) -> asyncio.Transport:
    (connection,) = (c for c in broadcast.connections if c.machine.session is session)
    return connection._transport


async def say(broadcast: TcpBroadcast, frames: int, came: Arrivals) -> None:
    """So many frames of 20 ms at once, faster than real time, until the good listener has them."""
    broadcast.server.push_audio(np.zeros((960 * frames, 1), np.int16), now())
    broadcast.server.voice.trace.entries.clear()
    wanted = came.count + frames * 2  # a frame of L16 makes two packets
    broadcast.turn()
    await until(lambda: came.count == wanted)


def test_a_reader_that_does_not_read_does_not_grow_our_memory():
    """Three minutes of sound, 20 MB: what it does not take is dropped and counted.

    Its kernel takes some megabytes, ours too; then the queue of the session is all there is. The
    other listener gets every packet.
    """
    blocks, frames = 1000, 10
    sizes = []

    async def act(broadcast: TcpBroadcast, session: StreamSession, came: Arrivals) -> None:
        transport = transport_of(broadcast, session)
        queued = written = 0
        for block in range(1, blocks + 1):
            await say(broadcast, frames, came)
            queued = max(queued, len(session.queue))
            written = max(written, transport.get_write_buffer_size())
            if block in (blocks // 2, blocks):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        assert queued == session.limits.queue
        # Besides the high-water mark: one block, which was handed over before the wire was full,
        # and the queue, which leaves as a whole when there is room again.
        assert written <= WRITE_BUFFER + (frames * 2 + session.limits.queue) * 1000
        stats = session.stats
        assert stats.sent == came.count == blocks * frames * 2
        assert stats.dropped > stats.sent // 4

    tracemalloc.start()
    try:
        asyncio.run(with_a_stalled_reader(act))
    finally:
        tracemalloc.stop()
    halfway, end = sizes
    assert end - halfway < 100_000


def test_a_reader_that_does_not_read_delays_nobody_else():
    """A packet takes as long to the other listener before and after the first one is full."""
    latency: dict[bool, list[int]] = {False: [], True: []}

    async def act(broadcast: TcpBroadcast, session: StreamSession, came: Arrivals) -> None:
        for full in (False, True):
            while full and not session.stats.dropped:
                await say(broadcast, 50, came)
            for _ in range(50):
                start = now()
                await say(broadcast, 1, came)
                latency[full].append(came.last - start)

    asyncio.run(with_a_stalled_reader(act))
    before, after = (median(latency[full]) for full in (False, True))
    print(f"\nmedian {before / 1e6:.2f} ms before, {after / 1e6:.2f} ms after")
    assert after < max(4 * before, ms(5))


def test_a_reader_that_does_not_read_is_cut_off_in_the_end(monkeypatch):
    """When the server closes, the goodbye cannot be delivered; it does not wait for ever."""
    monkeypatch.setattr("labkit.live.broadcast.LINGER_S", 0.1)

    async def act(broadcast: TcpBroadcast, session: StreamSession, came: Arrivals) -> None:
        while not session.stats.dropped:
            await say(broadcast, 50, came)
        await broadcast.close()
        await until(lambda: not broadcast.connections)

    asyncio.run(with_a_stalled_reader(act))


# Errors come out ------------------------------------------------------------------------------


def test_what_a_machine_raises_is_raised_where_somebody_waits():
    """An event loop would log it and go on, with half a machine."""

    def refuse(event: Event) -> None:
        raise BadInput(f"not this: {type(event).__name__}")

    async def main() -> None:
        broadcast = await broadcast_tcp(Server(Voice(Pcm()), lambda _: StreamSession(Role.SENDER)))
        connection = await connect_tcp(
            StreamSession(Role.RECEIVER), *broadcast.address, on_event=refuse
        )
        with pytest.raises(BadInput, match="not this: Joined"):
            await connection.done
        await broadcast.close()

    asyncio.run(main())


def test_what_drains_after_the_end_is_closed_once():
    """A slow reader takes the last megabytes within the time it has; then nothing must be cut off.
    Asyncio would end the connection twice, and print what goes wrong with that."""

    class Talker(StreamSession):
        wants_close = False

        def transmits(self):
            said, self.said = self.said, ()
            self.wants_close = True
            return said

        said = (bytes(8 << 20),)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wrong: list[dict[str, object]] = []
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        connections: list[TcpConnection] = []

        def accept() -> TcpConnection:
            connections.append(TcpConnection(Talker(Role.SENDER, "v=0")))
            return connections[-1]

        server = await serve_tcp(accept)
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            peer.setblocking(False)
            while await loop.sock_recv(peer, 1 << 20):
                pass
        await connections[0].done
        connections[0].abort()  # as the timer does
        await asyncio.sleep(0)
        server.close()
        assert wrong == []

    asyncio.run(main())
