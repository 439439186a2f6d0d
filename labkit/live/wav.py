"""WAV files: read what others wrote, write what survives a crash.

`read_wav` takes plain PCM of 8, 16, 24 or 32 bits, or 32-bit floats, also in the extensible
form that FFmpeg writes for 24 bits, and gives int16. The standard library's `wave` refuses the
last two before Python 3.12, and says nothing when a file is cut off.

     offset  bytes
          0      4  "RIFF"
          4      4  length of what follows: of the file, less 8
          8      4  "WAVE"
         12      8  "fmt ", its length 16
         20     16  format, channels, sample rate, bytes a second, bytes a block, bits a sample
         36      8  "data", its length
         44         samples, interleaved, little-endian

(Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991; the
extensible form is in Microsoft's WAVEFORMATEXTENSIBLE.) The two lengths are known only at the end;
`WavWriter` brings them up to date every second, so what was recorded before a crash can be played.

This module knows neither sound cards nor networks.
"""

import struct
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.format import Samples

HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
CHUNK: Final = struct.Struct("<4sI")
FORMAT: Final = struct.Struct("<HHIIHH")

PCM: Final = 1
FLOAT: Final = 3
EXTENSIBLE: Final = 0xFFFE

MAX_DATA: Final = 0xFFFFFFFF - HEADER.size
"""Bytes of sound that the 32-bit lengths can tell: twelve hours of one channel at 48 kHz."""


class _Format(NamedTuple):
    """The "fmt " chunk."""

    tag: int
    channels: int
    sample_rate: int
    bits: int


def read_wav(path: str | Path) -> tuple[Samples, int]:
    """Samples of shape (samples, channels), and the sample rate in Hz.

    `BadInput` when there is no such file, or it is no WAV file, or is empty, or is cut off.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", "the path of a WAV file") from error
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise BadInput(f"{path} is not a WAV file", f"ffmpeg -i {path} -c:a pcm_s16le new.wav")
    audio, sound = _chunks(data, path)
    samples = _to_int16(sound, audio, path)
    if not len(samples):
        raise BadInput(f"{path} holds no sound", "record it again: streamer record --out new.wav")
    return samples, audio.sample_rate


def _chunks(data: bytes, path: str | Path) -> tuple[_Format, memoryview]:
    """The format and the bytes of the sound; other chunks are passed over."""
    audio: _Format | None = None
    start = 12
    while start + CHUNK.size <= len(data):
        name, size = CHUNK.unpack_from(data, start)
        start += CHUNK.size
        if name == b"data" and audio is not None:
            return audio, _sound(data, start, size, audio, path)
        if name == b"fmt " and size >= FORMAT.size and start + size <= len(data):
            audio = _format(data, start, size)
        start += size + size % 2  # chunks begin at even offsets
    raise _cut_off(path, "its header is not complete")


def _format(data: bytes, start: int, size: int) -> _Format:
    tag, channels, rate, _, _, bits = FORMAT.unpack_from(data, start)
    if tag == EXTENSIBLE and size >= 40:
        (tag,) = struct.unpack_from("<H", data, start + 24)  # the first bytes of the subformat
    return _Format(tag, channels, rate, bits)


def _sound(data: bytes, start: int, size: int, audio: _Format, path: str | Path) -> memoryview:
    there = len(data) - start
    (rest,) = struct.unpack_from("<I", data, 4)
    if size == 0xFFFFFFFF or (size == 0 and rest + CHUNK.size <= start):
        size = there  # who wrote into a pipe, or crashed, never went back to tell the length
    if size > there:
        second = max(audio.channels * audio.sample_rate * audio.bits // 8, 1)
        raise _cut_off(path, f"{there / second:.2f} s of {size / second:.2f} s are there")
    return memoryview(data)[start : start + size]


def _cut_off(path: str | Path, why: str) -> BadInput:
    return BadInput(f"{path} is cut off: {why}", f"ffmpeg -i {path} -c:a pcm_s16le repaired.wav")


def _to_int16(sound: memoryview, audio: _Format, path: str | Path) -> Samples:
    width = audio.bits // 8
    if not audio.channels or not audio.sample_rate or (audio.tag, audio.bits) not in _READERS:
        raise BadInput(
            f"{path}: {audio.channels} channels of {audio.bits} bits at {audio.sample_rate} Hz in "
            f"WAV format {audio.tag} cannot be read",
            f"ffmpeg -i {path} -c:a pcm_s16le new.wav",
        )
    whole = len(sound) // (width * audio.channels) * width * audio.channels
    return _READERS[audio.tag, audio.bits](sound[:whole]).reshape(-1, audio.channels)


def _from_8(sound: memoryview) -> Samples:
    """8 bits are unsigned, alone among the widths."""
    return (np.frombuffer(sound, np.uint8).astype(np.int16) - np.int16(128)) * np.int16(256)


def _from_16(sound: memoryview) -> Samples:
    return np.frombuffer(sound, "<i2").astype(np.int16)


def _from_24(sound: memoryview) -> Samples:
    octets = np.frombuffer(sound, np.uint8).reshape(-1, 3).astype(np.int64)
    values = octets[:, 0] | octets[:, 1] << 8 | octets[:, 2] << 16
    return _round(np.where(values < 1 << 23, values, values - (1 << 24)), 8)


def _from_32(sound: memoryview) -> Samples:
    return _round(np.frombuffer(sound, "<i4").astype(np.int64), 16)


def _from_float(sound: memoryview) -> Samples:
    """Full scale is 1.0; what is louder is cut, what is no number is silence."""
    scaled = np.nan_to_num(np.frombuffer(sound, "<f4").astype(np.float64) * 32768, posinf=32767)
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def _round(values: npt.NDArray[np.int64], bits: int) -> Samples:
    """Drop the lowest `bits`, to the nearest int16."""
    nearest = (values + (1 << (bits - 1))) >> bits
    rounded: Samples = np.minimum(nearest, 32767).astype(np.int16)
    return rounded


_READERS: Final = {
    (PCM, 8): _from_8,
    (PCM, 16): _from_16,
    (PCM, 24): _from_24,
    (PCM, 32): _from_32,
    (FLOAT, 32): _from_float,
}


class WavWriter:
    """Writes sound to a WAV file of 16 bits as it comes.

    The file is valid from the first moment and after every `flush`, which `write` does once for
    each second of sound; Ctrl-C, a crash or a power cut costs at most the last second.
    """

    def __init__(self, path: str | Path, sample_rate: int, channels: int) -> None:
        self.path = Path(path)
        self.sample_rate = sample_rate
        self.channels = channels
        self.samples = 0
        """Samples of each channel written so far."""
        self._unflushed = 0
        try:
            self._file = self.path.open("wb")
            try:
                self.flush()
            except OSError:  # a full disk shows only now
                self._file.close()
                raise
        except OSError as error:
            raise BadInput(
                f"cannot write {path}: {error.strerror}", "another folder, one that exists"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, samples: Samples) -> None:
        """Append samples of shape (any number, channels)."""
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise LocalProtocolError(
                f"sound of shape {samples.shape}; this file takes (samples, {self.channels})"
            )
        if (self.samples + len(samples)) * 2 * self.channels > MAX_DATA:
            raise BadInput(f"{self.path} is full: a WAV file ends at 4 GB", "begin a new file")
        self._file.write(samples.astype("<i2", copy=False).tobytes())
        self.samples += len(samples)
        self._unflushed += len(samples)
        if self._unflushed >= self.sample_rate:
            self.flush()

    def flush(self) -> None:
        """Bring the file and its header up to date."""
        # Samples first, then the lengths: a header never tells of sound that is not there yet.
        self._file.flush()
        self._file.seek(0)
        self._file.write(self._header())
        self._file.flush()
        self._file.seek(0, 2)
        self._unflushed = 0

    def close(self) -> None:
        """Finish the file. Twice does no harm."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def _header(self) -> bytes:
        block = 2 * self.channels
        size = self.samples * block
        return HEADER.pack(
            *(b"RIFF", HEADER.size - 8 + size, b"WAVE"),
            *(b"fmt ", FORMAT.size, PCM, self.channels),
            *(self.sample_rate, self.sample_rate * block, block, 16),
            *(b"data", size),
        )


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """The same sound at another sample rate, by soxr's high-quality filter."""
    if from_rate == to_rate:
        return samples
    import soxr

    converted: Samples = soxr.resample(samples, from_rate, to_rate)
    return converted
