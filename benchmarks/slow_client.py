"""One listener that never reads, over TCP in real time: what it costs the server and the others.

    python benchmarks/slow_client.py [--before SECONDS] [--with SECONDS] [--picture FILE] [--json]

A server speaks Opus over TCP to some listeners in another process. For a while they are alone; then
one more comes, asks for the stream, says every two seconds that it is still there, and never reads
a byte. How late each packet is with the others is measured all the time, from the instant at which
its last sample exists to the one at which the listener has it (both CLOCK_MONOTONIC). Meanwhile the
server's memory (RSS) and the queue of the slow one are noted.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from labkit.codec.opus import Opus
from labkit.core.session import Received, Role
from labkit.core.source import Clip, Looped
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.broadcast import broadcast_tcp
from labkit.live.clock import now
from labkit.live.loop import run
from labkit.live.tcp import connect_tcp
from labkit.wire.framing import Kind, pack
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead16
from labkit.words.units import to_ms

OTHERS = 20
HELLO = pack(Packet(0, 0, b""), Kind.HELLO)
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """The server at one instant."""

    seconds: float
    rss: int
    queued: int
    dropped: int
    lag_ms: float


def rss() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def serve(pipe: Any, seconds: float) -> None:
    """The server's process."""

    async def main() -> list[Sample]:
        noise = np.random.default_rng(1).normal(0, 3000, (480_000, 1)).astype(np.int16)
        voice = Voice(Opus(32_000), Looped(Clip(noise)), rng=Random(1))
        server = Server(voice, lambda _: StreamSession(Role.SENDER, "v=0"))
        broadcast = await broadcast_tcp(server)
        pipe.send(broadcast.address)
        while voice.started is None:
            await asyncio.sleep(0.01)
        pipe.send((voice.started, voice.frame_ns))
        begin, samples = time.monotonic(), []
        while time.monotonic() < begin + seconds:
            await asyncio.sleep(1)
            voice.trace.entries.clear()
            worst = max(server.figures(now()).clients, key=lambda client: client.dropped)
            waits = worst.queued, worst.dropped, to_ms(worst.lag)
            samples.append(Sample(time.monotonic() - begin, rss(), *waits))
        await broadcast.close()
        return samples

    pipe.send(run(main()))


def listen(pipe: Any, address: tuple[str, int]) -> None:
    """The process of those who do read: how late each packet came, and when."""

    async def main() -> list[tuple[int, int]]:
        heard: list[tuple[int, int]] = []  # sequence number, when

        def take(event: Any) -> None:
            if isinstance(event, Received):
                heard.append((event.packet.seq, event.now))

        sessions = [StreamSession(Role.RECEIVER) for _ in range(OTHERS)]
        ends = [(await connect_tcp(each, *address, on_event=take)).done for each in sessions]
        await asyncio.wait(ends)
        return heard

    heard = run(main())
    pipe.send(np.array(heard, np.int64))


def never_read(address: tuple[str, int], seconds: float) -> None:
    """Ask, and say so every two seconds, and read nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # full in seconds, not minutes
        sock.connect(address)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sock.sendall(HELLO)
            time.sleep(2)


def measure(before: float, with_it: float) -> dict[str, Any]:
    """Run it all; delays in milliseconds before and with the slow one, and the samples."""
    server, theirs = multiprocessing.Pipe()
    others, others_end = multiprocessing.Pipe()
    serving = multiprocessing.Process(target=serve, args=(theirs, before + with_it))
    serving.start()
    address = server.recv()
    listening = multiprocessing.Process(target=listen, args=(others_end, address))
    listening.start()
    started, frame = server.recv()
    time.sleep(before)
    changed = now()
    never_read(address, with_it - 1)
    samples = server.recv()
    heard = others.recv()
    serving.join()
    listening.join()
    first_seq = int(heard[0, 0])
    number = np.array([ahead16(int(seq), first_seq) for seq, _ in heard])
    number = np.unwrap(number, period=65536)
    begin = np.searchsorted(heard[:, 1], started)
    due = started + (number - number[begin] + 1) * frame
    # Who came first heard the first packet; a common offset of whole frames would show at once.
    delay = (heard[:, 1] - due) / 1e6
    delay -= np.floor(delay.min() / to_ms(frame)) * to_ms(frame)
    return {
        "before": delay[heard[:, 1] < changed],
        "with": delay[heard[:, 1] >= changed],
        "samples": samples,
        "quiet": before,
    }


def picture(found: dict[str, Any], path: str) -> None:
    """How long packets took, before and with the slow one; the server's queue and memory."""
    import matplotlib as mpl  # here, so that it is not in the server's memory
    from matplotlib.figure import Figure

    from labkit.lab.show import GREY, LOST, PLAYED, STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        edges = np.geomspace(0.3, 100, 50)
        for name, colour, words in (
            ("before", GREY, "before"),
            ("with", PLAYED, "with the one that never reads"),
        ):
            delays = found[name]
            label = f"{words}: p99 {np.percentile(delays, 99):.1f} ms"
            share = np.full(len(delays), 100 / len(delays))
            left.hist(
                delays, edges, weights=share, histtype="step", lw=1.8, color=colour, label=label
            )
        left.set(xscale="log", xlabel=f"delay of the {OTHERS} that read (ms)")
        left.set_ylabel("share of their packets (%)")
        left.xaxis.set_major_formatter("{x:g}")
        left.set_ylim(top=1.35 * left.get_ylim()[1])
        left.legend(loc="upper right")
        minutes = [s.seconds / 60 for s in found["samples"]]
        queue = [s.queued for s in found["samples"]]
        memory = [s.rss / 2**20 for s in found["samples"]]
        right.plot(minutes, queue, color=LOST, lw=1.8, label="packets in its queue")
        right.plot(minutes, memory, color=PLAYED, lw=1.8, label="the server's memory (MiB)")
        right.axvline(found["quiet"] / 60, color=GREY, ls=":", lw=1.2, label="it comes")
        right.set(xlabel="time (minutes)", ylim=(0, 1.6 * max(*memory, *queue)), xlim=0)
        right.legend(loc="upper right")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=float, default=5, help="seconds without the slow one")
    parser.add_argument("--with", type=float, default=15, dest="with_it", help="seconds with it")
    parser.add_argument("--picture", help="a PNG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    found = measure(options.before, options.with_it)
    if options.picture:
        picture(found, options.picture)
    samples = found["samples"]
    at = [s for s in samples if s.seconds > options.before + 5] or samples[-1:]
    delays = {
        name: {f"p{p}": round(float(np.percentile(found[name], p)), 2) for p in (50, 95, 99, 100)}
        for name in ("before", "with")
    }
    memory = {
        "rss_MiB_before": round(samples[int(options.before) - 2].rss / 2**20, 1),
        "rss_MiB_then": round(at[0].rss / 2**20, 1),
        "rss_MiB_last": round(at[-1].rss / 2**20, 1),
        "longest_queue": max(s.queued for s in samples),
        "dropped": max(s.dropped for s in samples),
        "longest_wait_ms": round(max(s.lag_ms for s in samples)),
    }
    if options.json:
        print(json.dumps({"delays_ms": delays, **memory}))
        return
    print(
        "| delay of the others, ms | p50 | p95 | p99 | max |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, row in delays.items():
        print(f"| {name} the slow one | {' | '.join(f'{v:.2f}' for v in row.values())} |")
    print(memory)


if __name__ == "__main__":
    main()
