"""The tap: what crossed, and what tshark makes of the capture."""

import io
import subprocess

import pytest

from labkit.sim.tap import Crossing, Tap
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Datagram
from labkit.words.profile import Profile
from labkit.words.units import ms

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)


class Talker:
    """Sends `words`, one each 20 ms; keeps what comes. Speaks to either kind of wire."""

    def __init__(self, *words: bytes) -> None:
        self.words = list(words)
        self.out: list[bytes] = []
        self.came: list[tuple[bytes, int]] = []
        self.due = 0
        self.over = False

    def receive_datagram(self, data, source, now):
        self.came.append((data, now))

    def receive_data(self, data, now):
        self.came.append((data, now))

    def receive_eof(self, now):
        self.over = True

    def tick(self, now):
        while self.words and self.due <= now:
            self.out.append(self.words.pop(0))
            self.due += ms(20)

    def deadline(self):
        return self.due if self.words else None

    def transmits(self):
        out, self.out = self.out, []
        return [Datagram(data, BOB) for data in out]

    def events(self):
        return []

    def pause_writing(self): ...
    def resume_writing(self): ...


class Writer(Talker):
    """The same over a stream; closes when all is said, or when the other one has."""

    def transmits(self):
        out, self.out = self.out, []
        return out

    @property
    def wants_close(self):
        return self.over or bool(self.due and not self.words and not self.out)


def run(a: Talker, b: Talker, spec: LinkSpec, *, stream: bool = False) -> Tap:
    tap = Tap()
    world = World(1, tap=tap)
    world.add(a, ALICE)
    world.add(b, BOB)
    world.connect(a, b, Profile("test", "", "", spec, spec), stream=stream)
    world.run()
    return tap


def tapped(spec: LinkSpec) -> tuple[Tap, Talker]:
    receiver = Talker()
    return run(Talker(*(b"%d" % n for n in range(50))), receiver, spec), receiver


def tshark(capture: bytes, *fields: str) -> list[list[str]]:
    """Fields of each packet, as tshark reads them."""
    line = ["tshark", "-r", "-", "-T", "fields", "-E", "separator=/t"]
    for field in fields:
        line += ["-e", field]
    done = subprocess.run(line, input=capture, capture_output=True, check=True)
    return [row.split("\t") for row in done.stdout.decode().splitlines()]


def written(tap: Tap, **options) -> bytes:
    file = io.BytesIO()
    tap.write_pcapng(file, **options)
    return file.getvalue()


def test_everything_that_is_sent_and_everything_that_arrives():
    tap, receiver = tapped(LinkSpec(delay=ms(30), jitter=ms(20), loss=0.2))
    assert [crossing.now for crossing in tap.sent] == [n * ms(20) for n in range(50)]
    lost = [crossing for crossing in tap.sent if crossing.verdict == "lost"]
    assert len(tap.arrived) == 50 - len(lost) < 50
    assert [(c.data, c.now) for c in tap.arrived] == receiver.came
    data, now = receiver.came[0]
    assert tap.arrived[0] == Crossing(now, data, ALICE, BOB)


@pytest.mark.peer
def test_at_the_sender_tshark_sees_the_lost_packets_and_why(need):
    need("tshark")
    tap, _ = tapped(LinkSpec(delay=ms(1), loss=0.2))
    fields = ("frame.time_epoch", "ip.src", "udp.dstport", "frame.comment", "udp.payload")
    rows = tshark(written(tap), *fields)
    assert len(rows) == 50
    for row, crossing in zip(rows, tap.sent, strict=True):
        assert round(float(row[0]) * 1e9) == crossing.now
        assert row[1:] == ["10.0.0.1", "5006", crossing.verdict, crossing.data.hex()]


@pytest.mark.peer
def test_at_the_receiver_tshark_sees_the_times_of_arrival(need):
    need("tshark")
    tap, _ = tapped(LinkSpec(delay=ms(30), jitter=ms(20), loss=0.2))
    rows = tshark(written(tap, at="arrived"), "frame.time_epoch", "frame.comment")
    assert [round(float(row[0]) * 1e9) for row in rows] == [c.now for c in tap.arrived]
    assert {row[1] if len(row) > 1 else "" for row in rows} == {""}


@pytest.mark.peer
def test_a_stream_is_a_tcp_connection_with_its_end(need):
    need("tshark")
    tap = run(Writer(b"hello ", b"world"), Writer(), LinkSpec(delay=ms(10), loss=0.2), stream=True)
    rows = tshark(written(tap), "ip.src", "tcp.flags.str", "tcp.payload", "tcp.analysis.flags")
    assert b"".join(bytes.fromhex(row[2]) for row in rows if row[0] == ALICE[0]) == b"hello world"
    assert "S" in rows[0][1]
    assert sum("F" in row[1] for row in rows) == 2
    assert not any(row[3:] and row[3] for row in rows)  # nothing that Wireshark would mark


@pytest.mark.peer
def test_machines_with_names_get_addresses(need):
    """An address in virtual time may be anything; in a capture each keeps one of its own."""
    need("tshark")
    tap = Tap()
    for number, name in enumerate(["alice", 7, ("carol", 5000), ("10.1.2.3", 9)]):
        tap.sent.append(Crossing(number, b"x", name, "bob"))
    rows = tshark(written(tap), "ip.src", "ip.dst")
    assert len({row[0] for row in rows}) == 4
    assert len({row[1] for row in rows}) == 1
    assert rows[3][0] == "10.1.2.3"
