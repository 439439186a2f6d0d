"""Nagle's algorithm, seen by a capture and felt by a receiver (RFC 9293 section 3.7.4).

Opus frames of 2.5 ms are small writes, a few tens of bytes. With Nagle's algorithm a small segment
waits while an earlier one is not acknowledged, which takes a round trip: 40 ms on the link here.
So the frames leave in clumps; with TCP_NODELAY, one by one.

On loopback there is nothing to see: a Linux receiver that reads at once acknowledges at once.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest
from programs import LIMIT

from labkit.live.link import LabNetwork
from labkit.wire.framing import FrameDecoder, Kind
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.seqnum import ahead32
from labkit.words.units import SAMPLE_RATE, ms, ticks_to_ns, to_ms

pytestmark = [pytest.mark.live, pytest.mark.peer, pytest.mark.net]

SECONDS = 3
NAGLE, NODELAY = 5001, 5002

LISTEN = f"""
import asyncio, json, sys
from labkit.core.session import Received, Role
from labkit.core.streamsession import StreamSession
from labkit.live.tcp import connect_tcp

async def main(host, port, path):
    heard = []
    def take(event):
        if isinstance(event, Received):
            heard.append((event.now, event.packet.timestamp))
    connection = await connect_tcp(StreamSession(Role.RECEIVER), host, port, on_event=take)
    await asyncio.sleep({SECONDS})
    connection.close()
    await connection.done
    with open(path, "w") as file:
        json.dump(heard, file)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
"""
"""A receiver that plays nothing and writes down when each frame came, in one process."""


def delays(times: Sequence[tuple[int, int]]) -> list[float]:
    """How much later than the least late one each frame was, in ms. `times`: (when, timestamp)."""
    _, first = times[0]
    transits = [when - ticks_to_ns(ahead32(stamp, first), SAMPLE_RATE) for when, stamp in times]
    least = min(transits)
    return sorted(to_ms(transit - least) for transit in transits)


def segments(path: Path, port: int) -> list[tuple[int, bytes]]:
    """When each segment with data left the server, and what was in it."""
    fields = ("frame.time_epoch", "tcp.payload")
    done = subprocess.run(
        ["tshark", "-r", path, "-Y", f"tcp.srcport == {port} && tcp.len > 0", "-T", "fields",
         *(word for field in fields for word in ("-e", field))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return [(nanoseconds(when), bytes.fromhex(data)) for when, data in rows]


def nanoseconds(epoch: str) -> int:
    """A decimal fraction of seconds, exactly."""
    whole, _, fraction = epoch.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0")[:9])


def frames(captured: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """When each media frame was complete on the wire, and its timestamp."""
    decoder = FrameDecoder()
    return [
        (when, packet.timestamp)
        for when, data in captured
        for kind, packet in decoder.receive(data)
        if kind is Kind.MEDIA
    ]


@pytest.fixture(scope="module")
def experiment(need, tmp_path_factory):
    """Both servers side by side at bob, a listener for each at alice, and bob's capture."""
    need("tshark")
    folder = tmp_path_factory.mktemp("nagle")
    path = folder / "nagle.pcapng"
    link = LinkSpec(delay=ms(20))
    profile = Profile("20 ms", "20 ms each way", "chosen", link, link)
    serve = ["streamer", "serve", "--proto", "tcp", "--source", "speech", "--frame-ms", "2.5"]
    listen = [sys.executable, "-c", LISTEN]
    with LabNetwork(profile, capture=path, capture_at="bob") as net:
        at = ["--host", net.bob.address, "--port"]
        servers = [
            net.bob.start([*serve, *at, str(NAGLE)]),
            net.bob.start([*serve, *at, str(NODELAY), "--nodelay"]),
        ]
        listeners = []
        for port in (NAGLE, NODELAY):
            net.bob.wait_for_port(port)
            where = (net.bob.address, str(port), str(folder / f"{port}.json"))
            listeners.append(net.alice.start([*listen, *where]))
        for listener in listeners:
            assert listener.wait(LIMIT) == 0, listener.stderr.text
        for server in servers:
            server.terminate()
            assert server.wait(LIMIT) == 0, server.stderr.text
    return {
        port: (segments(path, port), json.loads((folder / f"{port}.json").read_text()))
        for port in (NAGLE, NODELAY)
    }


def test_without_nagle_every_frame_has_its_segment(experiment):
    """With it, a segment carries what came while the one before was not acknowledged."""
    per_segment = {}
    for port, (captured, _) in experiment.items():
        count = len(frames(captured))
        assert count > SECONDS * 300  # of 400 a second
        per_segment[port] = count / len(captured)
    print(f"\nframes in a segment: {per_segment}")
    assert per_segment[NODELAY] < 1.2
    assert per_segment[NAGLE] > 4  # 40 ms hold sixteen


@pytest.mark.parametrize("where", ["on the wire", "at the receiver"])
def test_two_distributions_of_delay(experiment, where):
    """From when a frame was made to when it left, and to when it came."""
    found = {}
    for port, (captured, heard) in experiment.items():
        found[port] = delays(frames(captured) if where == "on the wire" else heard)
    (slow, late), (fast, _) = (
        (median(values), values[len(values) * 95 // 100]) for values in found.values()
    )
    print(f"\n{where}: {slow:.1f} ms, 95 % within {late:.1f}; with TCP_NODELAY {fast:.1f} ms")
    assert slow > 10  # the mean wait for an acknowledgement that takes 40 ms is half of that
    assert slow > 4 * fast
    assert 25 < late < 60
