"""Feed the layers, WebSocket and TLS, what strangers can think of, for as long as you let it.

    PYTHONPATH=tests python tests/fuzz/fuzz_layers.py --seconds 600 --seed 1

A conversation is begun in order and recorded; then some of its bytes are changed, cut, doubled or
left out, and given to a fresh end, in pieces. The promise: nothing raises, what is kept stays below
a bound, and whoever is closed says so once. TLS answers most of it with one refusal, so it is also
asked to carry bad WebSocket bytes that are well encrypted.

The same promises are held by hypothesis on every run of the tests; here there is more time.
"""

import argparse
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from layerparts import PACKETS, TOKEN, carry, gate, receiver, sender

from labkit.core.session import Closed, Refused
from labkit.endpoints.layer import MAX_HELD
from labkit.endpoints.tls import Tls
from labkit.endpoints.websocket import MAX_HEAD, MAX_MESSAGE, WebSocket
from labkit.live.certs import client_context, make_folder, server_context
from labkit.words.units import ms, seconds

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
MOST_KEPT = MAX_HEAD + MAX_MESSAGE + MAX_HELD


class Recorder:
    """Stands for an end: passes everything on, and keeps what went in."""

    def __init__(self, end) -> None:
        self.end = end
        self.heard: list[bytes] = []

    def transmits(self):
        return self.end.transmits()

    def receive_data(self, data: bytes, now: int) -> None:
        self.heard.append(data)
        self.end.receive_data(data, now)


def recorded(left, right) -> tuple[list[bytes], list[bytes]]:
    """What each end of a whole conversation hears."""
    one, other = Recorder(left), Recorder(right)
    for end in (left, right):
        end.tick(0)
    carry(one, other)
    for packet in PACKETS:
        left.send(packet, 0)
    left.tick(seconds(2))
    right.tick(seconds(2))
    carry(one, other, seconds(2))
    left.close(seconds(3))
    carry(one, other, seconds(3))
    return one.heard, other.heard


def spoiled(rng: Random, pieces: list[bytes]) -> list[bytes]:
    """The same with mistakes, in other pieces."""
    data = bytearray(b"".join(pieces))
    for _ in range(rng.choice([0, 1, 1, 2, 5, 20])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(40)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(40))
            case 3:
                data[at:at] = data[at : at + rng.randrange(200)]
            case 4:
                data[at : at + 1] = bytes([data[at - 1] ^ 1 << rng.randrange(8)])
            case 5:
                data[at : at + 8] = b"\xff" * 8
    size = rng.choice([1, 7, 100, 1 << 20])
    return [bytes(data[at : at + size]) for at in range(0, len(data), size)]


def kept(end) -> int:
    """Bytes that an end holds on to."""
    inner = end.inner if isinstance(end, Tls) else end
    own = end._held + inner._held + len(inner._head or b"") + len(inner._rest)
    return own + len(inner._protocol.reader.buffer)


def put(end, pieces: list[bytes], rng: Random) -> tuple[int, str]:
    """Give it all, and judge; the most that was kept, and how it ended."""
    most, told, now = 0, [], 0
    end.tick(0)
    paused = rng.random() < 0.2
    if paused:
        end.pause_writing()
    for piece in pieces:
        now += ms(1)
        end.receive_data(piece, now)
        end.transmits()
        told += end.events()
        end.deadline()
        most = max(most, kept(end))
    if rng.random() < 0.5:
        end.receive_eof(now)
    end.tick(now + seconds(6))
    end.tick(now + seconds(30))
    end.transmits()
    told += end.events()
    kinds = Counter(type(event) for event in told)
    assert kinds[Closed] == end.closed, told
    assert kinds[Refused] == end.refused <= 1, told
    assert most <= MOST_KEPT, most
    return most, told[-1].why if told and isinstance(told[-1], Closed) else "open"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder)
        ours = server_context(folder / "server.pem", folder / "server-key.pem")
        theirs = client_context(folder / "ca.pem")

    def server(tls: bool):
        layer = WebSocket(sender(), gate=gate())
        return Tls(layer, ours) if tls else layer

    def client(tls: bool):
        layer = WebSocket(receiver(), token=TOKEN)
        layer._protocol.key = KEY  # or no recorded answer would fit
        return Tls(layer, theirs, server_name="localhost") if tls else layer

    plain, secret = recorded(server(False), client(False)), recorded(server(True), client(True))
    count, most, ends = 0, 0, Counter[str]()
    stop = time.monotonic() + options.seconds
    while time.monotonic() < stop:
        for make, which in ((server, 0), (client, 1)):
            for tls, right in ((False, plain), (True, secret)):
                found, why = put(make(tls), spoiled(rng, right[which]), rng)
                most, count = max(most, found), count + 1
                ends[why[:60]] += 1
        left, right = server(True), client(True)
        for end in (left, right):
            end.tick(0)
        carry(left, right)
        for piece in spoiled(rng, plain[0]):  # well encrypted nonsense
            right._wrap([piece])
        left.events()
        put_open = b"".join(right.transmits())
        left.receive_data(put_open, 1)
        left.transmits()
        left.events()
        count += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} conversations, at most {most} bytes kept, {memory} MB, nothing raised")
    for why, times in ends.most_common(12):
        print(f"{times:8}  {why}")


if __name__ == "__main__":
    main()
