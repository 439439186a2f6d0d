"""G.722: the judge is FFmpeg's own command, which codes the same sound to the same bytes."""

import subprocess

import numpy as np
import pytest

from labkit.codec.formats import codec_for
from labkit.codec.g722 import G722, LOOKAHEAD
from labkit.words.errors import BadInput, WireError
from labkit.words.format import AudioFormat


def tone(frames=50, samples=320):
    t = np.arange(frames * samples) / 16_000
    return (8_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)[:, None]


def encoded(sound, codec):
    encoder = codec.encoder()
    size = codec.frame_samples
    return [encoder.encode(sound[at : at + size]) for at in range(0, len(sound), size)]


def decoded(payloads):
    decoder = G722().decoder()
    return np.concatenate([decoder.decode(payload) for payload in payloads])


@pytest.mark.peer
def test_the_bytes_and_the_sound_are_those_of_ffmpeg(need, tmp_path):
    need("ffmpeg")
    sound = tone()
    payloads = encoded(sound, G722())
    (tmp_path / "in.raw").write_bytes(sound.tobytes())
    pcm = ["-f", "s16le", "-ar", "16000", "-ac", "1"]
    ffmpeg = ["ffmpeg", "-v", "error", "-y"]
    to_g722 = [*ffmpeg, *pcm, "-i", tmp_path / "in.raw", "-f", "g722", tmp_path / "out.g722"]
    subprocess.run(to_g722, check=True)
    assert b"".join(payloads) == (tmp_path / "out.g722").read_bytes()
    back = [*ffmpeg, "-f", "g722", "-i", tmp_path / "out.g722", *pcm, tmp_path / "back.raw"]
    subprocess.run(back, check=True)
    theirs = np.frombuffer((tmp_path / "back.raw").read_bytes(), np.int16)
    assert np.array_equal(decoded(payloads)[:, 0], theirs)


def test_a_byte_is_one_tick_of_a_clock_at_half_the_rate():
    """RFC 3551 section 4.5.2."""
    (payload,) = encoded(tone(1), G722())
    assert len(payload) == G722().duration(payload) == 160
    assert G722().format.clock_rate == 8_000
    assert decoded([payload]).shape == (320, 1)


def test_the_sound_comes_back_after_the_lookahead():
    sound = tone()
    heard = decoded(encoded(sound, G722()))
    error = heard[LOOKAHEAD:] - sound[:-LOOKAHEAD].astype(float)
    assert np.std(error[1_000:]) < np.std(sound) / 30  # 30 dB


@pytest.mark.parametrize("frame_ms", [10, 20, 30, 60])
def test_other_lengths_of_frame(frame_ms):
    codec = G722(frame_ms)
    (payload,) = encoded(tone(1, codec.frame_samples), codec)
    assert len(payload) == 8 * frame_ms


def test_a_gap_fades_to_silence_and_the_sound_finds_back():
    payloads = encoded(tone(), G722())
    decoder = G722().decoder()
    for payload in payloads[:20]:
        decoder.decode(payload)
    gap = decoder.conceal(320)
    assert gap.shape == (320, 1)
    assert not gap[100:].any()
    after = np.concatenate([decoder.decode(payload) for payload in payloads[21:]])
    whole = decoded(payloads)[21 * 320 :]
    assert np.abs(after[3_200:].astype(int) - whole[3_200:]).max() < 400


def test_what_is_no_frame_is_refused():
    with pytest.raises(WireError):
        G722().decoder().decode(b"")
    with pytest.raises(WireError):
        G722().duration(b"")
    with pytest.raises(BadInput, match="320"):
        G722().encoder().encode(np.zeros((100, 1), np.int16))


def test_sdp_names_it():
    assert codec_for(AudioFormat("G722", 8_000, 1, 9, 30)) == G722(30)
