"""L16: FFmpeg's `pcm_s16be` judges the bytes."""

import subprocess
from collections.abc import Callable

import numpy as np
import pytest

from labkit.codec.pcm import Pcm
from labkit.words.errors import BadInput, Malformed, Truncated
from labkit.words.format import Samples

EVERY_VALUE = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.peer
@pytest.mark.parametrize("channels", [1, 2])
def test_ffmpeg_writes_the_same_bytes(channels: int, need: Callable[..., None]) -> None:
    need("ffmpeg")
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-i", "-", "-f", "s16be", "-"]
    sound = EVERY_VALUE.reshape(-1, channels)
    run = subprocess.run(
        command, input=sound.astype("<i2").tobytes(), capture_output=True, check=True
    )
    assert Pcm(channels=channels).encoder().encode(sound) == run.stdout
    assert np.array_equal(Pcm(channels=channels).decoder().decode(run.stdout), sound)


def test_the_most_significant_byte_comes_first_and_left_before_right() -> None:
    """RFC 3551 sections 4.5.11 and 4.1."""
    sound = np.array([[0x0102, -2]], np.int16)
    assert Pcm(channels=2).encoder().encode(sound) == b"\x01\x02\xff\xfe"


@pytest.mark.parametrize(
    ("sample_rate", "channels", "payload_type"),
    [(48_000, 1, 96), (48_000, 2, 97), (44_100, 2, 10), (44_100, 1, 11), (16_000, 1, 98)],
)
def test_payload_types(sample_rate: int, channels: int, payload_type: int) -> None:
    """10 is stereo and 11 mono in RFC 3551 table 4; the others are dynamic and ours."""
    codec = Pcm(sample_rate, channels)
    assert codec.format.payload_type == payload_type
    assert str(codec.format).startswith(f"L16/{sample_rate}/{channels}")
    assert codec.frame_samples == sample_rate // 50


def test_payloads_cut_by_the_packetizer_can_be_read_one_by_one() -> None:
    codec = Pcm(channels=2)
    sound = EVERY_VALUE[:1920].reshape(-1, 2)
    payload = codec.encoder().encode(sound)
    decoder = codec.decoder()
    parts = [payload[:1200], payload[1200:]]
    assert [codec.duration(part) for part in parts] == [300, 660]
    assert np.array_equal(np.concatenate([decoder.decode(part) for part in parts]), sound)


@pytest.mark.parametrize("read", [Pcm(channels=2).decoder().decode, Pcm(channels=2).duration])
def test_a_payload_cut_in_a_sample_is_malformed(read: Callable[[bytes], object]) -> None:
    with pytest.raises(Malformed, match="7 bytes are not a multiple of 4"):
        read(bytes(7))
    with pytest.raises(Truncated, match=r"RFC 3551 section 4\.5\.11"):
        read(b"")


def test_concealment_fades_from_the_last_sample_to_silence() -> None:
    decoder = Pcm().decoder()
    decoder.decode(Pcm().encoder().encode(np.full((960, 1), 10_000, np.int16)))
    gap = decoder.conceal(960)
    assert gap.shape == (960, 1)
    assert 9_900 < gap[0, 0] < 10_000
    assert np.all(np.diff(gap[:240, 0].astype(int)) < 0)
    assert not gap[240:].any()
    assert not decoder.conceal(960).any(), "the fade is played once"
    assert decoder.recover(bytes(1920)) is None


def test_a_gap_shorter_than_the_fade() -> None:
    decoder = Pcm(channels=2).decoder()
    decoder.decode(Pcm(channels=2).encoder().encode(np.full((960, 2), -500, np.int16)))
    assert decoder.conceal(48).shape == (48, 2)


def test_wrong_sound_and_wrong_settings_are_refused() -> None:
    wrong: list[Samples] = [
        np.zeros((0, 1), np.int16),
        np.zeros(960, np.int16),
        np.zeros((960, 2), np.int16),
        np.zeros((960, 1), np.float64),  # type: ignore[list-item]
    ]
    for samples in wrong:
        with pytest.raises(BadInput):
            Pcm().encoder().encode(samples)
    with pytest.raises(BadInput, match="1 or 2"):
        Pcm(channels=6)
    with pytest.raises(BadInput, match="whole number of samples"):
        Pcm(11_025)
    with pytest.raises(BadInput, match="0 samples"):
        Pcm(frame_ms=0)
