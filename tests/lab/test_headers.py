"""The tables of headers: nothing overlaps, nothing raises, and tshark finds the same fields."""

import subprocess
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.lab.captures import describe
from labkit.lab.dissection import dissect, dissect_payload
from labkit.lab.headers import (
    FRAME,
    IPV4,
    IPV6,
    MINIRTP,
    RTP,
    TCP,
    UDP,
)
from labkit.lab.traffic import open_capture
from labkit.wire import framing, ip, minirtp, rtcp, rtp
from labkit.words.packet import Packet

packets = st.builds(
    Packet,
    seq=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(min_size=1, max_size=40),
    marker=st.booleans(),
    payload_type=st.integers(0, 63),
    ssrc=st.integers(0, 0xFFFFFFFF),
)
ALICE, BOB = ("10.9.0.1", 5000), ("10.9.0.2", 5004)


def test_the_tables_are_as_long_as_the_structs_of_the_wire():
    """One is for reading, one for speed: they must not drift apart."""
    assert [h.size for h in (FRAME, MINIRTP, RTP)] == [
        framing.HEADER.size, minirtp.HEADER.size, rtp.HEADER.size,
    ]  # fmt: skip
    assert [h.size for h in (IPV4, IPV6, UDP, TCP)] == [
        ip.IPV4.size, ip.IPV6.size, ip.UDP.size, ip.TCP.size,
    ]  # fmt: skip


@given(packets, st.lists(st.integers(0, 0xFFFFFFFF), max_size=15), st.binary(max_size=8))
def test_rtp_is_read_as_it_was_written(packet, csrcs, data):
    """With CSRCs, a header extension and padding."""
    extension = rtp.Extension(0xBEDE, data.ljust(8, b"\0"))
    written = rtp.pack(packet, csrcs=csrcs, extension=extension, padding=4)
    found = dissect_payload(written, "RTP")
    layer = found["RTP"]
    assert found.problem is None
    assert [p.value for p in layer.parts if p.name == "CSRC"] == csrcs
    assert (layer["sequence number"], layer["timestamp"]) == (packet.seq, packet.timestamp)
    assert (layer["SSRC"], layer["PT"], layer["M"]) == (
        packet.ssrc, packet.payload_type, packet.marker,
    )  # fmt: skip
    assert (layer["payload"], layer["padding"], layer["extension"]) == (len(packet.payload), 4, 8)


@given(packets)
def test_our_own_headers_are_read_as_they_were_written(packet):
    """Two frames in one piece of a stream, and a datagram."""
    found = dissect_payload(framing.pack(packet) * 2, "stream")
    assert [layer.name for layer in found.layers] == ["frame", "frame"]
    assert (found["frame"]["seq"], found["frame"]["ts"]) == (packet.seq, packet.timestamp)
    layer = dissect_payload(minirtp.pack(packet))["minirtp"]
    assert (layer["seq"], layer["payload"]) == (packet.seq, len(packet.payload))


def test_a_compound_of_rtcp_is_read_to_its_end():
    """SR with a report block, SDES, BYE with a reason."""
    block = rtcp.ReportBlock(9, 128, -2, 0x1_0007, 480, 1, 65536)
    data = rtcp.pack(
        rtcp.SenderReport(5, 1 << 63, 3, 4, 5, (block,)),
        rtcp.SourceDescription.named(5, "ann"),
        rtcp.Bye((5,), "enough"),
    )
    found = dissect_payload(data)
    assert [layer.name for layer in found.layers] == ["RTCP SR", "RTCP SDES", "RTCP BYE"]
    sr = found["RTCP SR"]
    assert sr.text("fraction lost") == "128/256 = 50.0 %"
    assert sr.text("packets lost") == "-2"
    assert sr.text("highest sequence number") == "7, wrapped 1 times"
    assert sr.text("delay since last SR") == "65536 = 1000.0 ms"
    assert found["RTCP SDES"].text("CNAME text") == "ann"
    assert found["RTCP BYE"].text("reason") == "enough"


@given(st.binary(max_size=90), st.sampled_from([0, 1, 101, 113, 276, 999]))
def test_any_bytes_are_read_without_complaint_and_without_overlap(data, link):
    """Random bytes, and random bytes that begin like something."""
    starts = (b"", ip.tcp(b"", ALICE, BOB, seq=1, ack=2, flags=ip.Flag.ACK)[:32])
    for start in starts + ((b"\x80\xc8", b"\x90\x00") if link == 101 else ()):
        for found in (dissect(start + data, link), dissect_payload(start + data)):
            parts = [part for _, part in found.parts()]
            assert all(a.start + a.bits <= b.start for a, b in pairwise(parts))
            assert all(p.start + p.bits <= 8 * len(start + data) for p in parts)


LATER = [
    ("datagram", bytes.fromhex("0101000c2112a442") + bytes(12) + bytes.fromhex("0020")),
    ("datagram", bytes.fromhex("16fefd0000")),
    ("datagram", bytes.fromhex("c30000000108")),
    ("stream", b"HTTP/1.1 101 Switching"),
    ("stream", b"GET / HTTP/1.1\r\n\r\n"),
    ("stream", bytes.fromhex("1603030005")),
    ("stream", bytes.fromhex("8203000000")),
    ("stream", bytes.fromhex("8283000000")),
]
"""How the protocols of weeks 9 to 12 begin."""


@pytest.mark.parametrize(("what", "start"), LATER, ids=[start.hex() for _, start in LATER])
@given(data=st.binary(max_size=60))
def test_what_only_begins_like_a_protocol_is_read_to_its_end(what, start, data):
    """No complaint, no overlap; every byte has its place, once."""
    found = dissect_payload(start + data, what)
    parts = [part for _, part in found.parts()]
    assert parts[0].start == 0
    assert all(a.start + a.bits == b.start for a, b in pairwise(parts))
    assert parts[-1].start + parts[-1].bits == 8 * len(start + data)


def test_a_membership_report_says_which_group():
    """RFC 3376: "all but none" is to join; any bytes are read."""
    report = bytes.fromhex("2200ea030000000104000000ef090001")
    packet = bytearray(ip.udp(report, ALICE, BOB))
    packet[9] = 2
    del packet[20:28]
    packet[3] -= 8
    igmp = dissect(bytes(packet))["IGMP"]
    assert igmp.text("type") == "34 (v3 report)"
    assert (igmp.text("group"), igmp["number of sources"]) == ("239.9.0.1", 0)
    assert igmp.text("record type") == "4 (now: all but these)"
    for size in range(20, 36):
        assert dissect(bytes(packet[:size])).layers[-1].name == "IGMP"


def test_a_short_header_of_quic_needs_somebody_who_knows():
    """It has no version and no length: only its flow tells."""
    packet = ip.udp(b"\x4a" + bytes(30), ALICE, BOB)
    assert dissect(packet).get("QUIC") is None
    assert dissect(packet, quic=True)["QUIC"]["header form"] == 0


def test_a_cut_off_header_is_shown_as_such():
    packet = ip.udp(b"x" * 20, ALICE, BOB)
    assert dissect(packet[:15])["IP"].text("cut off") == "15 bytes"
    assert dissect(packet[:24])["UDP"].text("cut off") == "4 bytes"


def test_what_the_wire_refuses_is_told():
    """The same words as the parser's."""
    found = dissect_payload(rtp.pack(Packet(1, 2, b"abc"), csrcs=(1, 2))[:16])
    assert "CSRC" in str(found.problem)


def test_ethernet_with_a_vlan_tag_is_seen_through():
    frame = bytes(12) + b"\x81\x00\x20\x07\x08\x00" + ip.udp(b"hi", ALICE, BOB)
    found = dissect(frame, 1)
    assert [layer.name for layer in found.layers][:4] == ["Ethernet", "VLAN", "IP", "UDP"]
    assert found["VLAN"]["VLAN"] == 7


SAME = {
    ("IP", "DSCP"): "ip.dsfield.dscp",
    ("IP", "identification"): "ip.id",
    ("IP", "time to live"): "ip.ttl",
    ("IP", "source"): "ip.src",
    ("IP", "destination"): "ip.dst",
    ("IP", "fragment offset"): "ip.frag_offset",
    ("UDP", "source port"): "udp.srcport",
    ("UDP", "length"): "udp.length",
    ("TCP", "sequence number"): "tcp.seq_raw",
    ("TCP", "acknowledgment"): "tcp.ack_raw",
    ("TCP", "window"): "tcp.window_size_value",
    ("TCP", "MSS"): "tcp.options.mss_val",
    ("TCP", "TSval"): "tcp.options.timestamp.tsval",
    ("RTP", "sequence number"): "rtp.seq",
    ("RTP", "timestamp"): "rtp.timestamp",
    ("RTP", "SSRC"): "rtp.ssrc",
    ("RTP", "PT"): "rtp.p_type",
    ("RTCP SR", "NTP timestamp"): "rtcp.timestamp.ntp.msw",
    ("RTCP SR", "RTP timestamp"): "rtcp.timestamp.rtp",
    ("RTCP RR", "jitter"): "rtcp.ssrc.jitter",
    ("RTCP RR", "fraction lost"): "rtcp.ssrc.fraction",
    ("RTCP RR", "delay since last SR"): "rtcp.ssrc.dlsr",
    ("RTCP SDES", "CNAME text"): "rtcp.sdes.text",
    ("HTTP", "Host"): "http.host",
    ("HTTP", "Authorization"): "http.authorization",
    ("WebSocket", "opcode"): "websocket.opcode",
    ("WebSocket", "MASK"): "websocket.mask",
    ("WebSocket", "payload length"): "websocket.payload_length",
    ("WebSocket", "masking key"): "websocket.masking_key",
    ("TLS", "length"): "tls.record.length",
    ("TLS", "version"): "tls.record.version",
    ("TLS", "handshake type"): "tls.handshake.type",
    ("TLS", "message length"): "tls.handshake.length",
    ("DTLS", "epoch"): "dtls.record.epoch",
    ("DTLS", "sequence number"): "dtls.record.sequence_number",
    ("DTLS", "length"): "dtls.record.length",
    ("DTLS", "handshake type"): "dtls.handshake.type",
    ("DTLS", "fragment offset"): "dtls.handshake.fragment_offset",
    ("QUIC", "packet type"): "quic.long.packet_type",
    ("QUIC", "destination connection ID"): "quic.dcid",
    ("QUIC", "source connection ID"): "quic.scid",
    ("QUIC", "token length"): "quic.token_length",
    ("QUIC", "length"): "quic.length",
    ("STUN", "message type"): "stun.type",
    ("STUN", "transaction ID"): "stun.id",
    ("STUN", "attribute"): "stun.att.type",
    ("STUN", "attribute length"): "stun.att.length",
    ("STUN", "USERNAME"): "stun.att.username",
    ("IGMP", "type"): "igmp.type",
    ("IGMP", "checksum"): "igmp.checksum",
    ("IGMP", "number of records"): "igmp.num_grp_recs",
    ("IGMP", "record type"): "igmp.record_type",
    ("IGMP", "group"): "igmp.maddr",
}
"""Our name of a field, and Wireshark's."""


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    [
        "03_nagle_on", "05_fragments", "07_rtp_rtcp", "09_websocket", "09_tls", "09_quic",
        "09_hole_punched", "10_multicast", "12_dtls_srtp",
    ],
)  # fmt: skip
def test_tshark_finds_each_field_at_the_same_byte(need, name):
    """Of the first packets and the last, whose kinds differ."""
    need("tshark")
    path = describe(name).path
    traffic = open_capture(path)
    numbers = sorted({*range(1, 12), *range(len(traffic) - 10, len(traffic) + 1)})
    wanted = " || ".join(f"frame.number == {n}" for n in numbers)
    options = ["-d", "udp.port==5000,rtp", "--disable-protocol", "rsl", "-o", "ip.defragment:FALSE"]
    said = subprocess.run(
        ["tshark", "-n", "-r", path, *options, "-Y", wanted, "-T", "pdml"],
        capture_output=True,
        text=True,
        check=True,
    )
    compared = 0
    for number, xml in zip(numbers, ET.fromstring(said.stdout).iter("packet"), strict=True):
        theirs = {}
        for element in xml.iter("field"):
            theirs.setdefault(element.get("name"), []).append(int(element.get("pos", -1)))
        for layer, part in traffic[number].found.parts():
            field = SAME.get((layer.name, part.name))
            if field in theirs:
                assert part.start // 8 in theirs[field], (number, layer.name, part)
                compared += 1
    assert compared > 100
