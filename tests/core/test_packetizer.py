import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.packetizer import MAX_PAYLOAD, Packetizer, bytes_per_tick
from labkit.words.errors import LocalProtocolError
from labkit.words.format import PT_L16, PT_OPUS, AudioFormat
from labkit.words.seqnum import add16, add32, ahead32

OPUS = AudioFormat("opus", 48_000, 2, PT_OPUS)
L16 = AudioFormat("L16", 48_000, 1, PT_L16)
STEREO = AudioFormat("L16", 48_000, 2, 97)


def test_twenty_milliseconds_of_l16_travel_in_two_equal_packets():
    packets = Packetizer(L16).packetize(bytes(1920), 0)
    assert [(p.seq, p.timestamp, len(p.payload)) for p in packets] == [(0, 0, 960), (1, 480, 960)]
    assert {p.payload_type for p in packets} == {PT_L16}


def test_stereo_is_cut_between_samples_of_both_channels():
    packets = Packetizer(STEREO).packetize(bytes(3840), 0)
    assert [(p.timestamp, len(p.payload)) for p in packets] == [(n * 240, 960) for n in range(4)]


def test_what_fits_travels_whole():
    assert len(Packetizer(OPUS).packetize(bytes(MAX_PAYLOAD), 0)) == 1
    assert len(Packetizer(L16).packetize(bytes(MAX_PAYLOAD), 0)) == 1


def test_opus_that_is_too_long_cannot_be_cut():
    """The error says what to do, and no sequence number is used up."""
    packetizer = Packetizer(OPUS)
    with pytest.raises(LocalProtocolError, match="lower the bitrate or the frame size"):
        packetizer.packetize(bytes(MAX_PAYLOAD + 1), 0)
    assert packetizer.packetize(b"x", 960)[0].seq == 0


def test_half_a_sample_is_refused():
    with pytest.raises(LocalProtocolError, match="whole number of samples"):
        Packetizer(L16).packetize(bytes(1921), 0)


def test_a_limit_below_one_sample_is_refused():
    with pytest.raises(LocalProtocolError, match="holds no sample"):
        Packetizer(STEREO, limit=3)


@given(
    ticks=st.integers(1, 6000),
    channels=st.sampled_from([1, 2]),
    limit=st.integers(4, 1500),
    encoding=st.sampled_from(["L8", "L16", "PCMU"]),
    seq=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
)
def test_no_packet_exceeds_the_limit_and_nothing_is_lost(
    ticks, channels, limit, encoding, seq, timestamp
):
    audio = AudioFormat(encoding, 48_000, channels, 96)
    size = bytes_per_tick(audio)
    payload = bytes(n % 251 for n in range(ticks * size))
    packets = Packetizer(audio, limit=limit, first_seq=seq).packetize(payload, timestamp)

    assert b"".join(p.payload for p in packets) == payload
    lengths = [len(p.payload) for p in packets]
    assert max(lengths) <= limit
    assert max(lengths) - min(lengths) <= size, "pieces differ by at most one sample"
    assert len(packets) == -(-ticks // (limit // size)), "and are as few as can be"
    before = 0
    for number, packet in enumerate(packets):
        assert packet.seq == add16(seq, number)
        assert packet.timestamp == add32(timestamp, before // size)
        before += len(packet.payload)


def test_silence_moves_the_timestamp_and_not_the_sequence_number():
    """RFC 3551 section 4.1: the first packet after a silence is marked, no other."""
    packetizer = Packetizer(OPUS, first_seq=65534)
    packets = []
    for number, payload in enumerate([b"a", b"b", b"", b"", b"c", b"d"]):
        packets += packetizer.packetize(payload, number * 960)
    assert [(p.seq, p.timestamp, p.marker) for p in packets] == [
        (65534, 0, False),
        (65535, 960, False),
        (0, 4 * 960, True),
        (1, 5 * 960, False),
    ]


def test_only_the_first_piece_is_marked():
    packetizer = Packetizer(L16)
    assert packetizer.packetize(b"", 0) == []
    assert [p.marker for p in packetizer.packetize(bytes(1920), 960)] == [True, False]
    assert [p.marker for p in packetizer.packetize(bytes(1920), 1920, marker=True)] == [True, False]


def test_numbers_begin_where_the_caller_says():
    packetizer = Packetizer(L16, ssrc=0xCAFE, first_seq=7, first_timestamp=2**32 - 240)
    first, second = packetizer.packetize(bytes(1920), 0)
    assert (first.seq, first.timestamp, first.ssrc) == (7, 2**32 - 240, 0xCAFE)
    assert (second.seq, second.timestamp) == (8, 240)
    assert ahead32(second.timestamp, first.timestamp) == 480


@pytest.mark.parametrize(
    ("encoding", "channels", "expected"),
    [("L16", 2, 4), ("l16", 1, 2), ("PCMU", 1, 1), ("G722", 1, 1), ("opus", 2, None)],
)
def test_bytes_in_a_tick(encoding, channels, expected):
    """Encoding names do not care for case (RFC 4855 section 3)."""
    assert bytes_per_tick(AudioFormat(encoding, 8000, channels, 0)) == expected
