"""Head-of-line blocking on real sockets: the kernel's TCP beside QUIC, over the same bad line.

    python benchmarks/quic.py [--link voip-5] [--seed 1] [--seconds 15] [--picture FILE] [--json]

A sender and a listener are programs of their own in the lab network (`labkit.live.link`): real
kernel, real sockets, and a line between them that does to every packet what the profile says. Both
read one monotonic clock, so the way of each frame is measured from `send` to `Received`. One voice
goes four ways, one after the other, each over a new network with the same seed. The kernel's TCP
has its own congestion control, selective acknowledgements and tail loss probes, and no Nagle.

Prints each way's delays, and the ratio of its 99th percentile to that of TCP. It needs what the lab
network needs: namespaces that an ordinary user may make.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from labkit.codec import Opus
from labkit.core.session import Closed, Received, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quictls import ClientCredentials, ServerCredentials
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.headofline import HeadOfLine, Way
from labkit.lab.quic import NAME, QUIC, quic_credentials
from labkit.lab.sources import speech
from labkit.live.link import LabNetwork
from labkit.live.tcp import TcpConnection, connect_tcp, serve_tcp
from labkit.live.udp import open_udp
from labkit.resources import load_profile
from labkit.words.trace import Did

PORT = 5000
WAYS = {
    Way.TCP: "tcp",
    Way.STREAM: "quic-stream",
    Way.STREAMS: "quic-streams",
    Way.DATAGRAMS: "quic",
}


# The two programs in the lab network --------------------------------------------------------------


async def speak(transport: str, host: str, folder: Path, length: float) -> dict[int, int]:
    """Send the voice to whoever joins; when each frame was sent, by sequence number."""
    samples = speech().samples
    times = -(-round(length * 48_000) // len(samples))
    clip = Clip(np.tile(samples, (times, 1))[: round(length * 48_000)])
    voice = Voice(Opus(32_000), clip, rng=Random(1))
    over = asyncio.Event()

    def take(event: Any) -> None:
        if isinstance(event, Closed):
            over.set()

    if transport == "tcp":
        connection = TcpConnection(Sender(StreamSession(Role.SENDER), voice), take)
        await serve_tcp(lambda: connection, host=host, port=PORT)
    else:
        shown = ServerCredentials((folder / "cert").read_bytes(), (folder / "key").read_bytes())
        session = QuicSession(Role.SENDER, credentials=shown, carriage=QUIC[transport])
        await open_udp(Sender(session, voice), host=host, port=PORT, on_event=take)
    print("ready", flush=True)
    await over.wait()
    return {seq & 0xFFFF: now for now, did, seq, _ in voice.trace.entries if did is Did.SENT}


async def listen(transport: str, host: str, folder: Path) -> dict[int, int]:
    """When each frame came, by sequence number."""
    came: dict[int, int] = {}
    over = asyncio.Event()

    def take(event: Any) -> None:
        if isinstance(event, Received):
            came.setdefault(event.packet.seq, event.now)
        elif isinstance(event, Closed):
            over.set()

    if transport == "tcp":
        await connect_tcp(StreamSession(Role.RECEIVER), host, PORT, on_event=take)
    else:
        trusted = ClientCredentials((folder / "ca").read_bytes(), NAME)
        session = QuicSession(Role.RECEIVER, credentials=trusted, peer=(host, PORT))
        await open_udp(session, host="0.0.0.0", on_event=take)
    await over.wait()
    await asyncio.sleep(0.5)  # what is still to be said to the sender
    return came


# What drives them ---------------------------------------------------------------------------------


def measure(way: Way, link: str, seed: int, length: float, folder: Path) -> list[float]:
    """How long each frame took, in ms; nan: it never came."""
    me = [sys.executable, __file__, "--way", WAYS[way], "--folder", str(folder)]
    with LabNetwork(link, seed=seed) as net:
        more = ["--host", net.bob.address, "--seconds", str(length)]
        speaker = net.bob.start([*me, "--role", "speak", *more])
        speaker.stdout.wait_for("ready", 30)
        listener = net.alice.start([*me, "--role", "listen", *more])
        for program in (listener, speaker):
            if program.wait(length + 60) != 0:
                raise SystemExit(program.stderr.text)
        sent = json.loads(speaker.stdout.lines[-1])
        came = json.loads(listener.stdout.lines[-1])
    return [(came[seq] - now) / 1e6 if seq in came else float("nan") for seq, now in sent.items()]


def run(link: str, seed: int, length: float) -> HeadOfLine:
    """Each way, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, client = quic_credentials()
        (folder / "cert").write_bytes(server.certificate)
        (folder / "key").write_bytes(server.key)
        (folder / "ca").write_bytes(client.authority or b"")
        delays = {way: np.array(measure(way, link, seed, length, folder)) for way in Way}
    return HeadOfLine(load_profile(link), delays, 20.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--link", default="voip-5")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--role", choices=("speak", "listen"), help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--host", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "speak":
        noted = speak(options.way, options.host, options.folder, options.seconds)
        print(json.dumps(asyncio.run(noted)))
    elif options.role == "listen":
        print(json.dumps(asyncio.run(listen(options.way, options.host, options.folder))))
    else:
        show(run(options.link, options.seed, options.seconds), options)


def show(result: HeadOfLine, options: argparse.Namespace) -> None:
    tail = result.percentile(Way.TCP, 99)
    ratios = {WAYS[way]: round(result.percentile(way, 99) / tail, 3) for way in Way}
    if options.picture is not None:
        result.picture().save(options.picture)
    if options.json:
        print(json.dumps({"p99_to_tcp": ratios}))
        return
    print(result)
    print(
        "99th percentile, TCP = 1: "
        + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    )


if __name__ == "__main__":
    main()
