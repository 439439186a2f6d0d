"""Streams found among datagrams: tshark is the judge of their figures."""

import random
import re
import subprocess

import pylibsrtp
import pytest

from labkit.core.payloadtypes import UNKNOWN, described
from labkit.core.rtpanalysis import MAX_CANDIDATES, RtpAnalysis
from labkit.endpoints.srtp import context, new_key
from labkit.wire import ip, minirtp, pcap, rtcp, rtp, sdp
from labkit.wire.datagrams import DatagramReader
from labkit.wire.pcapreader import CaptureReader
from labkit.wire.sdes import Suite
from labkit.words.format import AudioFormat
from labkit.words.packet import Packet

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 6004)
MS = 1_000_000
START = 1_700_000_000 * 1_000 * MS


def capture(datagrams):
    """A pcapng from (milliseconds, bytes, source, destination)."""
    blocks = [pcap.section_header(), pcap.interface_description()]
    for time, data, source, destination in sorted(datagrams, key=lambda d: d[0]):
        packet = ip.udp(data, source, destination)
        blocks.append(pcap.enhanced_packet(START + round(time * MS), packet))
    return b"".join(blocks)


def analyse(data, piece=1 << 22, *, timeline=True):
    file, reader = CaptureReader(), DatagramReader()
    analysis = RtpAnalysis(reader.flows, timeline=timeline)
    for at in range(0, len(data), piece):
        analysis.add(reader.read(file.receive(data[at : at + piece])))
    file.receive_eof()
    assert file.error is None
    analysis.finish()
    return analysis


def voice(  # a stream over a network that loses, reorders and repeats
    count=400, *, ssrc=7, kind=0, ticks=160, ends=(ALICE, BOB), seed=1, first=65_500, loss=0.05,
    jitter=15.0, twice=0.0, marker=0.05, every=20.0,
):  # fmt: skip
    rng = random.Random(seed)
    found = []
    for i in range(count):
        if 0 < i < count - 1 and rng.random() < loss:
            continue
        late = rng.expovariate(1 / jitter) if jitter and 0 < i < count - 1 else 3 * jitter
        packet = Packet(
            (first + i) % 65536, (2**32 - 9_000 + ticks * i) % 2**32, bytes(40),
            marker=rng.random() < marker, payload_type=kind, ssrc=ssrc,
        )  # fmt: skip
        copies = 1 + (rng.random() < twice)
        found += [(every * i + late, rtp.pack(packet), *ends)] * copies
    return found


def tshark(data, path):
    """By SSRC: packets, lost, mean and largest jitter, as tshark prints them."""
    path.write_bytes(data)
    command = ["tshark", "-n", "-q", "-r", path, "-o", "rtp.heuristic_rtp:TRUE"]
    done = subprocess.run(
        [*command, "-z", "rtp,streams"], capture_output=True, text=True, check=True
    )
    line = re.compile(r"0x([0-9A-F]{8}).*?(\d+) +(-?\d+) \(.*?%\)((?: +-?[\d.]+)+)")
    return {
        int(m[1], 16): (int(m[2]), int(m[3]), *m[4].split()[-2:])
        for m in line.finditer(done.stdout)
    }


def figures(analysis):
    """The same, from us."""
    found = {}
    for stream in analysis.streams:
        c = stream.counts
        jitter = (f"{value / MS:.3f}" for value in (c.mean_jitter, c.max_jitter))
        found[stream.ssrc] = (c.packets, c.lost, *jitter)
    return found


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_tshark(need, tmp_path, seed):
    """Loss, reordering, duplicates, markers, wraparound of number and time; three streams."""
    need("tshark")
    streams = voice(2_000, ssrc=1, seed=seed)
    streams += voice(900, ssrc=2, seed=seed, twice=0.03, ends=(BOB, ALICE), jitter=4)
    streams += voice(500, ssrc=3, seed=seed, kind=9, ends=(("::1", 9_000), ("::2", 9_002)))
    data = capture(streams)
    ours = figures(analyse(data))
    assert ours == tshark(data, tmp_path / "x.pcapng")
    assert len(ours) == 3
    assert figures(analyse(data, 5_000, timeline=False)) == ours


SIP = """\
INVITE sip:bob@10.0.0.2 SIP/2.0\r
Content-Type: application/sdp\r
\r
v=0\r
o=- 0 0 IN IP4 10.0.0.2\r
s=-\r
c=IN IP4 10.0.0.2\r
t=0 0\r
m=audio 6004 RTP/AVP 111 8 101\r
a=rtpmap:111 opus/48000/2\r
a=rtpmap:101 telephone-event/8000\r
"""


def test_sdp_in_sip_says_what_payload_types_mean():
    signalling = (0, SIP.encode(), ("10.0.0.1", 5060), ("10.0.0.2", 5060))
    analysis = analyse(capture([signalling, *voice(100, kind=111, ticks=960)]))
    (stream,) = analysis.streams
    assert stream.formats[111].encoding == "opus"
    assert [c.kind for c in analysis.conversations] == ["SIP"]
    assert [a.encoding for _, a in described(SIP[SIP.index("v=0") :])] == [
        "opus", "PCMA", "telephone-event",
    ]  # fmt: skip


@pytest.mark.peer
def test_with_sdp_the_jitter_of_opus_is_that_of_tshark(need, tmp_path):
    """Without one tshark prints 0: it does not know the clock."""
    need("tshark")
    headers = "Via: SIP/2.0/UDP 10.0.0.1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n"
    headers += f"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: {len(SIP) - SIP.index('v=0')}\r\n"
    offer = SIP.replace("Content-Type", headers + "Content-Type")
    answer = offer.replace("INVITE sip:bob@10.0.0.2 SIP/2.0", "SIP/2.0 200 OK")
    sip_ports = ("10.0.0.1", 5060), ("10.0.0.2", 5060)
    signalling = [(0, offer.encode(), *sip_ports), (1, answer.encode(), *sip_ports[::-1])]
    data = capture([*signalling, *((t + 5, *rest) for t, *rest in voice(kind=111, ticks=960))])
    ours = figures(analyse(data))
    assert ours == tshark(data, tmp_path / "x.pcapng")
    assert float(ours[7][3]) > 5


@pytest.mark.parametrize(
    ("kind", "ticks", "every", "encoding", "rate"),
    [
        (111, 960, 20, "opus", 48_000),
        (96, 480, 10, "L16", 48_000),
        (120, 882, 20, UNKNOWN, 44_100),
        (120, 960, 20, UNKNOWN, 48_000),
        (120, 320, 20, UNKNOWN, 16_000),
        (111, 160, 20, UNKNOWN, 8_000),  # not our Opus: its clock is another
        (18, 160, 20, "G729", 8_000),
    ],
)
def test_without_sdp_the_clock_shows_in_the_packets(kind, ticks, every, encoding, rate):
    (stream,) = analyse(capture(voice(60, kind=kind, ticks=ticks, every=every))).streams
    assert (stream.formats[kind].encoding, stream.formats[kind].clock_rate) == (encoding, rate)


def test_what_is_said_later_still_names_the_stream():
    late = (5_000, SIP.replace("111", "120").encode(), ("10.0.0.1", 5060), ("10.0.0.2", 5060))
    (stream,) = analyse(capture([late, *voice(60, kind=120, ticks=960)])).streams
    assert stream.formats[120].encoding == "opus"


# What is no RTP --------------------------------------------------------------------------------


def others(name, count=200):
    """Datagrams of a protocol that is not RTP, though the first bits may say so."""
    rng = random.Random(name)
    make = {
        "DNS": lambda i: rng.randbytes(2) + bytes.fromhex("0100 0001 0000 0000 0000") + bytes(20),
        "STUN": lambda i: bytes.fromhex("0001 0008 2112a442") + rng.randbytes(12) + bytes(8),
        "DTLS": lambda i: bytes.fromhex("17 fefd 0001") + i.to_bytes(6, "big") + rng.randbytes(40),
        "RTCP": lambda i: rtcp.pack(
            rtcp.SenderReport(7, i << 32, i, i, i), rtcp.SourceDescription.named(7, "a")
        ),
        "labkit datagram": lambda i: minirtp.pack(Packet(i, 960 * i, bytes(40))),
        "UDP, unknown": lambda i: rng.randbytes(rng.randrange(1, 200)),
        "mosh": lambda i: b"\x80" + i.to_bytes(7, "big") + rng.randbytes(60),
        "same": lambda i: bytes.fromhex("80000001") + bytes(60),
        "NTP": lambda i: bytes.fromhex("240206e8") + rng.randbytes(44),
    }[name]
    port = 53 if name == "DNS" else 4_000
    return [(20 * i, make(i), ("10.0.0.3", 3_000), ("10.0.0.4", port)) for i in range(count)]


@pytest.mark.parametrize(
    "name",
    ["DNS", "STUN", "DTLS", "RTCP", "labkit datagram", "UDP, unknown", "mosh", "same", "NTP"],
)
def test_other_protocols_are_listed_and_not_misread(name):
    analysis = analyse(capture(others(name) + voice(100)))
    assert [stream.ssrc for stream in analysis.streams] == [7]
    assert sum(c.packets for c in analysis.conversations) == 200
    kinds = {c.kind for c in analysis.conversations}
    known = name in ("DNS", "STUN", "DTLS", "RTCP", "labkit datagram")
    assert kinds == {name} if known else "UDP, unknown" in kinds


def test_rtcp_on_the_same_port_is_told_apart():
    """RFC 5761: by the second byte."""
    report = rtcp.pack(rtcp.SenderReport(7, 1, 1, 1, 1), rtcp.SourceDescription.named(7, "a"))
    data = capture([*voice(100, loss=0), *((50 * i + 1, report, ALICE, BOB) for i in range(30))])
    analysis = analyse(data)
    assert [s.counts.packets for s in analysis.streams] == [100]
    assert [(c.kind, c.packets) for c in analysis.conversations] == [("RTCP", 30)]


# SRTP -----------------------------------------------------------------------------------------


def compounds(count=60):
    """Reports of every shape: SR and RR, with blocks and without, SDES, BYE, alone and in a row."""
    rng = random.Random(5)
    for i in range(count):
        blocks = tuple(rtcp.ReportBlock(9, 1, 2, i, 4, 5, 6) for _ in range(i % 3))
        report = rtcp.SenderReport(7, i << 32, i, i, i, blocks)
        first = rtcp.ReceiverReport(7, blocks) if i % 2 else report
        name = rtcp.SourceDescription.named(7, "a" * rng.randrange(1, 30))
        yield rtcp.pack(first, *[name, rtcp.Bye((7,), "enough")][: i % 4])


@pytest.mark.parametrize("suite", Suite)
def test_reports_that_are_encrypted_give_srtp_away(suite):
    """Of single ones one in thirty may look whole behind the first; of many more do not."""
    key = new_key(suite, random.Random(1))
    protect = context(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND).protect_rtcp
    reports = [(500 * i + 1, protect(r), BOB, ALICE) for i, r in enumerate(compounds())]
    analysis = analyse(capture([*voice(100), *reports]))
    (stream,) = analysis.streams
    assert analysis.protection(stream.flow) == "its reports are SRTCP"


def test_reports_in_the_clear_are_none_of_srtp():
    reports = [(500 * i + 1, r, BOB, ALICE) for i, r in enumerate(compounds())]
    analysis = analyse(capture([*voice(100), *reports]))
    assert {c.kind for c in analysis.conversations} == {"RTCP"}
    assert analysis.protection(analysis.streams[0].flow) == ""


def test_a_handshake_on_its_ports_gives_srtp_away():
    hello = (0, bytes.fromhex("16fefd0000") + bytes(60), BOB, ALICE)
    other = (0, bytes.fromhex("16fefd0000") + bytes(60), BOB, ("10.0.0.9", 443))
    for datagram, why in ((hello, "there is a DTLS handshake on its ports"), (other, "")):
        analysis = analyse(capture([datagram, *voice(100)]))
        assert analysis.protection(analysis.streams[0].flow) == why


@pytest.mark.parametrize(("profile", "why"), [("RTP/SAVP", "its SDP says so"), ("RTP/AVP", "")])
def test_sdp_says_whether_it_is_srtp(profile, why):
    text = SIP.replace("RTP/AVP", profile).encode()
    said = (0, text, ("10.0.0.1", 5060), ("10.0.0.2", 5060))
    analysis = analyse(capture([said, *voice(100)]))
    assert analysis.protection(analysis.streams[0].flow) == why


# What is a stream -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "streams"), [(2, 0), (3, 1)])
def test_three_packets_make_a_stream(count, streams):
    assert len(analyse(capture(voice(count, loss=0))).streams) == streams


def test_streams_are_told_apart_by_ssrc_and_by_flow():
    two = voice(50, ssrc=1) + voice(50, ssrc=2) + voice(50, ssrc=1, ends=(BOB, ALICE))
    assert len(analyse(capture(two)).streams) == 3


def test_the_payload_begins_after_extension_and_ends_before_padding():
    extension = rtp.Extension(0xBEDE, bytes(8))
    packets = [Packet(i, 160 * i, b"sound", payload_type=0, ssrc=9) for i in range(5)]
    packed = [rtp.pack(p, csrcs=(1, 2), extension=extension, padding=4) for p in packets]
    data = capture([(20 * i, each, ALICE, BOB) for i, each in enumerate(packed)])
    (stream,) = analyse(data).streams
    assert stream.counts.timeline["size"].tolist() == [5] * 5


def test_a_header_that_does_not_fit_is_no_rtp():
    """Fifteen CSRCs in a datagram of 20 bytes; padding that reaches into the header."""
    bad = bytearray(rtp.pack(Packet(0, 0, bytes(8), ssrc=5)))
    for first, last in ((0x8F, 0), (0xA0, 0), (0xA0, 99), (0x90, 0)):
        rows = []
        for i in range(50):
            bad[0], bad[3], bad[12:16], bad[-1] = first, i, b"\xff" * 4, last
            rows.append((20 * i, bytes(bad), ALICE, BOB))
        assert analyse(capture(rows)).streams == []


def test_noise_fills_no_memory():
    """Each random datagram is a candidate of its own."""
    noise = [(i, b"\x80\x00" + random.Random(i).randbytes(30), ALICE, BOB) for i in range(9_000)]
    data = capture(noise)
    file, reader = CaptureReader(), DatagramReader()
    analysis = RtpAnalysis(reader.flows)
    for at in range(0, len(data), 20_000):
        analysis.add(reader.read(file.receive(data[at : at + 20_000])))
    assert len(analysis._candidates) <= MAX_CANDIDATES
    analysis.finish()
    assert [(c.kind, c.packets) for c in analysis.conversations] == [("UDP, unknown", 9_000)]


def test_our_own_sdp_is_understood():
    text = sdp.describe(AudioFormat("L16", 24_000, 1, 98), host="10.0.0.2", port=6_004)
    assert [(port, a.encoding, a.clock_rate) for port, a in described(text)] == [
        (6_004, "L16", 24_000)
    ]
    assert described("v=0\r\nm=video 1 RTP/AVP 96\r\n") == []
    assert described("v=0\r\nm=audio 1 RTP/AVP 200 96\r\n") == []
