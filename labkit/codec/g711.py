"""Telephone sound: µ-law and A-law, 8000 samples a second of 8 bits (ITU-T G.711).

RFC 3551 section 4.5.14 gives them names and payload types: PCMU is 0, PCMA is 8.

    +-+-+-+-+-+-+-+-+
    |s| segment | step |    s: sign; a segment doubles the size of the one below,
    +-+-+-+-+-+-+-+-+       and has 16 equal steps

On the line µ-law has all bits inverted and A-law every second one. Loud sound is coded coarsely
and soft sound finely, so that the noise stays some 38 dB below either.

There are only 256 codes and 65536 samples: both directions are one look-up in a table. This
module knows no packets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.codec.pcm import FadeOut, check_frame, check_samples
from labkit.words.errors import Truncated
from labkit.words.format import AudioFormat, Samples
from labkit.words.units import FRAME_MS

RATE: Final = 8_000
_MU_BIAS: Final = 33
"""Added to the magnitude so that every segment begins at a power of two."""
_MU_CLIP: Final = 8_158
"""The largest magnitude of µ-law, in 14 bits with the sign."""

Integers = npt.NDArray[np.int64]


class _Law(NamedTuple):
    encoding: str
    payload_type: int
    compress: Callable[[Integers], Integers]
    expand: Callable[[Integers], Integers]


def _mu_compress(samples: Integers) -> Integers:
    """Samples of 16 bits to µ-law codes."""
    magnitude = np.minimum(np.abs(samples) >> 2, _MU_CLIP) + _MU_BIAS
    segment = _highest_bit(magnitude) - 5
    step = magnitude >> (segment + 1) & 15
    codes: Integers = ~((samples < 0) << 7 | segment << 4 | step) & 0xFF
    return codes


def _mu_expand(codes: Integers) -> Integers:
    """µ-law codes to samples of 16 bits: the middle of each step."""
    code = ~codes
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((step * 2 + _MU_BIAS << segment) - _MU_BIAS) << 2
    samples: Integers = np.where(code & 0x80, -magnitude, magnitude)
    return samples


def _a_compress(samples: Integers) -> Integers:
    """Samples of 16 bits to A-law codes. The lowest two segments have steps of one size."""
    magnitude = np.where(samples < 0, ~samples, samples) >> 4
    segment = np.maximum(_highest_bit(magnitude | 1) - 3, 0)
    step = magnitude >> np.maximum(segment - 1, 0) & 15
    codes: Integers = ((samples >= 0) << 7 | segment << 4 | step) ^ 0x55
    return codes


def _a_expand(codes: Integers) -> Integers:
    """A-law codes to samples of 16 bits: the middle of each step."""
    code = codes ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    first = np.where(segment > 0, 33, 1)
    magnitude = (step * 2 + first << np.maximum(segment - 1, 0)) << 3
    samples: Integers = np.where(code & 0x80, magnitude, -magnitude)
    return samples


def _highest_bit(numbers: Integers) -> Integers:
    """The place of the highest bit that is set, counted from 0."""
    places: Integers = np.frexp(numbers.astype(float))[1].astype(np.int64) - 1
    return places


@cache
def _tables(law: _Law) -> tuple[npt.NDArray[np.uint8], Samples]:
    """Codes by sample (taken as unsigned), and samples by code."""
    samples = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    return law.compress(samples).astype(np.uint8), law.expand(np.arange(256)).astype(np.int16)


@dataclass(frozen=True)
class _G711:
    """What both laws share: 8000 Hz, one channel, one byte a sample."""

    frame_ms: float = FRAME_MS
    _law: ClassVar[_Law]

    def __post_init__(self) -> None:
        check_frame(RATE, 1, self.frame_ms)

    @property
    def format(self) -> AudioFormat:
        """Encoding and static payload type of RFC 3551 table 4."""
        return AudioFormat(self._law.encoding, RATE, 1, self._law.payload_type, self.frame_ms)

    @property
    def sample_rate(self) -> int:
        """8000."""
        return RATE

    @property
    def channels(self) -> int:
        """1."""
        return 1

    @property
    def frame_samples(self) -> int:
        """Samples in one frame."""
        return round(RATE * self.frame_ms / 1000)

    @property
    def has_plc(self) -> bool:
        """False: the decoder only fades to silence."""
        return False

    @property
    def lookahead(self) -> int:
        """0: every sample is coded by itself."""
        return 0

    def encoder(self) -> "G711Encoder":
        """A fresh encoder; it keeps no state."""
        return G711Encoder(_tables(self._law)[0])

    def decoder(self) -> "G711Decoder":
        """A fresh decoder."""
        return G711Decoder(_tables(self._law)[1])

    def duration(self, payload: bytes) -> int:
        """Samples in `payload`, of any length. `WireError` if there are none."""
        return _size(payload)


class Pcmu(_G711):
    """µ-law, the telephone of North America and Japan: payload type 0."""

    _law = _Law("PCMU", 0, _mu_compress, _mu_expand)


class Pcma(_G711):
    """A-law, the telephone of everywhere else: payload type 8."""

    _law = _Law("PCMA", 8, _a_compress, _a_expand)


class G711Encoder:
    """Samples to codes, of any number of samples."""

    def __init__(self, codes: npt.NDArray[np.uint8]) -> None:
        self._codes = codes

    def encode(self, samples: Samples) -> bytes:
        """One byte a sample. `BadInput` when shape or type is another."""
        check_samples(samples, 1)
        return self._codes[samples.view(np.uint16)].tobytes()


class G711Decoder:
    """Codes to samples."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._gap = FadeOut(1, RATE)

    def decode(self, payload: bytes) -> Samples:
        """Sound of one payload of any length. `WireError` if it is empty."""
        _size(payload)
        samples = self._samples[np.frombuffer(payload, np.uint8)[:, np.newaxis]]
        self._gap.heard(samples)
        return samples

    def recover(self, following: bytes) -> Samples | None:
        """Always None: a payload says nothing about the one before it."""
        return None

    def conceal(self, samples: int) -> Samples:
        """Silence, reached from the last sample in 5 ms so that it does not click."""
        return self._gap.conceal(samples)


def _size(payload: bytes) -> int:
    if not payload:
        raise Truncated("payload", 0, "is empty", "RFC 3551 section 4.5.14")
    return len(payload)
