"""Uncompressed sound: L16, samples as they are, most significant byte first.

RFC 3551 section 4.5.11 says how: signed 16 bits, network byte order, channels interleaved.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------------------------------+-------------------------------+
    |         sample 0, left        |  sample 0, right (if stereo)  |  …
    +-------------------------------+-------------------------------+

One 20 ms frame at 48 kHz is 1920 bytes for each channel, more than fits into one datagram: the
packetizer cuts it. This module knows no packets and no limit of size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from labkit.words.errors import BadInput, Malformed, Truncated
from labkit.words.format import PT_L16, PT_L16_STEREO, AudioFormat, Samples
from labkit.words.units import FRAME_MS, SAMPLE_RATE

PT_L16_44K_STEREO: Final = 10
"""Assigned by RFC 3551 table 4."""
PT_L16_44K: Final = 11
"""Assigned by RFC 3551 table 4."""
PT_L16_OTHER: Final = 98
"""Our dynamic payload type for L16 at any other rate: only SDP says what it means."""

_PAYLOAD_TYPES: Final[Mapping[tuple[int, int], int]] = MappingProxyType(
    {
        (48_000, 1): PT_L16,
        (48_000, 2): PT_L16_STEREO,
        (44_100, 1): PT_L16_44K,
        (44_100, 2): PT_L16_44K_STEREO,
    }
)
_FADE_MS: Final = 5
_NETWORK: Final = np.dtype(">i2")


@dataclass(frozen=True)
class Pcm:
    """L16 at any sampling rate, one channel or two, `frame_ms` milliseconds a payload.

    Raises `BadInput` when a frame would not be a whole number of samples.
    """

    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    frame_ms: float = FRAME_MS

    def __post_init__(self) -> None:
        check_frame(self.sample_rate, self.channels, self.frame_ms)

    @property
    def format(self) -> AudioFormat:
        """L16; 96 or 97 at 48 kHz, 10 or 11 at 44.1 kHz, else the dynamic payload type 98."""
        payload_type = _PAYLOAD_TYPES.get((self.sample_rate, self.channels), PT_L16_OTHER)
        return AudioFormat("L16", self.sample_rate, self.channels, payload_type, self.frame_ms)

    @property
    def frame_samples(self) -> int:
        """Samples of each channel in one frame."""
        return round(self.sample_rate * self.frame_ms / 1000)

    @property
    def has_plc(self) -> bool:
        """False: the decoder only fades to silence."""
        return False

    @property
    def lookahead(self) -> int:
        """0: every sample is coded by itself."""
        return 0

    def encoder(self) -> "PcmEncoder":
        """A fresh encoder; it keeps no state."""
        return PcmEncoder(self.channels)

    def decoder(self) -> "PcmDecoder":
        """A fresh decoder."""
        return PcmDecoder(self.channels, self.sample_rate)

    def duration(self, payload: bytes) -> int:
        """Samples of each channel in `payload`, of any length. `WireError` if cut in a sample."""
        return whole_samples(payload, 2 * self.channels, "RFC 3551 section 4.5.11")


class PcmEncoder:
    """Samples to L16, of any number of samples."""

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def encode(self, samples: Samples) -> bytes:
        """The samples in network byte order. `BadInput` when shape or type is another."""
        check_samples(samples, self._channels)
        return samples.astype(_NETWORK).tobytes()


class PcmDecoder:
    """L16 to samples."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._gap = FadeOut(channels, sample_rate)

    def decode(self, payload: bytes) -> Samples:
        """Sound of one payload of any length. `WireError` if it is empty or cut in a sample."""
        whole_samples(payload, 2 * self._channels, "RFC 3551 section 4.5.11")
        samples = np.frombuffer(payload, _NETWORK).astype(np.int16).reshape(-1, self._channels)
        self._gap.heard(samples)
        return samples

    def recover(self, following: bytes) -> Samples | None:
        """Always None: a payload says nothing about the one before it."""
        return None

    def conceal(self, samples: int) -> Samples:
        """Silence, reached from the last sample in 5 ms so that it does not click.

        Better substitutes need the sound before the gap and live in `labkit.core.concealment`.
        """
        return self._gap.conceal(samples)


class FadeOut:
    """What a codec without concealment of its own plays in a gap: a short fade to silence."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._last = np.zeros((1, channels), np.int16)
        length = max(1, sample_rate * _FADE_MS // 1000)
        self._ramp = np.linspace(1, 0, length + 1, dtype=np.float32)[1:, np.newaxis]

    def heard(self, samples: Samples) -> None:
        """Remember where the wave stands."""
        self._last = samples[-1:]

    def conceal(self, samples: int) -> Samples:
        """`samples` of sound: the last value on its way to zero, then zeros."""
        gap = np.zeros((samples, self._last.shape[1]), np.int16)
        ramp = self._ramp[:samples]
        gap[: len(ramp)] = np.rint(self._last * ramp)
        self._last = np.zeros_like(self._last)
        return gap


def check_frame(sample_rate: int, channels: int, frame_ms: float) -> None:
    """`BadInput` unless there are 1 or 2 channels and a frame is a whole number of samples."""
    if channels not in (1, 2):
        raise BadInput(f"{channels} channels", "1 or 2")
    samples = sample_rate * frame_ms / 1000
    if samples < 1 or samples != round(samples):
        raise BadInput(
            f"a frame of {frame_ms} ms at {sample_rate} Hz is {samples} samples",
            "a length that is a whole number of samples, such as 20 ms",
        )


def check_samples(samples: Samples, channels: int) -> None:
    """`BadInput` unless `samples` is int16 of shape (samples, channels) with at least one."""
    if samples.dtype != np.int16 or samples.ndim != 2 or samples.shape[1] != channels:
        raise BadInput(
            f"{samples.dtype} of shape {samples.shape} is no sound for this encoder",
            f"int16 of shape (samples, {channels})",
        )
    if not len(samples):
        raise BadInput("there are no samples to encode", "at least one")


def whole_samples(payload: bytes, size: int, spec: str) -> int:
    """How many samples of `size` bytes `payload` holds. `WireError` if none, or if cut in one."""
    count, rest = divmod(len(payload), size)
    if not payload:
        raise Truncated("payload", 0, "is empty", spec)
    if rest:
        why = f"{len(payload)} bytes are not a multiple of {size}"
        raise Malformed("payload", count * size, why, spec)
    return count
