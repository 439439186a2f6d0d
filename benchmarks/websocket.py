"""WebSocket: messages a second through our layer, beside bare `websockets` in the same run.

    python benchmarks/websocket.py [--json]

A message is one of our frames with 160 bytes of payload, 20 ms of Opus at 64 kbit/s. It is sent by
a server and read by a client, one at a time, as it happens in a call. Three pairs do the same work:

- the layer alone: `WebSocket` around a session that hands bytes through, and the Sans-I/O half of
  `websockets` with the same bytes
- a whole conversation: `StreamSession` in `WebSocket`, from `Packet` to `Packet`, and the same
  library with the packing and unpacking of our frames written around it
- the whole conversation, and the library with bytes that mean nothing

The goal is 85 % of the library's rate. TLS is shown below for scale, without a peer: its work is
OpenSSL's.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from labkit.core.session import DEFAULT_LIMITS, Received, Role
from labkit.core.streamsession import StreamSession
from labkit.endpoints.tls import Tls
from labkit.endpoints.websocket import WebSocket
from labkit.live.certs import client_context, make_folder, server_context
from labkit.wire.framing import pack, unpack
from labkit.words.packet import Packet

ROUNDS = 15
MESSAGES = 4_000

PACKETS = [Packet(seq=n, timestamp=960 * n, payload=bytes(160)) for n in range(MESSAGES)]
FRAMES = [pack(packet) for packet in PACKETS]


class Through:
    """A session that hands bytes through: what is left is the layer."""

    limits = DEFAULT_LIMITS
    refused = 0
    closed = wants_close = False

    def __init__(self, role: Role) -> None:
        self.role = role
        self.out: list[bytes] = []
        self.heard: list[bytes] = []

    def tick(self, now: int) -> None:
        """Nothing is ever due."""

    def receive_data(self, data: bytes, now: int) -> None:
        """Keep what came."""
        self.heard.append(data)

    def transmits(self) -> Sequence[bytes]:
        """What was put in."""
        out, self.out = self.out, []
        return out

    def events(self) -> Sequence[Any]:
        """What was kept."""
        heard, self.heard = self.heard, []
        return heard


def opened(left: Any, right: Any) -> tuple[Any, Any]:
    """Two ends that have shaken hands."""
    for end in (left, right):
        end.tick(0)
    for _ in range(6):
        for one, other in ((left, right), (right, left)):
            for data in one.transmits():
                other.receive_data(data, 0)
    left.events()
    right.events()
    return left, right


def bare_pair() -> tuple[ServerProtocol, ClientProtocol]:
    uri = parse_uri("ws://localhost/")
    return ServerProtocol(state=State.OPEN), ClientProtocol(uri, state=State.OPEN)


def layer_alone() -> None:
    left, right = opened(WebSocket(Through(Role.SENDER)), WebSocket(Through(Role.RECEIVER)))
    for frame in FRAMES:
        left.inner.out.append(frame)
        for data in left.transmits():
            right.receive_data(data, 0)
        (heard,) = right.events()
    assert heard == FRAMES[-1]


def bare() -> None:
    server, client = bare_pair()
    for frame in FRAMES:
        server.send_binary(frame)
        for data in server.data_to_send():
            client.receive_data(data)
        (heard,) = client.events_received()
    assert heard.data == FRAMES[-1]  # type: ignore[union-attr]


def bare_with_frames() -> None:
    server, client = bare_pair()
    for sent in PACKETS:
        server.send_binary(pack(sent))
        for data in server.data_to_send():
            client.receive_data(data)
        for frame in client.events_received():
            _, packet = unpack(bytes(frame.data))  # type: ignore[union-attr]
            event = Received(packet, 0)
    assert event.packet == PACKETS[-1]


def conversation(left: Any, right: Any) -> None:
    left, right = opened(left, right)
    for packet in PACKETS:
        left.send(packet, 0)
        for data in left.transmits():
            right.receive_data(data, 0)
        (event,) = right.events()
    assert event.packet == PACKETS[-1]


def whole() -> None:
    conversation(WebSocket(StreamSession(Role.SENDER)), WebSocket(StreamSession(Role.RECEIVER)))


def whole_with_tls(folder: Path) -> Callable[[], None]:
    ours = server_context(folder / "server.pem", folder / "server-key.pem")
    theirs = client_context(folder / "ca.pem")

    def run() -> None:
        conversation(
            Tls(WebSocket(StreamSession(Role.SENDER)), ours),
            Tls(WebSocket(StreamSession(Role.RECEIVER)), theirs, server_name="localhost"),
        )

    return run


def rates(contestants: Sequence[Callable[[], None]]) -> list[list[float]]:
    """Messages a second in each round. Rounds take turns, so that a slow moment meets everybody."""
    found: list[list[float]] = [[] for _ in contestants]
    for _ in range(ROUNDS):
        for contestant, results in zip(contestants, found, strict=True):
            start = time.perf_counter()
            contestant()
            results.append(MESSAGES / (time.perf_counter() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json

    with TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder)
        with_tls = whole_with_tls(folder)
    found = rates([layer_alone, bare, whole, bare_with_frames, with_tls])
    alone, library, ours, framed, tls = (statistics.median(each) for each in found)
    rows = [
        ("the layer alone", alone, library),
        ("a conversation, packets to packets", ours, framed),
        ("the same, beside bytes without meaning", ours, library),
    ]
    if as_json:
        print(json.dumps({name: {"labkit": us, "websockets": peer} for name, us, peer in rows}))
        return
    print("| sent and read | labkit, messages/s | websockets, messages/s | ratio |")
    print("| --- | ---: | ---: | ---: |")
    for name, us, peer in rows:
        print(f"| {name} | {us:,.0f} | {peer:,.0f} | {us / peer:.2f} |")
    print(f"\nwith TLS 1.3 around it: {tls:,.0f} messages/s")


if __name__ == "__main__":
    main()
