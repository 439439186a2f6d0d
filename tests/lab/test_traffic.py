"""Captures as people read them: the same figures as tshark's, packet by packet."""

import subprocess
from itertools import pairwise

import pytest

from labkit.lab.captures import describe
from labkit.lab.traffic import from_tap, open_capture
from labkit.sim.tap import Crossing
from labkit.wire.framing import FrameDecoder, Kind
from labkit.wire.pcap import PcapngWriter
from labkit.words.errors import BadInput
from labkit.words.units import ms

ALICE, BOB = ("10.9.0.1", 5000), ("10.9.0.2", 5004)


def tshark(path, *fields, only="frame"):
    """Some fields of the packets that pass a filter: rows of texts."""
    command = ["tshark", "-n", "-r", path, "--disable-protocol", "rsl", "-Y", only, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    ["01_frames", "03_nagle_on", "04_zero_window", "04_head_of_line", "04_fin", "04_reconnect"],
)
def test_tcp_is_counted_as_tshark_counts_it(need, name):
    """Relative numbers, sizes and scaled windows of every segment of every connection."""
    need("tshark")
    path = describe(name).path
    segments = {s.packet.number: s for c in open_capture(path).connections for s in c.segments}
    fields = ("frame.number", "tcp.seq", "tcp.ack", "tcp.len", "tcp.window_size")
    theirs = [tuple(map(int, row)) for row in tshark(path, *fields)]
    ours = [(n, s.seq, s.ack, s.size, s.window) for n, s in sorted(segments.items())]
    assert ours == theirs


@pytest.mark.peer
@pytest.mark.parametrize("name", ["04_head_of_line", "04_zero_window", "03_nagle_off"])
def test_what_was_sent_again_is_what_tshark_says(need, name):
    need("tshark")
    path = describe(name).path
    wanted = "tcp.analysis.retransmission || tcp.analysis.out_of_order"
    theirs = {int(row[0]) for row in tshark(path, "frame.number", only=wanted)}
    connections = open_capture(path).connections
    assert {s.packet.number for c in connections for s in c.segments if s.repeated} == theirs


@pytest.mark.peer
def test_probes_of_a_closed_window_are_tsharks_keep_alives(need):
    need("tshark")
    path = describe("04_zero_window").path
    theirs = {int(r[0]) for r in tshark(path, "frame.number", only="tcp.analysis.keep_alive")}
    (connection,) = open_capture(path).connections
    assert {s.packet.number for s in connection.segments if s.probe} == theirs


@pytest.mark.peer
def test_comments_are_those_that_tshark_shows(need):
    need("tshark")
    path = describe("04_head_of_line").path
    theirs = {int(n): text for n, text in tshark(path, "frame.number", "frame.comment") if text}
    ours = {packet.number: packet.comment for packet in open_capture(path) if packet.comment}
    assert ours == theirs
    assert set(ours.values()) == {"lost"}


def test_the_stream_of_a_connection_is_what_was_said():
    """Each byte once, although some were sent twice and lost once."""
    (connection,) = open_capture(describe("04_head_of_line").path).connections
    stream = connection.stream(by_client=False)
    assert len(stream) == max(s.end for s in connection.sent(by_client=False)) - 1
    decoder = FrameDecoder()
    seqs = [packet.seq for kind, packet in decoder.receive(stream) if kind == Kind.MEDIA]
    assert len(seqs) > 200
    assert all(b - a == 1 for a, b in pairwise(seqs))


def test_packets_have_wiresharks_numbers():
    """From 1; a slice is a piece of the capture."""
    traffic = open_capture(describe("04_fin").path)
    assert traffic[1].number == 1
    assert [packet.number for packet in traffic[3:6]] == [3, 4, 5]
    with pytest.raises(IndexError, match="packets 1 to"):
        traffic[0]


def test_a_damaged_capture_is_read_as_far_as_it_goes(tmp_path):
    whole = describe("04_fin").path.read_bytes()
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(whole[: len(whole) // 2])
    traffic = open_capture(cut)
    assert 10 < len(traffic) < 60
    assert traffic.problem is not None


def test_a_capture_that_is_not_there_is_told():
    with pytest.raises(BadInput, match="no capture"):
        open_capture("nothing.pcapng")


def test_a_tap_knows_when_each_packet_came():
    """The same bytes twice, the first of them lost: the arrival belongs to the second."""
    sent = [
        Crossing(0, b"same", ALICE, BOB, "lost"),
        Crossing(ms(20), b"same", ALICE, BOB),
        Crossing(ms(40), b"other", ALICE, BOB),
    ]
    arrived = [
        Crossing(ms(50), b"other", ALICE, BOB),
        Crossing(ms(70), b"same", ALICE, BOB),
    ]
    assert [p.arrived for p in from_tap(sent, arrived)] == [None, ms(70), ms(50)]


def test_voice_is_found_across_a_wrap_of_its_numbers(tmp_path):
    """Numbers and timestamps go on where theirs begin again."""
    from labkit.wire import rtp
    from labkit.words.packet import Packet
    from labkit.words.seqnum import add16, add32

    path = tmp_path / "wrap.pcapng"
    with path.open("wb") as file, PcapngWriter(file) as out:
        for n in range(4):
            packet = Packet(add16(65534, n), add32((1 << 32) - 960, 960 * n), b"abc", ssrc=7)
            out.udp(ms(20) * n, rtp.pack(packet), ALICE, BOB)
    (stream,) = open_capture(path).voices
    assert [p.seq for p in stream.packets] == [65534, 65535, 65536, 65537]
    assert len({p.timestamp - 960 * n for n, p in enumerate(stream.packets)}) == 1
