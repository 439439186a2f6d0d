"""The same sound to many listeners: datagrams a CPU second, beside what a bare loop reaches.

    python benchmarks/fanout.py [--listeners N] [--json]

A frame of 160 bytes goes to every listener, each on a socket of its own on loopback. The
contestants take turns in the same minute:

- bare `sendto`: a loop over ready bytes and ready addresses, and nothing else: what the goals are
  measured by
- our server: `Server`, a session for each listener, `UdpEndpoint`, with our own header
  (`DatagramSession`) and with RTP and RTCP (`RtpSession`); once by `sendto`, once as it is, by
  `sendmmsg`
- bare `sendmmsg`: the tables of `labkit.live.batch` alone
- each session for itself: what our server would do if every session packed and sent its own
- multicast: one `sendto` to a group that all of them have joined. Here the kernel makes the copies
  and they count as sent; on a real network nobody on this computer would
- GStreamer: `multiudpsink`, which does its work in C and also by sendmmsg; it is fed by `fakesrc`,
  without a voice, RTP or sessions; what its start takes is subtracted

Nobody reads: the sockets are full, so what is measured is sending and not a reader on the same
core; with `--read` a process reads them all. What counts is the time of the CPU, in the kernel too,
and of each contestant's rounds the best one: other work on the machine empties the caches, and only
ever slows things down. Our server's part has everything but an encoder:
the voice's clock, packing, counters, RTCP as it comes due, timers. It runs in virtual time, as fast
as it can.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np

from labkit.codec.blank import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.batch import Batch
from labkit.live.clock import now
from labkit.live.multicast import group_socket, send_to_groups
from labkit.live.udp import UdpEndpoint, open_udp
from labkit.wire import rtcp, rtp
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

ROUNDS = 9
FRAMES = 100
SIZE = 160
GROUP = "239.255.0.9"
GOALS = {"sendto": 0.9, "sendmmsg": 1.3}
HELLO = pack(Packet(0, 0, b""), Kind.HELLO)
Way = Callable[[int], None]


class Ours:
    """A server with everybody joined, driven by hand through its endpoint."""

    def __init__(self, endpoint: UdpEndpoint, addresses: list[Any], rtp: bool) -> None:
        self.rtp = rtp
        self.endpoint = endpoint
        self.server: Any = endpoint.machine
        self.addresses = addresses
        self.now = now() + seconds(3600)  # ahead of the clock, so that no timer fires by itself
        self.join()

    def join(self) -> None:
        """Everybody asks, and so shows that it is still there."""
        for number, address in enumerate(self.addresses):
            name = rtcp.SourceDescription.named(number + 1, "listener")
            asking = rtcp.pack(rtcp.ReceiverReport(number + 1, ()), name) if self.rtp else HELLO
            self.server.receive_datagram(asking, address, self.now)
        self.endpoint.turn()
        self.server.voice.trace.entries.clear()  # as `streamer serve` does every second
        assert self.server.listening() == len(self.addresses)

    def send(self, frames: int) -> None:
        """As the timer would: tick when a frame is due, and take what comes of it."""
        for _ in range(frames):
            self.now += ms(20)
            self.endpoint.machine.tick(self.now)
            self.endpoint.turn()


class Silence:
    """Sound that costs nothing to read."""

    sample_rate, channels = 48_000, 1

    def __init__(self) -> None:
        self._frame = np.zeros((960, 1), np.int16)

    def read(self, samples: int) -> Any:
        """A frame, always the same."""
        return self._frame


async def ours(
    addresses: list[Any], *, sendmmsg: bool = True, rtp: bool = True, alone: bool = False
) -> Ours:
    """A server on a socket of its own."""
    voice = Voice(Blank(SIZE), Silence(), rng=Random(1))

    def session(address: Any) -> Any:
        if not rtp:
            return DatagramSession(Role.SENDER, "v=0")
        made = RtpSession(Role.SENDER, "v=0", ssrc=voice.ssrc, rng=Random(str(address)))
        return Lonely(made) if alone else made

    server = Server(voice, session, max_clients=len(addresses), max_waiting=len(addresses))
    endpoint = await open_udp(server)
    endpoint._batch = Batch(endpoint.sockets[-1], sendmmsg=sendmmsg)
    return Ours(endpoint, addresses, rtp)


class Lonely:
    """A session that has nothing in common with others."""

    def __init__(self, session: RtpSession) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


def bare_sendto(sock: socket.socket, data: bytes, addresses: list[Any]) -> Way:
    def run(frames: int) -> None:
        send = sock.sendto
        for _ in range(frames):
            for address in addresses:
                send(data, address)

    return run


def multicast(sock: socket.socket, data: bytes, port: int) -> Way:
    send_to_groups(sock, interface="127.0.0.1")

    def run(frames: int) -> None:
        for _ in range(frames):
            sock.sendto(data, (GROUP, port))

    return run


def bare_sendmmsg(sock: socket.socket, data: bytes, addresses: list[Any]) -> Way:
    batch, destinations = Batch(sock), tuple(addresses)

    def run(frames: int) -> None:
        for _ in range(frames):
            batch.send_copies(data, destinations)
        assert batch.unsent == 0

    return run


def gstreamer(addresses: list[Any], frames: int) -> float:
    """CPU seconds that `multiudpsink` takes for so many buffers, beyond its start."""
    return _gstreamer(addresses, frames + 1) - _gstreamer(addresses, 1)


def _gstreamer(addresses: list[Any], frames: int) -> float:
    clients = ",".join(f"{host}:{port}" for host, port in addresses)
    command = ["gst-launch-1.0", "-q", "fakesrc", f"num-buffers={frames}", "sizetype=fixed"]
    command += [f"sizemax={SIZE + 12}", "filltype=zero", "!"]
    command += ["multiudpsink", f"clients={clients}", "sync=false", "async=false"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def listeners(count: int, read: bool) -> Iterator[list[Any]]:
    """The addresses of so many sockets."""
    pipe, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_listen, args=(count, read, theirs), daemon=True)
    process.start()
    yield pipe.recv()
    process.terminate()
    process.join()


def _listen(count: int, read: bool, pipe: Any) -> None:
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        port = sockets[0].getsockname()[1]
        members = [group_socket(GROUP, port, interface="127.0.0.1") for _ in range(count)]
        for sock in (*sockets, *members):
            selector.register(sock, selectors.EVENT_READ)
        pipe.send([sock.getsockname() for sock in sockets])
        while read:
            for key, _ in selector.select():
                with contextlib.suppress(BlockingIOError):
                    for _ in range(64):
                        key.fileobj.recv(2048)  # type: ignore[union-attr]
        pipe.recv()


async def measure(addresses: list[Any]) -> dict[str, float]:
    """Datagrams a CPU second of each contestant: the best of the rounds."""
    data = rtp.pack(Packet(1, 2, bytes(SIZE), payload_type=99, ssrc=3))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        own = {
            "our server, own header, sendto": await ours(addresses, sendmmsg=False, rtp=False),
            "our server, own header, sendmmsg": await ours(addresses, rtp=False),
            "our server, RTP, sendto": await ours(addresses, sendmmsg=False),
            "our server, RTP, sendmmsg": await ours(addresses),
            "each session for itself": await ours(addresses, alone=True),
        }
        ways: dict[str, Way] = {"bare sendto": bare_sendto(sock, data, addresses)}
        ways |= {name: each.send for name, each in own.items()}
        ways["bare sendmmsg"] = bare_sendmmsg(sock, data, addresses)
        ways["multicast"] = multicast(sock, data, addresses[0][1])
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.process_time()
                way(FRAMES)
                found[name].append(time.process_time() - start)
            if shutil.which("gst-launch-1.0"):
                found.setdefault("GStreamer multiudpsink", []).append(gstreamer(addresses, FRAMES))
            for each in own.values():
                each.join()
        for each in own.values():
            each.endpoint.close()
            assert each.endpoint.unsent == 0
    datagrams = FRAMES * len(addresses)
    return {name: datagrams / min(each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--read", action="store_true", help="a process reads what is sent")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    with listeners(options.listeners, options.read) as addresses:
        rates = asyncio.run(measure(addresses))
    if options.json:
        print(json.dumps(rates))
        return
    base = rates["bare sendto"]
    print(f"| {options.listeners} listeners | datagrams/CPU s | times bare sendto | goal |")
    print("| --- | ---: | ---: | ---: |")
    for name, rate in rates.items():
        goal = GOALS[name.split()[-1]] if name.startswith("our") else ""
        print(f"| {name} | {rate:,.0f} | {rate / base:.2f} | {goal} |")


if __name__ == "__main__":
    main()
