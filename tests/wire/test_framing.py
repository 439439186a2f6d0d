"""Our own frame header and the decoder of a byte stream."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.wire import framing
from labkit.wire.framing import HEADER, MAX_PAYLOAD, FrameDecoder, Kind
from labkit.words.errors import LocalProtocolError, Malformed, Truncated, WireError
from labkit.words.packet import Packet

packets = st.tuples(
    st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=300)
).map(lambda fields: Packet(*fields))
frames = st.lists(st.tuples(st.sampled_from(Kind), packets), max_size=12)


def test_the_bytes_are_those_of_the_diagram():
    """Both directions against bytes written by hand."""
    packet = Packet(seq=0x0102, timestamp=0x03040506, payload=b"abc")
    data = bytes.fromhex("01 00 0102 03040506 00000003 616263")
    assert framing.pack(packet) == data
    assert framing.unpack(data) == (Kind.MEDIA, packet)


@pytest.mark.parametrize(
    ("data", "error", "field", "offset"),
    [
        ("", Truncated, "header", 0),
        ("01 00 0000 00000000 000000", Truncated, "header", 0),
        ("02 00 0000 00000000 00000000", Malformed, "ver", 0),
        ("01 04 0000 00000000 00000000", Malformed, "kind", 1),
        ("01 00 0000 00000000 00010000", Malformed, "len", 8),
        ("01 00 0000 00000000 ffffffff", Malformed, "len", 8),
        ("01 00 0000 00000000 00000002 61", Truncated, "payload", 12),
        ("01 00 0000 00000000 00000000 61", Malformed, "payload", 12),
    ],
)
def test_an_illegal_frame_is_refused_by_the_name_of_the_field(data, error, field, offset):
    with pytest.raises(error) as caught:
        framing.unpack(bytes.fromhex(data))
    assert (caught.value.field, caught.value.offset) == (field, offset)


@pytest.mark.parametrize(
    "packet",
    [
        Packet(seq=65_536, timestamp=0, payload=b""),
        Packet(seq=-1, timestamp=0, payload=b""),
        Packet(seq=0, timestamp=2**32, payload=b""),
        Packet(seq=0, timestamp=0.5, payload=b""),
        Packet(seq=0, timestamp=0, payload=bytes(MAX_PAYLOAD + 1)),
    ],
)
def test_a_packet_that_does_not_fit_is_the_callers_mistake(packet):
    with pytest.raises(LocalProtocolError):
        framing.pack(packet)


def test_the_longest_payload_passes():
    packet = Packet(1, 2, bytes(MAX_PAYLOAD))
    assert framing.unpack(framing.pack(packet, Kind.DESCRIPTION)) == (Kind.DESCRIPTION, packet)


@given(frames, st.data())
def test_frames_come_back_however_the_bytes_are_cut(expected, data):
    stream = b"".join(framing.pack(packet, kind) for kind, packet in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder = FrameDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.receive(stream[start:end])
    assert found == expected
    assert decoder.buffered == 0
    decoder.receive_eof()


def test_an_end_in_mid_frame_is_told_from_an_end_between_frames():
    frame = framing.pack(Packet(1, 2, b"sound"))
    for length in range(1, len(frame)):
        decoder = FrameDecoder()
        assert decoder.receive(frame[:length]) == []
        assert decoder.buffered == length
        with pytest.raises(Truncated):
            decoder.receive_eof()
    decoder = FrameDecoder()
    decoder.receive(frame)
    decoder.receive_eof()


def test_frames_before_a_wrong_one_are_delivered_and_the_error_comes_next():
    good, bad = framing.pack(Packet(1, 2, b"sound")), b"\xff" * HEADER.size
    decoder = FrameDecoder()
    assert [packet.seq for _, packet in decoder.receive(good + good + bad + good)] == [1, 1]
    assert decoder.error is not None
    for _ in range(2):
        with pytest.raises(Malformed):
            decoder.receive(good)
    with pytest.raises(Malformed):
        decoder.receive_eof()


def test_a_wrong_first_frame_is_refused_at_once():
    decoder = FrameDecoder()
    with pytest.raises(Malformed):
        decoder.receive(b"\xff" * HEADER.size)


def test_an_oversize_length_is_refused_as_soon_as_the_header_is_there():
    """Nothing of the announced payload is waited for or kept."""
    header = HEADER.pack(1, 0, 0, 0, MAX_PAYLOAD + 1)
    decoder = FrameDecoder()
    assert decoder.receive(header[:-1]) == []
    with pytest.raises(Malformed) as caught:
        decoder.receive(header[-1:])
    assert caught.value.field == "len"
    assert decoder.buffered == 0


def test_no_stream_makes_the_decoder_keep_more_than_one_frame():
    stream = framing.pack(Packet(1, 2, bytes(MAX_PAYLOAD))) * 3
    decoder = FrameDecoder()
    most = 0
    for start in range(0, len(stream), 1_000):
        decoder.receive(stream[start : start + 1_000])
        most = max(most, decoder.buffered)
    assert most <= HEADER.size + MAX_PAYLOAD


def test_bytes_are_not_copied_again_for_every_piece():
    """Byte by byte, 64 KB touch each byte a few times, not 32 000 times: seconds, not minutes."""
    stream = framing.pack(Packet(1, 2, bytes(MAX_PAYLOAD)))
    decoder = FrameDecoder()
    found = [frame for byte in stream for frame in decoder.receive(bytes([byte]))]
    assert len(found) == 1


@given(st.binary(max_size=100))
def test_random_bytes_break_the_decoder_in_the_agreed_way_only(data):
    decoder = FrameDecoder()
    with suppress(WireError):
        decoder.receive(data)
        decoder.receive_eof()
        assert data == b"" or len(data) >= HEADER.size
        return
    assert decoder.error is not None
    assert decoder.buffered == 0
