"""Packets looked into: our drawing, Wireshark's dissector, and the same counts from both."""

import pytest

from labkit import Call, Opus, Packet, Pcmu, tone
from labkit.lab import dissect
from labkit.wire import rtp
from labkit.words.errors import BadInput, MissingCapability


@pytest.fixture(scope="module")
def call():
    """Of G.711, whose clock rate every dissector knows; over a line that loses and disorders."""
    clip = tone(duration_s=6)
    return Call(clip, codec=Pcmu(), link="voip-10", seed=7).simulate(capture=True)


@pytest.fixture(scope="module")
def capture(call, tmp_path_factory):
    """The same as a file, taken where the listener is."""
    return call.save_pcapng(tmp_path_factory.mktemp("capture") / "call.pcapng", at="arrived")


def test_voice_datagrams_are_those_of_the_voice(call):
    """No report among them, in the order in which they came."""
    packets = [rtp.unpack(data) for data in dissect.voice_datagrams(call)]
    assert {packet.payload_type for packet in packets} == {0}
    came = [i for i in range(len(call.timeline)) if call.timeline.arrived[i] > 0]
    by_arrival = sorted(came, key=lambda i: call.timeline.arrived[i])
    assert [p.seq for p in packets] == [int(call.timeline.seq[i]) & 0xFFFF for i in by_arrival]


def test_a_call_that_was_not_captured_says_how_to(call):
    with pytest.raises(BadInput, match="capture=True"):
        dissect.voice_datagrams(Call(tone(duration_s=0.1), codec=Pcmu()).simulate())


def test_the_drawing_shows_every_field_with_its_value():
    """RFC 3550's figure, with the values of this packet."""
    data = rtp.pack(Packet(0x1234, 7, b"voice", True, 96, 0xCAFE))
    picture = dissect.anatomy(data)
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert "V\n2" in texts
    assert "M\n1" in texts
    assert "PT\n96" in texts
    assert "sequence number\n4660  =  12 34" in texts
    assert "timestamp\n7  =  00 00 00 07" in texts
    assert texts[-1].startswith("payload: 5 bytes\n76 6f 69 63 65")
    assert picture.png().startswith(b"\x89PNG")


def test_other_headers_can_be_drawn_too():
    picture = dissect.anatomy(b"\x01\x02ab", [("version", 8), ("length", 8)])
    assert "A header of 2 bytes" in picture.alt


@pytest.mark.parametrize(("bits", "rows", "width"), [(8, 1, 24), (32, 2, 32), (96, 4, 32)])
def test_the_payload_fills_the_row_that_its_header_began(bits, rows, width):
    axes = dissect.anatomy(
        bytes(40), [("all", bits)] if bits < 33 else [("a", 32)] * 3
    ).figure.axes[0]
    assert axes.patches[-1].get_width() == width
    assert axes.get_ylim()[0] == pytest.approx(-rows - 0.1)


def test_too_few_bytes_are_no_header():
    with pytest.raises(BadInput, match="11 bytes are no header of 12"):
        dissect.anatomy(bytes(11))


@pytest.mark.peer
def test_pyshark_reads_what_tshark_says(need, call, capture):
    """Without an event loop, so that it works in a notebook."""
    need("tshark")
    theirs = dissect.packets(capture, 3)
    ours = [rtp.unpack(data) for data in dissect.voice_datagrams(call)[:3]]
    assert [int(packet.rtp.seq) for packet in theirs] == [packet.seq for packet in ours]
    assert [int(packet.rtp.timestamp) for packet in theirs] == [p.timestamp for p in ours]


@pytest.mark.peer
def test_tshark_counts_what_we_count(need, call, capture):
    """Packets, loss, and jitter to a microsecond, of which tshark prints the last digit."""
    need("tshark")
    ours, theirs = dissect.our_streams(call), dissect.tshark_streams(capture)
    assert theirs[1:3] == ours[1:3]
    assert theirs.lost > 10
    assert theirs[3:] == pytest.approx(ours[3:], abs=0.001)


@pytest.mark.peer
def test_tshark_cannot_know_the_jitter_of_a_dynamic_payload_type(need, tmp_path):
    """What the lab says of Opus; if this fails, tshark has learned something."""
    need("tshark")
    call = Call(tone(duration_s=2), codec=Opus(32_000), link="voip-10", seed=7)
    path = call.simulate(capture=True).save_pcapng(tmp_path / "opus.pcapng", at="arrived")
    assert dissect.tshark_streams(path).jitter_max_ms == 0


@pytest.mark.peer
def test_what_is_no_capture_is_refused(need, tmp_path):
    """With tshark's own complaint."""
    need("tshark")
    (tmp_path / "not.pcapng").write_text("not a capture\n" * 9)
    with pytest.raises(BadInput, match="cannot read"):
        dissect.packets(tmp_path / "not.pcapng")


@pytest.mark.peer
def test_a_capture_without_rtp_is_refused(need, capture):
    need("tshark")
    with pytest.raises(BadInput, match="no RTP on port 9"):
        dissect.tshark_streams(capture, port=9)


@pytest.mark.parametrize(
    ("line", "mean", "most"),
    [
        # tshark 4: least, mean and greatest delta; least, mean and greatest jitter
        ("0x1234ABCD g711U 10 2 (16.7%) 0.1 20.0 60.5 0.5 3.5 7.5 X", 3.5, 7.5),
        # tshark 3: greatest delta, greatest jitter, mean jitter
        ("0x1234ABCD ITU-T G.711 PCMU 10 2 (16.7%) 60.50 7.50 3.50 X", 3.5, 7.5),
    ],
)
def test_both_forms_of_the_table_are_read(monkeypatch, line, mean, most):
    monkeypatch.setattr(dissect, "_tshark", lambda *a: line)
    assert dissect.tshark_streams("x") == ("tshark", 10, 2, mean, most)


def test_without_tshark_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingCapability, match="tshark"):
        dissect.packets("any.pcapng")
