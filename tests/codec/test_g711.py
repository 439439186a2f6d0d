"""G.711 over all 65536 samples and all 256 codes, judged by FFmpeg and GStreamer.

They do not agree with each other. All decoders give the same samples. Encoders differ where a
sample lies on the border of two steps: FFmpeg looks for the nearest of the values that a decoder
gives, GStreamer (like us) takes the decision values of G.711, which are not the middle between
two such values where the step doubles.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labkit.codec.g711 import Pcma, Pcmu
from labkit.words.errors import BadInput, Truncated
from labkit.words.format import Samples

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)[:, np.newaxis]
EVERY_CODE = bytes(range(256))

LAWS = pytest.mark.parametrize(
    ("codec", "ffmpeg_name"), [(Pcmu(), "mulaw"), (Pcma(), "alaw")], ids=["PCMU", "PCMA"]
)
Law = Pcmu | Pcma


def run(command: list[str], data: bytes) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def ffmpeg(source: str, target: str, data: bytes) -> bytes:
    rate = ["-ar", "8000", "-ac", "1"]
    return run(["ffmpeg", "-v", "error", "-f", source, *rate, "-i", "-", "-f", target, "-"], data)


@pytest.mark.peer
@LAWS
def test_ffmpeg_decodes_every_code_to_the_same_sample(
    codec: Law, ffmpeg_name: str, need: Callable[..., None]
) -> None:
    need("ffmpeg")
    theirs = np.frombuffer(ffmpeg(ffmpeg_name, "s16le", EVERY_CODE), "<i2")
    assert np.array_equal(codec.decoder().decode(EVERY_CODE)[:, 0], theirs)


@pytest.mark.peer
@LAWS
def test_ffmpeg_encodes_all_but_border_samples_to_the_same_code(
    codec: Law, ffmpeg_name: str, need: Callable[..., None]
) -> None:
    need("ffmpeg")
    ours = codec.encoder().encode(EVERY_SAMPLE)
    theirs = ffmpeg("s16le", ffmpeg_name, EVERY_SAMPLE.astype("<i2").tobytes())
    different = np.frombuffer(ours, np.uint8) != np.frombuffer(theirs, np.uint8)
    assert different.mean() < 0.015
    levels = sorted({int(sample) for sample in codec.decoder().decode(EVERY_CODE)[:, 0]})
    decode = codec.decoder().decode
    steps = np.searchsorted(levels, decode(ours)) - np.searchsorted(levels, decode(theirs))
    assert np.abs(steps).max() == 1


@pytest.mark.peer
def test_gstreamer_encodes_every_sample_to_the_same_mu_law_code(
    tmp_path: Path, need: Callable[..., None]
) -> None:
    need("gst-launch-1.0")
    source, target = tmp_path / "in.raw", tmp_path / "out.raw"
    source.write_bytes(EVERY_SAMPLE.astype("<i2").tobytes())
    caps = "format=pcm pcm-format=s16le sample-rate=8000 num-channels=1"
    line = f"filesrc location={source} ! rawaudioparse {caps} ! mulawenc"
    run(["gst-launch-1.0", "-q", *f"{line} ! filesink location={target}".split()], b"")
    assert target.read_bytes() == Pcmu().encoder().encode(EVERY_SAMPLE)


@LAWS
def test_a_decoded_code_encodes_to_itself(codec: Law, ffmpeg_name: str) -> None:
    samples = codec.decoder().decode(EVERY_CODE)
    again = codec.encoder().encode(samples)
    assert np.array_equal(codec.decoder().decode(again), samples)
    # µ-law has two codes for zero, 0x7F and 0xFF.
    assert [a for a, b in zip(EVERY_CODE, again, strict=True) if a != b] == (
        [0x7F] if ffmpeg_name == "mulaw" else []
    )


@LAWS
def test_the_noise_stays_some_38_db_below_loud_and_soft_sound(codec: Law, ffmpeg_name: str) -> None:
    """What the logarithm is for: a sine from full scale to 20 dB below."""
    for peak in (32_000, 10_000, 3_200):
        sine = (peak * np.sin(np.arange(8_000) * 0.7)).astype(np.int16)[:, np.newaxis]
        heard = codec.decoder().decode(codec.encoder().encode(sine))
        noise = np.mean((heard.astype(float) - sine) ** 2)
        assert 10 * np.log10(np.mean(sine.astype(float) ** 2) / noise) > 36


@pytest.mark.parametrize(("codec", "payload_type"), [(Pcmu(), 0), (Pcma(), 8)])
def test_payload_types(codec: Law, payload_type: int) -> None:
    """RFC 3551 table 4."""
    assert codec.format.payload_type == payload_type
    assert (codec.format.clock_rate, codec.channels, codec.frame_samples) == (8_000, 1, 160)
    assert codec.duration(bytes(160)) == 160


@LAWS
def test_bad_input_and_gaps(codec: Law, ffmpeg_name: str) -> None:
    with pytest.raises(Truncated):
        codec.decoder().decode(b"")
    with pytest.raises(Truncated):
        codec.duration(b"")
    stereo: Samples = np.zeros((160, 2), np.int16)
    with pytest.raises(BadInput, match=r"\(samples, 1\)"):
        codec.encoder().encode(stereo)
    strided = stereo[:, :1]
    assert len(codec.encoder().encode(strided)) == 160
    decoder = codec.decoder()
    decoder.decode(b"\x00\x81")
    assert decoder.conceal(160).shape == (160, 1)
    assert decoder.recover(b"\x00") is None
