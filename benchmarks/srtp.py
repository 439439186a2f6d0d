"""SRTP: packets a second through our layer and through the whole send path, beside bare pylibsrtp.

    python benchmarks/srtp.py [--json]

All protect the same packets, 160 bytes of payload each, the size of 20 ms of Opus at 64 kbit/s.
*Bare* is a loop that calls pylibsrtp and keeps what it gives.

- *layer*: what `Srtp` makes of packets that a session hands over, in bursts and one by one. The
  goal is 85 % of bare pylibsrtp in bursts; one by one, the calls of a machine cost extra.
- *send path*: `RtpSession.send` counts and packs, `Srtp` protects, a packet at a time; beside it
  the same session without `Srtp`, and that plus bare pylibsrtp: what it could be at best.
- *server*: a `Server` says one voice to 200 listeners, each with a key of its own: the voice's
  clock, framing, packing, counters, sealing for each, and RTCP and its protection as they come due.
  Beside it pylibsrtp protects one packet by 200 contexts. The goal is the same 85 %.

and inwards: *layer* unprotects and hands on, a packet at a time, as packets come.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

import numpy as np
import pylibsrtp

from labkit.codec.blank import Blank
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.endpoints.server import Server
from labkit.endpoints.srtp import Srtp, context, new_key
from labkit.endpoints.voice import Voice
from labkit.wire import rtp
from labkit.wire.sdes import Suite
from labkit.words.machine import Datagram
from labkit.words.packet import Packet
from labkit.words.units import ms

ROUNDS = 15
PACKETS = 4_096
BURST = 64
LISTENERS = 200
FRAMES = 100
SIZE = 160
PEER = ("127.0.0.1", 5004)
OUT, IN = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND


class Handed:
    """In place of a session: it hands over what it was given, and takes what comes."""

    description = ""
    closed = False

    def __init__(self) -> None:
        self.waiting: Sequence[Datagram] = ()
        self.taken = 0

    def transmits(self) -> Sequence[Datagram]:
        """What it was given."""
        return self.waiting

    def receive_datagram(self, data: bytes, source: object, now: int) -> None:
        """One more."""
        self.taken += 1


def sender() -> RtpSession:
    session = RtpSession(Role.SENDER, peer=PEER, ssrc=7)
    session.tick(0)
    session.transmits()
    return session


class Silence:
    """Sound that costs nothing to read."""

    sample_rate, channels = 48_000, 1

    def __init__(self) -> None:
        self._frame = np.zeros((960, 1), np.int16)

    def read(self, samples: int) -> Any:
        """A frame, always the same."""
        return self._frame


class Crowd:
    """A server with its listeners, and as many bare contexts; both take a frame at a time."""

    def __init__(self, suite: Suite) -> None:
        voice = Voice(Blank(SIZE), Silence(), rng=Random(1))

        def session(address: Any) -> Srtp:
            made = RtpSession(Role.SENDER, peer=address, ssrc=voice.ssrc, rng=Random(str(address)))
            return Srtp(made, new_key(suite), None)

        self.server = Server(voice, session, max_clients=LISTENERS, max_waiting=LISTENERS)
        for number in range(LISTENERS):
            self.server.admit(("127.0.0.1", 10_000 + number))
        self.server.tick(0)
        self.server.transmits()
        assert self.server.listening() == LISTENERS
        self.bare_contexts = [context(new_key(suite), OUT) for _ in range(LISTENERS)]
        self.now = 0
        self.number = 0
        self.sent = 0

    def bare(self) -> None:
        """So many times one packet, each by its own context."""
        for _ in range(FRAMES):
            self.number += 1
            data = rtp.pack(Packet(self.number, self.number * 960, bytes(SIZE), False, 111, 7))
            [each.protect(data) for each in self.bare_contexts]

    def ours(self) -> None:
        """As a driver would, without a socket."""
        server = self.server
        for _ in range(FRAMES):
            self.now += ms(20)
            server.tick(self.now)
            self.sent += len(server.transmits())
            server.events()
            server.deadline()


class Contest:
    """Everybody who protects, or reads, the packets of one round."""

    def __init__(self, suite: Suite) -> None:
        key, other = new_key(suite), new_key(suite)
        self.bare = [context(key, OUT) for _ in range(2)]
        self.bare_in = context(key, IN)
        self.handed, self.single, self.taking = Handed(), Handed(), Handed()
        self.layer = Srtp(self.handed, key, other)
        self.one_by_one = Srtp(self.single, key, other)
        self.layer_in = Srtp(self.taking, other, key)
        self.path, self.plain = Srtp(sender(), key, None), sender()
        self.numbers = count()
        self.crowd = Crowd(suite)

    def round(self) -> dict[str, float]:
        """Packets a second of each."""
        ticks = [next(self.numbers) for _ in range(PACKETS)]
        packets = [
            Packet(n % 65_536, n * 960 % (1 << 32), bytes(160), False, 111, 7) for n in ticks
        ]
        packed = [Datagram(rtp.pack(packet), PEER) for packet in packets]
        bursts = [packed[at : at + BURST] for at in range(0, PACKETS, BURST)]
        singles = [[each] for each in packed]
        sealed = [data for data, _ in packed]

        def bare() -> None:
            protect = self.bare[0].protect
            for burst in bursts:
                out = []
                for data, _ in burst:
                    out.append(protect(data))

        def again() -> None:
            protect = self.bare[1].protect
            sealed[:] = [protect(data) for data in sealed]

        def layer() -> None:
            for burst in bursts:
                self.handed.waiting = burst
                self.layer.transmits()

        def one_by_one() -> None:
            for each in singles:
                self.single.waiting = each
                self.one_by_one.transmits()

        def path() -> None:
            session = self.path
            for packet in packets:
                session.send(packet, 0)
                session.transmits()

        def plain() -> None:
            session = self.plain
            for packet in packets:
                session.send(packet, 0)
                session.transmits()

        def bare_in() -> None:
            unprotect = self.bare_in.unprotect
            for data in sealed:
                unprotect(data)

        def layer_in() -> None:
            receive = self.layer_in.receive_datagram
            for data in sealed:
                receive(data, PEER, 0)

        again()
        contestants = (bare, layer, one_by_one, plain, path, bare_in, layer_in)
        found = {each.__name__: rate(each) for each in contestants}
        found["crowd_bare"] = rate(self.crowd.bare, FRAMES * LISTENERS)
        found["crowd"] = rate(self.crowd.ours, FRAMES * LISTENERS)
        assert self.taking.taken == ticks[-1] + 1
        assert self.path.unsent == self.layer.unsent == self.one_by_one.unsent == 0
        return found


def rate(contestant: Callable[[], None], packets: int = PACKETS) -> float:
    """Packets a second of processor time, so that other programs do not count.

    No garbage is collected meanwhile: it would meet one of them by chance.
    """
    gc.disable()
    start = time.process_time()
    contestant()
    passed = time.process_time() - start
    gc.enable()
    return packets / passed


def measure(suite: Suite) -> dict[str, float]:
    """Medians of packets a second; rounds take turns, so that a slow moment meets everybody."""
    contest = Contest(suite)
    rounds = [contest.round() for _ in range(ROUNDS)]
    assert contest.crowd.sent >= ROUNDS * FRAMES * LISTENERS  # and reports
    assert all(c.session.unsent == 0 for c in contest.crowd.server.clients.values())
    for each in rounds:
        each["at best"] = 1 / (1 / each["plain"] + 1 / each["bare"])
    found = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    for _, ours, theirs in RATIOS:
        found[f"{ours} / {theirs}"] = statistics.median(
            each[ours] / each[theirs] for each in rounds
        )
    return found


RATIOS = (
    ("layer, bursts of 64", "layer", "bare"),
    ("layer, one by one", "one_by_one", "bare"),
    ("send path, of session plus bare pylibsrtp", "path", "at best"),
    ("send path, of the session without SRTP", "path", "plain"),
    ("server to 200 listeners", "crowd", "crowd_bare"),
    ("inwards: layer, one by one", "layer_in", "bare_in"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    found = {suite.name: measure(suite) for suite in Suite}
    if as_json:
        print(json.dumps(found))
        return
    print(f"| packets a second | {' | '.join(found)} |")
    print("| --- |" + " ---: |" * len(found))
    for name in ("bare", "bare_in", "plain"):
        print(f"| {name} | {' | '.join(f'{each[name]:,.0f}' for each in found.values())} |")
    for title, ours, theirs in RATIOS:
        ratios = " | ".join(f"{each[f'{ours} / {theirs}']:.2f}" for each in found.values())
        print(f"| {title} | {ratios} |")


if __name__ == "__main__":
    main()
