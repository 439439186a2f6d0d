"""Ladders and plots of captures: what is in them, since nobody looks at each one."""

import re
from random import Random

import pytest

from labkit.lab.captures import capture
from labkit.lab.dissect import tshark_streams
from labkit.lab.ladder import ladder
from labkit.lab.plots import delays, gaps, jitters, relative_delays, sequence
from labkit.lab.show import LOST
from labkit.lab.traffic import from_tap, open_capture
from labkit.sim.tap import Crossing
from labkit.wire import rtp
from labkit.wire.pcap import PcapngWriter
from labkit.words.errors import BadInput
from labkit.words.packet import Packet
from labkit.words.units import ms

ALICE, BOB = ("10.9.0.1", 5000), ("10.9.0.2", 5004)


def texts(picture):
    return [text.get_text() for axes in picture.figure.axes for text in axes.texts]


def crosses(picture):
    """Points drawn in the colour of loss."""
    lines = (line for axes in picture.figure.axes for line in axes.lines)
    return sum(len(line.get_xdata()) for line in lines if line.get_color() == LOST)


def test_a_handshake_reads_like_a_handshake():
    said = texts(ladder(capture("04_fin"), 1, 4))
    assert [t for t in said if "SYN" in t] == [
        "SYN, seq 0, window 64240", "SYN ACK, seq 0, ack 1, window 65160",
    ]  # fmt: skip
    assert any(t.endswith(": HELLO") for t in said)


def test_lost_packets_break_off():
    """As many crosses as the capture has lost packets, and the words say so."""
    traffic = capture("04_head_of_line")
    picture = ladder(traffic, 1, len(traffic))
    lost = sum(packet.lost for packet in traffic)
    assert lost >= 5
    assert crosses(picture) == lost
    assert f"{lost} of them lost" in picture.alt


def test_what_is_sent_again_says_so():
    assert any(
        t.startswith("sent again") for t in texts(ladder(capture("04_head_of_line"), 1, 300))
    )


def arrows(name, first, count):
    """What is written on arrows; the lengths are left out."""
    said = texts(ladder(capture(name), first, count))
    return [re.sub(r", \d+ bytes$", "", text) for text in said if ", " in text]


def test_what_is_encrypted_still_says_what_it_is():
    """QUIC's packets by their types, which share datagrams; DTLS and SRTCP by name."""
    said = arrows("09_quic", 1, 20)  # some are sent again, when the machine was busy
    assert said[0] == "QUIC Initial"
    assert {"QUIC Initial, QUIC Handshake", "QUIC 1-RTT"} < set(said)
    assert arrows("12_dtls_srtp", 1, 4) == [
        "DTLS ClientHello", "DTLS HelloVerifyRequest", "DTLS ClientHello",
        "DTLS ServerHello, DTLS Certificate, DTLS ServerKeyExchange, DTLS ServerHelloDone",
    ]  # fmt: skip
    assert "SRTCP RR" in texts(ladder(capture("12_dtls_srtp"), 7, 1))


def test_tls_and_websocket_are_written_behind_their_segments():
    said = [text.partition("bytes: ")[2] for text in texts(ladder(capture("09_tls"), 1, 12))]
    assert [text for text in said if text][:3] == [
        "TLS ClientHello", "TLS ServerHello, TLS ChangeCipherSpec, TLS ApplicationData",
        "TLS ChangeCipherSpec, TLS ApplicationData",
    ]  # fmt: skip
    said = [text.partition("bytes: ")[2] for text in texts(ladder(capture("09_websocket"), 1, 30))]
    assert [text for text in said if text][:6] == [
        "GET / HTTP/1.1", "HTTP/1.1 401 Unauthorized",
        "GET / HTTP/1.1", "HTTP/1.1 101 Switching Protocols",
        "WebSocket binary, masked", "WebSocket binary, DESCRIPTION",
    ]  # fmt: skip


def test_stun_and_igmp_have_their_words():
    assert arrows("09_hole_punched", 3, 2) == ["STUN request", "STUN answer"]
    traffic = capture("10_multicast")
    first = next(packet.number for packet in traffic if packet.found.get("IGMP"))
    assert arrows("10_multicast", first, 1) == ["IGMP v3 report"]


def test_a_long_silence_has_a_word():
    said = texts(ladder(capture("04_zero_window"), 70, 30))
    assert sum("ms of silence" in t for t in said) >= 3


def test_with_both_times_known_arrows_cross():
    """Two packets sent in one order and come in the other."""
    sent = [Crossing(0, b"first", ALICE, BOB), Crossing(ms(20), b"second", ALICE, BOB)]
    came = [Crossing(ms(30), b"second", ALICE, BOB), Crossing(ms(60), b"first", ALICE, BOB)]
    picture = ladder(from_tap(sent, came))
    arrows = [t for t in picture.figure.axes[0].texts if t.get_text() == ""]
    (first, second) = [(a.xyann[1], a.xy[1]) for a in arrows]
    assert first[0] < second[0]
    assert first[1] > second[1]
    assert {"0.0", "20.0", "30.0", "60.0"} <= set(texts(picture))


def test_a_number_that_is_not_there_is_told():
    with pytest.raises(BadInput, match="no packet 9999"):
        ladder(capture("04_fin"), 9999)


def test_the_plot_of_a_stall_shows_the_closed_window():
    picture = sequence(capture("04_zero_window"))
    labels = picture.figure.axes[0].get_legend_handles_labels()[1]
    assert "window is zero" in labels
    assert "3 zero windows" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_a_part_of_the_time_can_be_drawn():
    axes = sequence(capture("04_head_of_line"), seconds=(2.2, 2.8)).figure.axes[0]
    assert axes.get_xlim() == (2.2, 2.8)
    assert axes.get_ylim()[0] > 5000


def test_sequence_numbers_of_voice_show_what_is_missing_and_what_came_late():
    assert "0 out of order" in sequence(capture("05_loss")).alt
    assert "0 missing" in sequence(capture("06_reorder")).alt
    assert "0 out of order" not in sequence(capture("06_reorder")).alt


def test_gaps_of_two_captures_stand_side_by_side():
    alt = gaps(on=capture("03_nagle_on"), off=capture("03_nagle_off")).alt
    assert "off: median 20.0 ms" in alt


def test_a_capture_without_voice_is_told():
    with pytest.raises(BadInput, match="0 streams of voice"):
        delays(capture("04_fin"))


@pytest.mark.peer
def test_jitter_is_tsharks_to_three_decimals(need, tmp_path):
    """PCMU, whose clock rate tshark knows without SDP."""
    need("tshark")
    dice = Random(6)
    path = tmp_path / "pcmu.pcapng"
    with path.open("wb") as file, PcapngWriter(file) as out:
        for n in range(200):
            packet = Packet(n, 160 * n, bytes(160), payload_type=0, ssrc=7)
            out.udp(ms(20) * n + round(dice.uniform(0, ms(15))), rtp.pack(packet), ALICE, BOB)
    (stream,) = open_capture(path).voices
    ours = jitters(stream)
    theirs = tshark_streams(path, BOB[1])
    assert max(ours) == pytest.approx(theirs.jitter_max_ms, abs=0.001)
    times, late = relative_delays(stream)
    assert late.min() == 0
    assert late.max() < 15.01
    assert len(times) == 200
    assert delays(open_capture(path)).alt.startswith("200 packets, up to ")
