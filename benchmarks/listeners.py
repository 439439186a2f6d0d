"""How many listeners one core serves, with Opus, RTP and no frame late.

    python benchmarks/listeners.py [--seconds S] [--counts 200,400,…] [--proto rtp|tcp] [--json]

The server runs on one core and nothing else of ours does (`sched_setaffinity`): it encodes speech
with Opus every 20 ms and sends it to all who asked. The listeners are counting sockets in another
process on another core: over RTP they ask by RTCP, report every five seconds as receivers do, and
count what comes; over TCP they ask, and read.

A frame is due when its last sample exists. It is *late* when it has not left, to all listeners,
20 ms later: then the next one is already due. The time of the last `send` is taken after the
server's turn; p99 and the worst are of that. A listener's count is compared with what was sent.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import selectors
import socket
import time
from random import Random
from typing import Any

import numpy as np

from labkit.codec.opus import Opus
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Looped
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.lab.sources import speech
from labkit.live.broadcast import TcpBroadcast, broadcast_tcp
from labkit.live.clock import now
from labkit.live.loop import run
from labkit.live.udp import UdpEndpoint, open_udp
from labkit.wire import framing, rtcp
from labkit.wire.framing import Kind
from labkit.words.packet import Packet
from labkit.words.units import ms, to_ms

LATE = ms(20)
REPORT_S = 5
COUNTS = {"rtp": (200, 1000, 2000, 3000), "tcp": (200, 400, 600, 800)}
HELLO = framing.pack(Packet(0, 0, b""), Kind.HELLO)


def pin(core: int) -> None:
    """Run on this core and no other, where the system lets us say so."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


def serve(pipe: Any, proto: str, count: int, seconds: float) -> None:
    """The server's process: how late each frame had left, in nanoseconds, and the CPU's share."""
    pin(0)

    async def main() -> dict[str, Any]:
        voice = Voice(Opus(32_000), Looped(speech()), rng=Random(1))

        def session(address: Any) -> Any:
            if proto == "tcp":
                return StreamSession(Role.SENDER, "v=0")
            return RtpSession(Role.SENDER, "v=0", ssrc=voice.ssrc, rng=Random(str(address)))

        server = Server(voice, session, max_clients=count, max_waiting=count)
        lateness: list[int] = []
        start = server.start
        server.start = lambda now: None  # type: ignore[method-assign]
        adapter: UdpEndpoint | TcpBroadcast
        adapter = await (broadcast_tcp(server) if proto == "tcp" else open_udp(server))
        _watch(adapter, voice, lateness)
        pipe.send(adapter.address)
        while server.listening() < count:
            await asyncio.sleep(0.05)
        start(now())
        adapter.turn()
        begin, cpu = time.monotonic(), time.process_time()
        while time.monotonic() < begin + seconds:
            await asyncio.sleep(0.5)
            voice.trace.entries.clear()
        cpu = (time.process_time() - cpu) / (time.monotonic() - begin)
        frames, sent = len(lateness), {client.sent for client in server.figures(now()).clients}
        unsent = getattr(adapter, "unsent", 0)
        dropped = sum(client.dropped for client in server.figures(now()).clients)
        adapter.close() if isinstance(adapter, UdpEndpoint) else await adapter.close()
        assert sent == {frames}, (sent, frames)
        return {"lateness": lateness, "cpu": cpu, "unsent": unsent, "dropped": dropped}

    pipe.send(run(main()))


def _watch(adapter: Any, voice: Voice, lateness: list[int]) -> None:
    """After each turn in which the voice spoke, note how long ago the frame was due."""
    turn = adapter.turn
    said: list[int | None] = [None]

    def watched() -> None:
        turn()
        due = voice.deadline()
        if due is not None and due != said[0]:
            if said[0] is not None:  # several at once, if it was very late
                lateness.extend(now() - each for each in range(said[0], due, voice.frame_ns))
            said[0] = due

    adapter.turn = watched


def listen(pipe: Any, address: tuple[str, int], proto: str, count: int) -> None:
    """The process of the listeners: how many packets each got; ends when told to."""
    pin(1)
    selector = selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ)
    heard = dict.fromkeys(range(count), 0)
    sockets = []
    for number in range(count):
        if proto == "tcp":
            sock = socket.create_connection(address)
        else:
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.connect(address)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, number)
        sockets.append(sock)
        sock.send(_sign_of_life(proto, number))
    due = time.monotonic()
    turn = 0
    while True:
        if time.monotonic() >= due:  # one after the other, all within REPORT_S
            sockets[turn % count].send(_sign_of_life(proto, turn % count))
            turn, due = turn + 1, due + (REPORT_S if proto == "rtp" else 2) / count
        for key, _ in selector.select(max(0, due - time.monotonic())):
            if key.data is None:
                pipe.send(heard)
                return
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while data := sockets[key.data].recv(4096):
                    heard[key.data] += proto == "tcp" or not rtcp.is_rtcp(data)
                else:
                    selector.unregister(sockets[key.data])


def _sign_of_life(proto: str, number: int) -> bytes:
    if proto == "tcp":
        return HELLO
    name = rtcp.SourceDescription.named(number + 1, f"listener {number}")
    return rtcp.pack(rtcp.ReceiverReport(number + 1, ()), name)


def measure(proto: str, count: int, seconds: float) -> dict[str, float]:
    """One run with so many listeners."""
    server, theirs = multiprocessing.Pipe()
    listeners, others = multiprocessing.Pipe()
    serving = multiprocessing.Process(target=serve, args=(theirs, proto, count, seconds))
    serving.start()
    listening = multiprocessing.Process(target=listen, args=(others, server.recv(), proto, count))
    listening.start()
    found = server.recv()
    listeners.send("that was all")
    heard = listeners.recv()
    serving.join()
    listening.join()
    late = np.array(found["lateness"])
    total = len(late) * count
    return {
        "listeners": count,
        "frames": len(late),
        "late": int((late > LATE).sum()),
        "p50_ms": to_ms(float(np.percentile(late, 50))),
        "p99_ms": to_ms(float(np.percentile(late, 99))),
        "worst_ms": to_ms(float(late.max())),
        "cpu": found["cpu"],
        "not_taken": found["unsent"] + found["dropped"],
        "heard": min(sum(heard.values()) / total, 1.0) if proto == "rtp" else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proto", choices=("rtp", "tcp"), default="rtp")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--counts", help="how many listeners, with commas between")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each count")
    options = parser.parse_args()

    counts = [int(each) for each in options.counts.split(",")] if options.counts else []
    if not options.json:
        columns = ("frames", "late", "p50, ms", "p99", "worst", "of a core", "heard")
        print(f"| listeners over {options.proto} | {' | '.join(columns)} |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in counts or COUNTS[options.proto]:
        found = measure(options.proto, count, options.seconds)
        if options.json:
            print(json.dumps(found))
            continue
        delays = " | ".join(f"{found[f'{name}_ms']:.1f}" for name in ("p50", "p99", "worst"))
        print(
            f"| {count} | {found['frames']} | {found['late']} | {delays} "
            f"| {found['cpu']:.0%} | {found['heard']:.1%} |".replace("nan%", ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
