"""UDP out of every kind of link and packet: scapy writes them, tshark says what is in them."""

import struct
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    fragment6,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.packet import Raw
from scapy.utils import PcapWriter

from labkit.wire.datagrams import DatagramReader
from labkit.wire.fragments import LARGEST, MOST, PATIENCE, Fragment, Reassembler
from labkit.wire.pcapreader import CaptureReader

V4 = IP(src="192.0.2.1", dst="198.51.100.7")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


def udp(size=20, sport=5004, dport=5006):
    return UDP(sport=sport, dport=dport, chksum=0xFFFF) / Raw(bytes(i % 251 for i in range(size)))


def write(path, packets, linktype):
    with PcapWriter(str(path), linktype=linktype, sync=True) as out:
        for i, packet in enumerate(packets):
            packet.time = 1_700_000_000 + i / 100
            out.write(packet)


def read(data, piece=1 << 20):
    """(number, flow, payload) of every datagram, and the reader."""
    capture, reader = CaptureReader(), DatagramReader()
    rows = []
    for at in range(0, len(data), piece):
        found = reader.read(capture.receive(data[at : at + piece]))
        for row in range(len(found.number)):
            start, size = int(found.start[row]), int(found.captured[row])
            payload = found.data[start : start + size].tobytes()
            assert size == found.size[row]
            rows.append((int(found.number[row]), reader.flows[found.flow[row]], payload))
    assert capture.error is None
    return rows, reader


def tshark(path):
    """The same, from tshark."""
    fields = ["frame.number", "ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst"]
    fields += ["udp.dstport", "udp.payload"]
    command = ["tshark", "-n", "-r", path, "-Y", "udp && !icmp", "-T", "fields"]
    for protocol in ("rtp", "dns", "teredo"):
        command += ["--disable-protocol", protocol]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = []
    for line in done.stdout.splitlines():
        number, v4, v6, sport, v4_to, v6_to, dport, payload = line.split("\t")
        flow = ((v4 or v6, int(sport)), (v4_to or v6_to, int(dport)))
        rows.append((int(number), flow, bytes.fromhex(payload)))
    return rows


ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
HOP = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 12)])
LINKS = {
    "Ethernet": (1, [ETHER / V4 / udp(), ETHER / V6 / udp(0)]),
    "VLAN": (1, [ETHER / Dot1Q(vlan=7) / V4 / udp(), ETHER / Dot1Q(vlan=7) / V6 / udp()]),
    "QinQ": (1, [ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=9) / V4 / udp(), ETHER / V4 / udp(3)]),
    "cooked": (113, [CookedLinux() / V4 / udp(), CookedLinux(proto=0x86DD) / V6 / udp()]),
    "cooked 2": (276, [CookedLinuxV2() / V4 / udp(), CookedLinuxV2(proto=0x86DD) / V6 / udp()]),
    "NULL": (0, [Loopback(type=2) / V4 / udp(), Loopback(type=30) / V6 / udp()]),
    "LOOP": (108, [Raw(b"\0\0\0\x02") / V4 / udp(), Raw(b"\0\0\0\x18") / V6 / udp()]),
    "raw": (101, [V4 / udp(), V6 / udp()]),
    "IPv4": (228, [V4 / udp(), V4 / udp(9)]),
    "IPv6": (229, [V6 / udp(), V6 / udp(9)]),
    "IPv4 options": (101, [IP(src="192.0.2.1", dst="192.0.2.2", options=b"\1" * 8) / udp()]),
    "IPv6 extension headers": (
        101,
        [
            V6 / HOP / udp(),
            V6 / HOP / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / udp(33),
            V6 / AH(spi=1, seq=1, icv=bytes(12), payloadlen=4, nh=17) / udp(34),
            V6 / IPv6ExtHdrFragment(offset=0, m=0, id=5) / udp(35),
        ],
    ),
    "Ethernet's padding": (1, [ETHER / V4 / udp(1) / Raw(bytes(30))]),
}
every_link = pytest.mark.parametrize(("linktype", "packets"), LINKS.values(), ids=LINKS.keys())


def fixed(packets):
    """Lengths filled in, so that what follows a datagram stays outside."""
    padded = []
    for packet in packets:
        copy = packet.copy()
        if isinstance(copy.lastlayer(), Raw) and copy.lastlayer().load == bytes(30):
            copy[IP].len, copy[UDP].len = 29, 9
        padded.append(copy)
    return padded


@pytest.mark.peer
@every_link
def test_every_link_layer_is_read_as_tshark_reads_it(need, tmp_path, linktype, packets):
    need("tshark")
    write(tmp_path / "x.pcap", fixed(packets), linktype)
    rows, reader = read((tmp_path / "x.pcap").read_bytes())
    assert rows == tshark(tmp_path / "x.pcap")
    assert len(rows) == len(packets)
    assert set(reader.others) <= {"IP fragment"}


def test_the_peculiar_loopbacks_of_each_system():
    """AF_INET6 has four numbers, and both byte orders occur."""
    inner = bytes(V6 / udp())
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 0)
    record = struct.pack("<IIII", 0, 0, len(inner) + 4, len(inner) + 4)
    for family in (10, 24, 28, 30):
        for order in ("little", "big"):
            rows, _ = read(head + record + family.to_bytes(4, order) + inner)
            assert len(rows) == 1


# Fragments -------------------------------------------------------------------------------------


def pieces_of(v6):
    """A large datagram in fragments, whole ones around it."""
    if v6:
        large = V6 / IPv6ExtHdrFragment(id=77) / udp(3_000)
        return [V6 / udp(1), *fragment6(large, 1_280), V6 / udp(2)]
    large = IP(src="192.0.2.1", dst="198.51.100.7", id=77) / udp(3_000)
    return [V4 / udp(1), *fragment(large, 1_280), V4 / udp(2)]


@pytest.mark.peer
@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("piece", [1 << 20, 300])
def test_fragments_come_together_in_any_order(need, tmp_path, v6, order, piece):
    """The datagram belongs to the packet that completed it; also when the file comes in pieces."""
    need("tshark")
    first, *parts, last = pieces_of(v6)
    assert len(parts) == 3
    write(tmp_path / "x", [first, *(parts[i] for i in order), last], 101)
    rows, reader = read((tmp_path / "x").read_bytes(), piece)
    assert rows == tshark(tmp_path / "x")
    assert [number for number, _, _ in rows] == [1, 4, 5]
    assert len(rows[1][2]) == 3_000
    assert reader.others == {"IP fragment": 3}


def test_a_fragment_that_never_comes(tmp_path):
    first, *parts, last = pieces_of(v6=False)
    write(tmp_path / "x", [first, *parts[:-1], last], 101)
    assert [number for number, _, _ in read((tmp_path / "x").read_bytes())[0]] == [1, 4]


def piece(offset, data, *, last=False, key=(1,), now=0, whole=True):
    return Fragment(0, key, 17, (1,), offset, data, whole, last, now)


def finished(*pieces):
    reassembler = Reassembler()
    for each in pieces:
        reassembler.add(each)
    return [packet.data for packet in reassembler.finished()]


def test_duplicates_of_fragments_are_harmless():
    head, tail = piece(0, bytes(8)), piece(8, b"end", last=True)
    assert finished(head, head, tail) == [bytes(8) + b"end"]


def test_overlapping_fragments_spoil_the_packet():
    """RFC 5722: the attack hides a header under another."""
    assert finished(piece(0, bytes(16)), piece(8, b"evil", last=True)) == []
    assert finished(piece(0, bytes(8)), piece(0, b"12345678"), piece(8, b"x", last=True)) == []


def test_fragments_that_were_cut_or_are_too_many_bytes():
    assert finished(piece(0, bytes(8), whole=False), piece(8, b"x", last=True)) == []
    assert finished(piece(0, bytes(8)), piece(LARGEST, b"x", last=True)) == []


def test_an_old_beginning_does_not_meet_a_new_end():
    late = piece(8, b"x", last=True, now=PATIENCE + 1)
    assert finished(piece(0, bytes(8)), late) == []


def test_a_flood_of_beginnings_fills_no_memory():
    reassembler = Reassembler()
    for i in range(3 * MOST):
        reassembler.add(piece(0, bytes(8), key=(i,)))
    reassembler.add(piece(8, b"x", last=True, key=(0,)))
    assert reassembler.finished() == []
    reassembler.add(piece(8, b"x", last=True, key=(3 * MOST - 1,)))
    assert len(reassembler.finished()) == 1


# What is no datagram ---------------------------------------------------------------------------


def test_other_protocols_are_counted_by_name(tmp_path):
    others = [
        ETHER / ARP(),
        ETHER / V4 / TCP(),
        ETHER / V4 / ICMP(),
        ETHER / V6 / ICMPv6EchoRequest(),
        ETHER / IP(proto=99) / Raw(b"x" * 8),
        Ether(type=0x88CC) / Raw(b"x" * 40),
        Ether(type=0x1234) / Raw(b"x" * 40),
        ETHER / V4 / UDP(len=7) / Raw(b""),
        ETHER / V4 / UDP(len=99) / Raw(b""),
        ETHER / IP(ihl=4) / udp(),
    ]
    write(tmp_path / "x", others, 1)
    rows, reader = read((tmp_path / "x").read_bytes())
    assert rows == []
    assert reader.others == {
        "ARP": 1, "TCP": 1, "ICMP": 1, "ICMPv6": 1, "IP protocol 99": 1, "LLDP": 1,
        "Ethernet type 0x1234": 1, "UDP, malformed": 2, "IPv4, malformed": 1,
    }  # fmt: skip


def test_an_unknown_link_layer_is_counted_too(tmp_path):
    write(tmp_path / "x", [Raw(bytes(100))], 147)
    rows, reader = read((tmp_path / "x").read_bytes())
    assert rows == []
    assert reader.others == {"unknown link layer": 1}


def test_flows_are_told_apart_and_numbered_as_they_come(tmp_path):
    ports = [5004, 5008, 5004, 5000, 5008]
    write(tmp_path / "x", [V4 / udp(4, sport=port) for port in ports], 101)
    rows, reader = read((tmp_path / "x").read_bytes())
    assert [flow.source[1] for _, flow, _ in rows] == ports
    assert [flow.source[1] for flow in reader.flows] == [5004, 5008, 5000]
