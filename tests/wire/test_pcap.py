"""Captures, judged by tshark and scapy."""

import io
import json
import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import PcapNgReader

from labkit.wire import ip, pcap, rtp
from labkit.wire.pcap import PcapngWriter
from labkit.wire.pcapreader import CaptureReader
from labkit.words.errors import LocalProtocolError
from labkit.words.packet import Packet
from labkit.words.seqnum import add16
from labkit.words.units import ms

ANN4, BEN4 = ("192.0.2.1", 5004), ("192.0.2.2", 6004)
ANN6, BEN6 = ("2001:db8::1", 5004), ("2001:db8::2", 6004)
PAIRS = [(ANN4, BEN4), (ANN6, BEN6)]


def tshark(path, *fields, options=()):
    """One list of strings for each packet."""
    command = ["tshark", "-r", str(path), "-T", "json", "--no-duplicate-keys"]
    for each in ("udp", "tcp", "ip"):
        command += ["-o", f"{each}.check_checksum:TRUE"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run([*command, *options], capture_output=True, check=True, timeout=30).stdout
    rows = [row["_source"].get("layers", {}) for row in json.loads(out)]
    return [[",".join(row.get(field, [])) for field in fields] for row in rows]


@pytest.mark.peer
@pytest.mark.parametrize(("source", "destination"), PAIRS)
def test_tshark_reads_datagrams_with_exact_times_and_right_checksums(
    need, tmp_path, source, destination
):
    need("tshark")
    path = tmp_path / "udp.pcapng"
    times = [0, 1, ms(20) + 7, 2**62 + 999_999_999]
    with path.open("wb") as file, PcapngWriter(file) as capture:
        for now in times:
            for size in (0, 1, 159, 160):
                capture.udp(now, bytes(range(size)), source, destination)
    fields = ["frame.time_epoch", "udp.checksum.status", "udp.length", "udp.srcport", "udp.dstport"]
    family = "ipv6" if ":" in source[0] else "ip"
    rows = tshark(path, *fields, f"{family}.src", f"{family}.dst", "ip.checksum.status")
    known = "5004", "6004", source[0], destination[0], "1" if family == "ip" else ""
    expected = [
        [f"{now // 10**9}.{now % 10**9:09}", "1", str(8 + size), *known]
        for now in times
        for size in (0, 1, 159, 160)
    ]
    assert rows == expected


@pytest.mark.peer
def test_tshark_shows_comments_the_application_and_the_dscp(need, tmp_path):
    need("tshark")
    path = tmp_path / "comment.pcapng"
    with path.open("wb") as file, PcapngWriter(file, application="a lab") as capture:
        capture.udp(0, b"x", ANN4, BEN4, comment="came 3 ms late, größer als erlaubt", tos=46 << 2)
        capture.udp(0, b"x", ANN6, BEN6, tos=46 << 2)
        capture.udp(0, b"x", ANN4, BEN4)
    rows = tshark(path, "frame.comment", "ip.dsfield.dscp", "ipv6.tclass.dscp")
    assert rows == [["came 3 ms late, größer als erlaubt", "46", ""], ["", "", "46"], ["", "0", ""]]
    assert b"a lab" in path.read_bytes()[:64]


@pytest.mark.peer
def test_tshark_decodes_our_rtp(need, tmp_path):
    need("tshark")
    path = tmp_path / "rtp.pcapng"
    sent = [Packet(add16(65_534, i), i * 960, b"abc", i == 0, 111, 7) for i in range(5)]
    with path.open("wb") as file, PcapngWriter(file) as capture:
        for i, packet in enumerate(sent):
            capture.udp(ms(20) * i, rtp.pack(packet, csrcs=(9,), padding=4), ANN4, BEN4)
    fields = ["seq", "timestamp", "p_type", "ssrc", "payload", "csrc.item", "padding.count"]
    found = tshark(path, *(f"rtp.{f}" for f in fields), options=["-d", "udp.port==6004,rtp"])
    assert [[int(value, 0) for value in row[:4]] for row in found] == [
        [p.seq, p.timestamp, p.payload_type, p.ssrc] for p in sent
    ]
    assert {row[4].replace(":", "") for row in found} == {b"abc".hex()}
    assert {tuple(row[5:]) for row in found} == {("0x00000009", "4")}


@pytest.mark.peer
@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_tshark_follows_a_stream_and_finds_nothing_wrong_with_it(need, tmp_path, client, server):
    need("tshark")
    path = tmp_path / "tcp.pcapng"
    asked, told = b"HELLO" * 3, bytes(range(256)) * 20
    with path.open("wb") as file, PcapngWriter(file) as capture:
        capture.tcp(1, asked, client, server)
        capture.tcp(2, told, server, client)
        capture.tcp(3, b"", server, client)
        capture.tcp(4, b"", client, server)
    fields = ["checksum.status", "analysis.flags", "window_size_value", "urgent_pointer"]
    fields += ["flags", "srcport", "payload"]
    rows = tshark(path, *(f"tcp.{field}" for field in fields))
    assert {tuple(row[:4]) for row in rows} == {("1", "", "65535", "0")}
    for port, data in (("5004", asked), ("6004", told)):
        seen = "".join(row[6] for row in rows if row[5] == port)
        assert bytes.fromhex(seen.replace(":", "")) == data
    syn, ack, push, fin = 0x02, 0x10, 0x18, 0x11
    handshake, ends = [syn, syn | ack, ack], [fin, ack, fin, ack]
    assert [int(row[4], 16) for row in rows] == [*handshake, push, ack, ack, ack, push, *ends]


@given(st.sampled_from(PAIRS), st.binary(max_size=70))
def test_scapy_computes_the_same_checksums(pair, data):
    """It fills in lengths and checksums where they are deleted."""
    source, destination = pair
    flags = ip.Flag.ACK | ip.Flag.PSH
    for packet, layer in (
        (ip.udp(data, source, destination), UDP),
        (ip.tcp(data, source, destination, seq=1, ack=2, flags=flags), TCP),
    ):
        network = IPv6 if packet[0] >> 4 == 6 else IP
        parsed = network(packet)
        del parsed[layer].chksum
        if network is IP:
            del parsed[IP].chksum, parsed[IP].len
        else:
            del parsed[IPv6].plen
        assert bytes(parsed) == packet
        assert bytes(parsed[layer].payload) == data


def test_a_udp_checksum_that_is_zero_is_sent_as_ones():
    """RFC 768: zero means that there is none. Two bytes of data make the sum come out so."""
    base = ip.udp(b"\0\0", ANN4, BEN4)
    data = base[26:28]
    assert data != b"\0\0"
    assert ip.udp(data, ANN4, BEN4)[26:28] == b"\xff\xff"


def test_the_example_of_rfc_1071():
    assert ip.checksum(bytes.fromhex("0001 f203 f4f5 f6f7")) == 0xDDF2 ^ 0xFFFF


def test_every_block_is_whole_words_and_says_its_length_twice():
    file = io.BytesIO()
    with PcapngWriter(file) as capture:
        for size in range(9):
            capture.udp(size, bytes(size), ANN4, BEN4, comment="c" * size)
    data, types = file.getvalue(), []
    while data:
        block_type, size = struct.unpack_from("!II", data)
        assert size % 4 == 0
        assert struct.unpack_from("!I", data, size - 4) == (size,)
        types.append(block_type)
        data = data[size:]
    assert types == [pcap.SECTION_HEADER, pcap.INTERFACE_DESCRIPTION] + [pcap.ENHANCED_PACKET] * 9


def test_scapy_reads_the_file_too(tmp_path):
    path = tmp_path / "a.pcapng"
    with path.open("wb") as file, PcapngWriter(file) as capture:
        capture.udp(1_500_000_001, b"sound", ANN4, BEN4)
    with PcapNgReader(str(path)) as reader:
        (packet,) = reader
    assert bytes(packet[UDP].payload) == b"sound"
    assert packet.time == pytest.approx(1.500000001)


def test_ctrl_c_leaves_a_whole_file(tmp_path):
    """What leaving the `with` flushed is all there is, before anybody closes the file."""

    def interrupted(capture):
        capture.udp(0, b"sound", ANN4, BEN4)
        raise KeyboardInterrupt

    with (tmp_path / "a.pcapng").open("wb") as file:
        with pytest.raises(KeyboardInterrupt), PcapngWriter(file) as capture:
            interrupted(capture)
        written = Path(file.name).read_bytes()
    packet = ip.udp(b"sound", ANN4, BEN4)
    assert written.endswith(pcap.enhanced_packet(0, packet))
    assert Path(file.name).read_bytes() == written


@pytest.mark.parametrize(
    ("now", "data", "source", "destination"),
    [
        (-1, b"", ANN4, BEN4),
        (2**64, b"", ANN4, BEN4),
        (0, b"", ("ann", 5004), BEN4),
        (0, b"", ("192.0.2.1", 65_536), BEN4),
        (0, b"", ANN4, BEN6),
        (0, bytes(65_508), ANN4, BEN4),
        (0, bytes(65_528), ANN6, BEN6),
    ],
)
def test_what_no_network_could_carry_is_the_callers_mistake(now, data, source, destination):
    file = io.BytesIO()
    capture = PcapngWriter(file)
    before = file.getvalue()
    with pytest.raises(LocalProtocolError):
        capture.udp(now, data, source, destination)
    assert file.getvalue() == before


def test_a_comment_has_its_limit_too():
    assert len(pcap.enhanced_packet(0, b"", "c" * 65_535)) == 32 + 4 + 65_536 + 4
    with pytest.raises(LocalProtocolError):
        pcap.enhanced_packet(0, b"", "c" * 65_536)


def test_the_largest_datagram_of_each_family_passes():
    assert len(ip.udp(bytes(65_507), ANN4, BEN4)) == 65_535
    assert len(ip.udp(bytes(65_527), ANN6, BEN6)) == 65_535 + 40


KEYS = b"CLIENT_RANDOM " + b"5a" * 32 + b" " + b"a5" * 48 + b"\n"


def test_keys_stand_before_the_first_packet_and_are_read_back():
    """Section 4.7: type TLSK, and whole words; nothing else of the file changes."""
    out = io.BytesIO()
    with PcapngWriter(out) as capture:
        for now in range(3):
            capture.udp(now, b"hidden", ANN4, BEN4)
    plain = out.getvalue()
    reader, keyed = CaptureReader(), CaptureReader()
    before = reader.receive(plain)
    after = keyed.receive(pcap.with_secrets(plain, KEYS))
    keyed.receive_eof()
    assert keyed.error is None
    assert keyed.secrets == [KEYS]
    assert reader.secrets == []
    assert after.time.tolist() == before.time.tolist()
    at = len(pcap.section_header() + pcap.interface_description())
    block = pcap.decryption_secrets(KEYS)
    assert pcap.with_secrets(plain, KEYS) == plain[:at] + block + plain[at:]
    assert struct.unpack_from("!IIII", block) == (0x0A, len(block), 0x544C534B, len(KEYS))
    assert len(block) % 4 == 0


def test_more_keys_than_anybody_needs_are_not_kept():
    out = io.BytesIO()
    PcapngWriter(out)
    many = pcap.decryption_secrets(bytes(600_000)) * 3
    reader = CaptureReader()
    reader.receive(out.getvalue() + many)
    assert [len(each) for each in reader.secrets] == [600_000]


@pytest.mark.peer
def test_tshark_finds_the_keys_and_knows_how_long_a_shortened_packet_was(need, tmp_path):
    """capinfos says what is in the file; tshark reads headers of packets that are cut off."""
    need("tshark")
    need("capinfos")
    path = tmp_path / "keys.pcapng"
    out = io.BytesIO()
    with PcapngWriter(out) as capture:
        for size in (10, 50, 51, 52, 53, 900):
            capture.udp(size, bytes(size), ANN4, BEN4, comment="as it was")
    path.write_bytes(pcap.with_secrets(pcap.shortened(out.getvalue(), 80), KEYS))
    rows = tshark(path, "frame.len", "frame.cap_len", "udp.length", "frame.comment")
    assert rows == [
        [str(size + 28), str(min(size + 28, 80)), str(size + 8), "as it was"]
        for size in (10, 50, 51, 52, 53, 900)
    ]
    said = subprocess.run(["capinfos", path], capture_output=True, text=True, check=True).stdout
    assert re.search(r"decryption secrets in file: +1", said)
