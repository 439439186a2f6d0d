"""A codec without sound, for experiments where only the fate of packets matters.

Every frame becomes the same payload of zeros and every payload the same silent frame, so a sweep
over a thousand calls costs nothing but the protocol. Its bytes mean nothing to anybody else: no
specification describes it.

This module does not look at the sound it is given.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from labkit.codec.pcm import check_frame
from labkit.words.errors import BadInput
from labkit.words.format import AudioFormat, Samples
from labkit.words.units import FRAME_MS, NS_PER_S, SAMPLE_RATE, bitrate, ms

PT_BLANK: Final = 99
"""A dynamic payload type that we use for nothing else."""


@dataclass(frozen=True)
class Blank:
    """Payloads of `size` bytes every `frame_ms`; 80 bytes every 20 ms are 32 kbit/s."""

    size: int = 80
    frame_ms: float = FRAME_MS

    def __post_init__(self) -> None:
        check_frame(SAMPLE_RATE, 1, self.frame_ms)
        if self.size < 1:
            raise BadInput(f"a payload of {self.size} bytes", "1 or more")

    @property
    def format(self) -> AudioFormat:
        """`x-blank`, which no peer but ourselves knows."""
        return AudioFormat("x-blank", SAMPLE_RATE, 1, PT_BLANK, self.frame_ms)

    @property
    def sample_rate(self) -> int:
        """48000."""
        return SAMPLE_RATE

    @property
    def channels(self) -> int:
        """1."""
        return 1

    @property
    def frame_samples(self) -> int:
        """Samples in one frame."""
        return round(SAMPLE_RATE * self.frame_ms / 1000)

    @property
    def has_plc(self) -> bool:
        """True: silence goes on perfectly."""
        return True

    @property
    def lookahead(self) -> int:
        """0: every sample is coded by itself."""
        return 0

    def encoder(self) -> "BlankEncoder":
        """An encoder that hands out one payload for ever."""
        return BlankEncoder(self.size, self.frame_ms)

    def decoder(self) -> "BlankDecoder":
        """A decoder that hands out one silent frame for ever."""
        return BlankDecoder(self.frame_samples)

    def duration(self, payload: bytes) -> int:
        """One frame, whatever the payload."""
        return self.frame_samples


class BlankEncoder:
    """Anything to the same zeros, whose number may be changed between two frames."""

    def __init__(self, size: int, frame_ms: float = FRAME_MS) -> None:
        self._payload = bytes(size)
        self._frame = ms(frame_ms)

    @property
    def bitrate(self) -> int:
        """Bits a second, as of an Opus encoder, but exactly so many."""
        return int(bitrate(len(self._payload), self._frame))

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        self._payload = bytes(max(value * self._frame // (8 * NS_PER_S), 1))

    def encode(self, samples: Samples) -> bytes:
        """The one payload."""
        return self._payload


class BlankDecoder:
    """Anything to the same silence: one array that is shared and cannot be written to."""

    def __init__(self, frame_samples: int) -> None:
        self._silence = np.zeros((frame_samples, 1), np.int16)
        self._silence.flags.writeable = False

    def decode(self, payload: bytes) -> Samples:
        """The one silent frame."""
        return self._silence

    def recover(self, following: bytes) -> Samples | None:
        """Always None."""
        return None

    def conceal(self, samples: int) -> Samples:
        """Silence of the asked length."""
        if samples == len(self._silence):
            return self._silence
        return np.zeros((samples, 1), np.int16)
