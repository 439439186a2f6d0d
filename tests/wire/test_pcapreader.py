"""Capture files of every kind: tshark is the judge of what is in them."""

import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.wire import ip, pcap
from labkit.wire.columns import STEPS, Framing, joined, walk
from labkit.wire.pcapreader import MAX_PACKET, CaptureReader
from labkit.words.errors import Malformed, Truncated

RNG = np.random.default_rng(3)
SIZES = [int(n) for n in RNG.integers(0, 400, 600)] + [160] * 700
"""Of payloads: some of any size, then a run of one size."""


def datagram(size, port=5004):
    return ip.udp(bytes(size), ("10.0.0.1", port), ("10.0.0.2", 5006))


def pcapng(sizes=SIZES, start=1_700_000_000 * 10**9):
    blocks = [pcap.section_header(), pcap.interface_description()]
    for i, size in enumerate(sizes):
        comment = "odd" if i % 7 == 0 else ""
        blocks.append(pcap.enhanced_packet(start + i * 20_000_001, datagram(size), comment))
    return b"".join(blocks)


def old_pcap(order, unit, sizes=SIZES, link=101):
    magic = {1_000: 0xA1B2C3D4, 1: 0xA1B23C4D}[unit]
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262_144, link)]
    for i, size in enumerate(sizes):
        packet = datagram(size)
        fraction = i * 700_001 % 10**9 // unit
        parts.append(struct.pack(order + "IIII", i, fraction, len(packet), len(packet) + 3))
        parts.append(packet)
    return b"".join(parts)


def read(*pieces):
    """(time, captured, wire, link) of every packet, the packets themselves, and the error."""
    reader = CaptureReader()
    rows, packets = [], []
    for piece in pieces:
        found = reader.receive(piece)
        columns = (found.time, found.captured, found.wire, found.link)
        rows += zip(*(column.tolist() for column in columns), strict=True)
        for start, size in zip(found.start.tolist(), found.captured.tolist(), strict=True):
            packets.append(found.data[start : start + size].tobytes())
    reader.receive_eof()
    assert reader.packets == len(rows)
    return rows, packets, reader.error


def tshark(path):
    """What tshark says of every packet: nanoseconds, bytes kept, bytes on the wire."""
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch"]
    command += ["-e", "frame.cap_len", "-e", "frame.len"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(int(time.replace(".", "")), int(kept), int(wire)) for time, kept, wire in rows]


def agrees_with_tshark(path):
    rows, _, error = read(path.read_bytes())
    assert error is None
    assert [row[:3] for row in rows] == tshark(path)
    return rows


FILES = {
    "pcapng": pcapng(),
    "little-endian microseconds": old_pcap("<", 1_000),
    "big-endian microseconds": old_pcap(">", 1_000),
    "little-endian nanoseconds": old_pcap("<", 1),
    "big-endian nanoseconds": old_pcap(">", 1),
}
every_file = pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())


@every_file
@pytest.mark.peer
def test_times_and_lengths_are_those_of_tshark(need, tmp_path, data):
    need("tshark")
    (tmp_path / "capture").write_bytes(data)
    assert len(agrees_with_tshark(tmp_path / "capture")) == len(SIZES)


@every_file
def test_the_packets_are_all_there(data):
    rows, packets, _ = read(data)
    assert packets == [datagram(size) for size in SIZES]
    assert {row[3] for row in rows} == {101}


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_what_editcap_makes_of_it_reads_the_same(need, tmp_path, kind):
    """Cut to 60 bytes a packet, in another format."""
    need("tshark", "editcap")
    (tmp_path / "in").write_bytes(FILES["pcapng"])
    subprocess.run(
        ["editcap", "-F", kind, "-s", "60", tmp_path / "in", tmp_path / "out"], check=True
    )
    rows = agrees_with_tshark(tmp_path / "out")
    assert max(row[1] for row in rows) == 60


@pytest.mark.peer
def test_several_interfaces_and_link_types(need, tmp_path):
    """mergecap keeps the interfaces of its inputs apart."""
    need("tshark", "mergecap")
    (tmp_path / "raw").write_bytes(pcapng(SIZES[:50]))
    ethernet = old_pcap("<", 1_000, SIZES[:50], link=1)
    (tmp_path / "ethernet").write_bytes(ethernet)
    merge = ["mergecap", "-I", "none", "-w", tmp_path / "both"]
    subprocess.run([*merge, tmp_path / "raw", tmp_path / "ethernet"], check=True)
    rows = agrees_with_tshark(tmp_path / "both")
    assert {row[3] for row in rows} == {1, 101}


def block(order, kind, body):
    size = len(body) + 12
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, *, resolution=6, offset=None, snap=0):
    options = struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    options += bytes(4)
    return block(order, 1, struct.pack(order + "HHI", 101, 0, snap) + options)


def enhanced(order, ticks, packet, number=0):
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, *[len(packet)] * 2)
    return block(order, 6, head + packet + bytes(-len(packet) % 4))


@pytest.mark.peer
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("resolution", "ticks"),
    [
        (0, 77),
        (3, 77_001),
        (6, 77_000_001),
        (9, 10**18 + 1),
        (0x80 | 10, 77_777),
        (0x80 | 20, 1 << 40),
    ],
)
def test_every_resolution_of_time(need, tmp_path, order, resolution, ticks):
    need("tshark")
    packets = [enhanced(order, ticks + i, datagram(20)) for i in range(5)]
    (tmp_path / "x").write_bytes(
        section(order) + interface(order, resolution=resolution) + b"".join(packets)
    )
    agrees_with_tshark(tmp_path / "x")


def test_finer_resolutions_than_nanoseconds_are_rounded_down():
    for resolution, ticks in ((12, 1_234_567_890_999), (0x80 | 60, (1 << 60) + (1 << 59))):
        data = section("<") + interface("<", resolution=resolution)
        ((time, *_),), _, error = read(data + enhanced("<", ticks, datagram(1)))
        assert error is None
        assert time == (1_234_567_890 if resolution == 12 else 1_500_000_000)


def test_an_offset_of_time_is_added():
    data = section("<") + interface("<", offset=1_000_000) + enhanced("<", 5, datagram(1))
    assert read(data)[0][0][0] == 1_000_000 * 10**9 + 5_000


@pytest.mark.peer
def test_sections_of_both_byte_orders_in_one_file(need, tmp_path):
    """Interfaces are counted anew in each section."""
    need("tshark")
    data = b""
    for order in "<><":
        data += section(order) + interface(order)
        data += b"".join(enhanced(order, 10**15 + i, datagram(i)) for i in range(4))
        data += block(order, 4, bytes(4))  # names of hosts: none
        data += interface(order, resolution=9) + enhanced(order, 10**18, datagram(9), number=1)
    (tmp_path / "x").write_bytes(data)
    assert len(agrees_with_tshark(tmp_path / "x")) == 15


@pytest.mark.peer
@pytest.mark.parametrize("snap", [0, 40])
def test_simple_and_obsolete_packet_blocks(need, tmp_path, snap):
    """A simple one has no time; tshark says nothing of it, and it gets that of the one before."""
    need("tshark")
    packet = datagram(60)
    kept = packet[: snap or None]
    simple = struct.pack("<I", len(packet)) + kept + bytes(-len(kept) % 4)
    old = struct.pack("<HHIIII", 0, 9, 0, 77, len(packet), len(packet)) + packet
    data = section("<") + interface("<", snap=snap) + enhanced("<", 76, packet)
    data += block("<", 3, simple) + block("<", 2, old)
    (tmp_path / "x").write_bytes(data)
    rows, packets, error = read(data)
    assert error is None
    assert packets == [packet, kept, packet]
    assert [row[0] for row in rows] == [76_000, 76_000, 77_000]
    command = ["tshark", "-n", "-r", tmp_path / "x", "-T", "fields", "-e", "frame.cap_len"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [row[1] for row in rows] == [int(line) for line in done.stdout.split()]


def test_comments_of_a_section_are_kept():
    fixed = pcap.SECTION.pack(pcap.MAGIC, 1, 0, -1)
    data = pcap.block(pcap.SECTION_HEADER, fixed, [(pcap.OPT_COMMENT, "the café".encode())])
    reader = CaptureReader()
    reader.receive(data)
    assert reader.comments == ["the café"]


# Pieces and damage -----------------------------------------------------------------------------


@every_file
@pytest.mark.parametrize("size", [1, 5, 100, 4096])
def test_pieces_of_any_size_read_the_same(data, size):
    data = data[:6_000] if size < 100 else data
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert read(*pieces)[:2] == read(data)[:2]


@every_file
@pytest.mark.parametrize("size", [7, 999, 1 << 20])
def test_a_file_may_be_read_into_the_reader_itself(data, size):
    """In pieces of any size, also when the room is not filled."""
    reader, times = CaptureReader(), []
    at = 0
    data = data[:6_000]
    while at < len(data):
        count = min(max(1, size - at % 3), len(data) - at)
        reader.room(size)[:count] = data[at : at + count]
        times += reader.filled(count).time.tolist()
        at += count
    assert times == [row[0] for row in read(data)[0]]


@every_file
def test_a_file_that_is_cut_off_says_where(data):
    rows, packets, _ = read(data)
    found, kept, error = read(data[:-1])
    assert isinstance(error, Truncated)
    assert (found, kept) == (rows[:-1], packets[:-1])
    assert error.field == f"packet {len(rows)}"
    assert error.offset < len(data)


def test_an_empty_file_and_half_a_header():
    assert "empty" in str(read()[2])
    assert "empty" in str(read(b"")[2])
    for data in FILES.values():
        assert isinstance(read(data[:3])[2], Truncated)
        assert isinstance(read(data[:11])[2], Truncated)


@pytest.mark.parametrize("data", [b"RIFF1234WAVEfmt ", b"\x1f\x8b\x08\x00", bytes(40)])
def test_what_is_no_capture_is_called_so(data):
    assert isinstance(read(data)[2], Malformed)
    if data[0] == 0x1F:
        assert "gzip -d" in str(read(data)[2])


@every_file
def test_a_wrong_length_ends_the_file_there(data):
    """What stood before it is kept."""
    rows, packets, _ = read(data)
    start = CaptureReader().receive(data).start[300] + (0 if data[0] == 0x0A else 24)
    at = start - (24 if data[0] == 0x0A else 8)
    for wrong in (b"\xff\xff\xff\xff", b"\x7f\x00\x00\x7f", b"\x00\x13\x13\x00"):
        spoiled = data[:at] + wrong + data[at + 4 :]
        found, kept, error = read(spoiled)
        assert error is not None
        assert packets[:300] == kept[:300]
        assert rows[:300] == found[:300]
        assert len(kept) <= 302


def test_a_claim_of_gigabytes_is_not_waited_for():
    """Or the rest of a file would be kept in memory until its end."""
    head = old_pcap("<", 1_000, [])
    reader = CaptureReader()
    reader.receive(head + struct.pack("<IIII", 0, 0, MAX_PACKET + 1, 9))
    assert isinstance(reader.error, Malformed)
    reader = CaptureReader()
    reader.receive(section("<") + struct.pack("<III", 6, 0x7FFFFFFC, 0))
    assert isinstance(reader.error, Malformed)


def test_an_interface_that_nobody_described():
    data = section("<") + interface("<") + enhanced("<", 1, datagram(1))
    rows, _, error = read(data + enhanced("<", 1, datagram(1), number=1))
    assert len(rows) == 1
    assert "packet 2" in str(error)


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 9))
def test_the_walk_finds_what_was_written(sizes, junk):
    """Records of one byte order with a length, whatever comes after them."""
    data = b"".join(struct.pack(">I", size) + bytes(size) for size in sizes)
    framing = Framing(">", 0, 4, 4, 100)
    places, stop = walk(joined(data, b"\xff" * junk), 0, len(data) + junk, framing)
    assert places.tolist() == [sum(sizes[:i]) + 4 * i for i in range(len(sizes))]
    assert stop == len(data)


@pytest.mark.parametrize("run", [STEPS - 1, STEPS, STEPS + 1, 5000])
@pytest.mark.parametrize("before", [0, 1, STEPS])
def test_runs_of_one_size_are_taken_at_once(run, before):
    sizes = [3] * before + [8] * run + [5] * 7
    data = b"".join(struct.pack("<I", size) + bytes(size) for size in sizes)
    places, _ = walk(joined(data), 0, len(data), Framing("<", 0, 4, 4, 100))
    assert places.tolist() == [sum(sizes[:i]) + 4 * i for i in range(len(sizes))]
