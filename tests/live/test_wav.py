import signal
import struct
import subprocess
import sys
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.live.wav import WavWriter, read_wav, resample
from labkit.words.errors import BadInput, LocalProtocolError

RATE = 48_000


def noise(samples: int, channels: int = 1, seed: int = 1):
    return np.random.default_rng(seed).integers(-32768, 32768, (samples, channels), np.int16)


def tone(hertz: float, rate: int, duration_s: float = 1.0):
    time = np.arange(round(rate * duration_s)) / rate
    return np.round(np.sin(2 * np.pi * hertz * time) * 12_000).astype(np.int16).reshape(-1, 1)


# Writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_the_standard_library_reads_what_we_write(tmp_path, channels):
    path, sound = tmp_path / "a.wav", noise(1000, channels)
    with WavWriter(path, RATE, channels) as file:
        for start in range(0, 1000, 300):
            file.write(sound[start : start + 300])
    with wave.open(str(path)) as theirs:
        assert theirs.getparams()[:4] == (channels, 2, RATE, 1000)
        assert theirs.readframes(2000) == sound.tobytes()


def test_the_file_is_valid_after_every_flush(tmp_path):
    path = tmp_path / "a.wav"
    file = WavWriter(path, RATE, 1)
    for written in (480, 960):
        file.write(noise(480))
        file.flush()
        assert len(read_wav(path)[0]) == written
    file.close()
    file.close()


def test_a_killed_recorder_leaves_a_file_that_plays(tmp_path):
    """SIGKILL after 2.5 s of sound: the two whole seconds before it are there."""
    path = tmp_path / "killed.wav"
    program = (
        "import os, signal, numpy as np\n"
        "from labkit.live.wav import WavWriter\n"
        f"file = WavWriter({str(path)!r}, 48000, 1)\n"
        "for _ in range(125): file.write(np.ones((960, 1), np.int16))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    samples, rate = read_wav(path)
    assert rate == RATE
    assert 96_000 <= len(samples) <= 120_000
    assert (samples == 1).all()


def test_a_folder_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="cannot write"):
        WavWriter(tmp_path / "no" / "a.wav", RATE, 1)


def test_sound_of_another_shape_is_refused(tmp_path):
    with WavWriter(tmp_path / "a.wav", RATE, 2) as file, pytest.raises(LocalProtocolError):
        file.write(noise(10, 1))


def test_a_file_that_would_grow_too_long_for_its_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.live.wav.MAX_DATA", 2000)
    path = tmp_path / "a.wav"
    with WavWriter(path, RATE, 1) as file:
        file.write(noise(1000))
        with pytest.raises(BadInput, match="4 GB"):
            file.write(noise(1))
    assert len(read_wav(path)[0]) == 1000


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.peer
def test_what_ffmpeg_writes_is_read_as_ffmpeg_reads_it(need, tmp_path, codec, channels):
    """Every width, one and two channels: within one step of 8 or 16 bits."""
    need("ffmpeg")
    source, path, sound = tmp_path / "a.wav", tmp_path / "b.wav", noise(4800, channels)
    with WavWriter(source, 44_100, channels) as file:
        file.write(sound)
    command = ["ffmpeg", "-v", "error", "-i", source, "-c:a", codec, path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    samples, rate = read_wav(path)
    assert (rate, samples.shape, samples.dtype) == (44_100, sound.shape, np.int16)
    step = 256 if codec == "pcm_u8" else 1
    assert np.abs(samples.astype(int) - sound).max() <= step


def test_ends_of_the_scale_are_kept(tmp_path):
    """Rounding from 24 bits must not turn the loudest sample into the quietest."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as theirs:
        theirs.setparams((1, 3, RATE, 0, "NONE", ""))
        theirs.writeframes(bytes.fromhex("ffff7f 000080 000000 ffffff 008000 80ffff"))
    assert read_wav(path)[0].ravel().tolist() == [32767, -32768, 0, 0, 128, 0]


def test_chunks_that_are_not_sound_are_passed_over(tmp_path):
    """LIST before the sound, of odd length and so padded, and something after it."""
    path = tmp_path / "a.wav"
    with WavWriter(path, RATE, 1) as file:
        file.write(noise(100))
    data = path.read_bytes()
    extra = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    path.write_bytes(data[:36] + extra + data[36:] + b"junk")
    assert np.array_equal(read_wav(path)[0], noise(100))


@pytest.mark.parametrize("lengths", [(0, 0), (36, 0), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_lengths_that_a_pipe_or_a_crash_left_untold(tmp_path, lengths):
    path = tmp_path / "a.wav"
    with WavWriter(path, RATE, 1) as file:
        file.write(noise(100))
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = (struct.pack("<I", length) for length in lengths)
    path.write_bytes(data)
    assert np.array_equal(read_wav(path)[0], noise(100))


def test_a_recording_of_nothing_is_not_read_into_what_follows_it(tmp_path):
    path = tmp_path / "a.wav"
    WavWriter(path, RATE, 1).close()
    data = bytearray(path.read_bytes() + b"LIST\4\0\0\0hey!")
    data[4:8] = struct.pack("<I", len(data) - 8)
    path.write_bytes(data)
    with pytest.raises(BadInput, match="no sound"):
        read_wav(path)


def test_what_is_no_wav_file_says_so_and_what_to_do(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3" + bytes(100))
    with pytest.raises(BadInput, match="not a WAV file") as caught:
        read_wav(path)
    assert "ffmpeg -i" in caught.value.remedy


@pytest.mark.parametrize(
    ("keep", "why"),
    [(0, "not a WAV"), (11, "not a WAV"), (30, "cut off"), (40, "cut off"), (150, "cut off")],
)
def test_a_file_that_is_cut_off_says_so(tmp_path, keep, why):
    path = tmp_path / "a.wav"
    with WavWriter(path, RATE, 1) as file:
        file.write(noise(100))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match=why):
        read_wav(path)


def test_no_sound_no_file_and_no_such_format(tmp_path):
    path = tmp_path / "a.wav"
    WavWriter(path, RATE, 1).close()
    with pytest.raises(BadInput, match="no sound"):
        read_wav(path)
    with pytest.raises(BadInput, match="cannot read"):
        read_wav(tmp_path / "missing.wav")
    with pytest.raises(BadInput, match="cannot read"):
        read_wav(tmp_path)
    data = bytearray(path.read_bytes() + bytes(8))
    data[20:22] = struct.pack("<H", 85)  # MP3 in a WAV file
    path.write_bytes(data)
    with pytest.raises(BadInput, match="WAV format 85"):
        read_wav(path)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_random_bytes_give_sound_or_bad_input(tmp_path_factory, junk, start):
    path = tmp_path_factory.getbasetemp() / "fuzz.wav"
    data = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHHH", 18, 1, 1, 8000, 16000, 2, 16, 0)
    data += b"data" + struct.pack("<I", 8) + bytes(8)
    path.write_bytes(data[:start] + junk + data[start + len(junk) :])
    try:
        samples, _ = read_wav(path)
    except BadInput:
        return
    assert samples.ndim == 2


# Resampling --------------------------------------------------------------------------------------


def test_resampling_keeps_the_pitch_and_the_length():
    sound = resample(tone(1000, 44_100), 44_100, RATE)
    assert sound.shape == (RATE, 1)
    assert sound.dtype == np.int16
    error = sound[2000:-2000].astype(float) - tone(1000, RATE)[2000:-2000]
    assert np.abs(error).max() < 5


def test_equal_rates_change_nothing():
    sound = noise(10)
    assert resample(sound, RATE, RATE) is sound
