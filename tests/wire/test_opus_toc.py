"""The TOC byte and the frames behind it, judged by libopus."""

import ctypes

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labkit.codec.libopus import libopus_path
from labkit.codec.opus import Opus
from labkit.wire import opus_toc
from labkit.wire.opus_toc import Bandwidth, Mode
from labkit.words.errors import Malformed, MissingCapability, Truncated, WireError


@pytest.fixture(scope="module")
def libopus():
    try:
        return ctypes.CDLL(libopus_path())
    except MissingCapability as error:
        pytest.skip(str(error))


def frame_sizes(libopus, payload):
    """What `opus_packet_parse` finds: the size of each frame, or None when it refuses."""
    sizes = (ctypes.c_int16 * 48)()
    count = libopus.opus_packet_parse(payload, len(payload), None, None, sizes, None)
    return None if count < 0 else list(sizes[:count])


@pytest.mark.parametrize(
    ("byte", "mode", "bandwidth", "samples", "stereo", "code"),
    [
        (0x00, Mode.SILK, Bandwidth.NB, 480, False, 0),
        (0x1B, Mode.SILK, Bandwidth.NB, 2880, False, 3),
        (0x2C, Mode.SILK, Bandwidth.MB, 960, True, 0),
        (0x48, Mode.SILK, Bandwidth.WB, 960, False, 0),
        (0x68, Mode.HYBRID, Bandwidth.SWB, 960, False, 0),
        (0x78, Mode.HYBRID, Bandwidth.FB, 960, False, 0),
        (0x7D, Mode.HYBRID, Bandwidth.FB, 960, True, 1),
        (0x80, Mode.CELT, Bandwidth.NB, 120, False, 0),
        (0xA2, Mode.CELT, Bandwidth.WB, 120, False, 2),
        (0xF8, Mode.CELT, Bandwidth.FB, 960, False, 0),
        (0xFF, Mode.CELT, Bandwidth.FB, 960, True, 3),
    ],
)
def test_rows_of_rfc_6716_table_2(byte, mode, bandwidth, samples, stereo, code):
    assert opus_toc.parse(bytes([byte])) == (byte >> 3, mode, bandwidth, samples, stereo, code)


def test_every_toc_byte_means_the_same_to_libopus(libopus):
    """Bandwidths are numbered from 1101 in opus_defines.h."""
    for byte in range(256):
        payload, toc = bytes([byte]), opus_toc.parse(bytes([byte]))
        assert toc.frame_duration == libopus.opus_packet_get_samples_per_frame(payload, 48_000)
        assert 1 + toc.stereo == libopus.opus_packet_get_nb_channels(payload)
        band = libopus.opus_packet_get_bandwidth(payload)
        assert list(Bandwidth)[band - 1101] is toc.bandwidth


def test_a_toc_says_what_it_is():
    assert str(opus_toc.parse(b"\x48")) == "SILK WB 20 ms mono, code 0"
    assert str(opus_toc.parse(b"\x84")) == "CELT NB 2.5 ms stereo, code 0"


@pytest.mark.parametrize(
    ("payload", "error", "rule"),
    [
        (b"", Truncated, "R1"),
        (b"\x00" + bytes(1276), Malformed, "R2"),
        (b"\x01" + bytes(2552), Malformed, "R2"),
        (b"\x02\x00" + bytes(1276), Malformed, "R2"),
        (b"\x03\x01" + bytes(1276), Malformed, "R2"),
        (b"\x01" + bytes(3), Malformed, "R3"),
        (b"\x02", Truncated, "R4"),
        (b"\x02\xfc", Truncated, "R4"),
        (b"\x02\x02\x00", Truncated, "R4"),
        (b"\x03\x00", Malformed, "R5"),
        (b"\x1b\x03" + bytes(3), Malformed, "R5"),
        (b"\x83\x31" + bytes(49), Malformed, "R5"),
        (b"\x03", Truncated, "R6"),
        (b"\x03\x02" + bytes(3), Malformed, "R6"),
        (b"\x03\x41", Truncated, "R6"),
        (b"\x03\x41\x02\x00", Truncated, "R6"),
        (b"\x03\x41\xff\x00", Truncated, "R6"),
        (b"\x03\x82", Truncated, "R7"),
        (b"\x03\x82\x02\x00", Truncated, "R7"),
        (b"\x03\xc2\x02\x01\x00\x00", Truncated, "R7"),
    ],
)
def test_each_rule_of_section_3_4_is_told_by_its_name(libopus, payload, error, rule):
    for reader in (opus_toc.frames, opus_toc.duration, opus_toc.has_fec, opus_toc.split):
        with pytest.raises(error) as caught:
            reader(payload)
        assert caught.value.spec.endswith(f"[{rule}]")
    assert frame_sizes(libopus, payload) is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x48", [b""]),
        (b"\x48abc", [b"abc"]),
        (b"\x49abcd", [b"ab", b"cd"]),
        (b"\x4a\x01abc", [b"a", b"bc"]),
        (b"\x4b\x03abcdef", [b"ab", b"cd", b"ef"]),
        (b"\x4b\x83\x01\x02abbc", [b"a", b"bb", b"c"]),
        (b"\x4b\x41\x02a\0\0", [b"a"]),
        (b"\x4b\x41\xff\x01a" + bytes(255), [b"a"]),
        (b"\x4a\xfc\x01" + bytes(257), [bytes(256), b"\0"]),
        (b"\x4b\x03", [b"", b"", b""]),
    ],
)
def test_frames_are_found_behind_every_code(payload, expected):
    assert opus_toc.split(payload) == expected
    assert opus_toc.duration(payload) == 960 * len(expected)


payloads = st.builds(
    lambda toc, count, lengths, rest: bytes([toc, count, *lengths]) + bytes(rest),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 0x30, 0x31, 0x41, 0x43, 0x81, 0x82, 0x86, 0xC1, 0xC2, 0xFC])
    | st.integers(0, 255),
    st.lists(st.sampled_from([0, 1, 2, 3, 9, 251, 252, 253, 254, 255]), max_size=6),
    st.integers(0, 20) | st.integers(0, 2_700),
) | st.binary(max_size=20)


@given(payloads)
@settings(max_examples=1_000)
@example(b"\x03\x02" + bytes(2 * 1275))
def test_libopus_accepts_and_refuses_the_same_payloads(libopus, payload):
    """And finds frames of the same sizes, the same duration, and FEC in the same payloads."""
    expected = frame_sizes(libopus, payload)
    try:
        found = list(map(len, opus_toc.split(payload)))
    except WireError:
        assert expected is None
        return
    assert found == expected
    samples = libopus.opus_packet_get_nb_samples(payload, len(payload), 48_000)
    assert opus_toc.duration(payload) == samples
    if hasattr(libopus, "opus_packet_has_lbrr") and found[0]:
        assert opus_toc.has_fec(payload) == bool(
            libopus.opus_packet_has_lbrr(payload, len(payload))
        )


def voice(frames, samples, channels):
    """A buzz at 120 Hz whose loudness comes and goes as syllables do: SILK takes it for speech."""
    time = np.arange(frames * samples) / 48_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    sound = 6_000 * buzz * np.clip(np.sin(2 * np.pi * 3 * time), 0.05, 1)
    return np.repeat(sound.astype(np.int16)[:, np.newaxis], channels, axis=1).reshape(
        frames, samples, channels
    )


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_fec_is_seen_in_real_payloads_exactly_when_the_encoder_put_it_there(
    libopus, frame_ms, channels
):
    def payloads(*, fec):
        codec = Opus(24_000 * channels, frame_ms=frame_ms, channels=channels, fec=fec)
        encoder = codec.encoder()
        encoder.expected_loss = 25
        return [encoder.encode(frame) for frame in voice(20, codec.frame_samples, channels)]

    with_fec = payloads(fec=True)
    assert {opus_toc.parse(p).mode for p in with_fec} <= {Mode.SILK, Mode.HYBRID}
    assert {opus_toc.duration(p) for p in with_fec} == {frame_ms * 48}
    assert any(map(opus_toc.has_fec, with_fec))
    assert not any(map(opus_toc.has_fec, payloads(fec=False)))
