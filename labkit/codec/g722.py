"""Wideband telephone sound: G.722 at 64 kbit/s through FFmpeg's codec, which PyAV carries.

Sound of 16 000 samples a second is split into a low and a high band, and each is coded as
differences: two samples become one byte (ITU-T G.722).

The RTP clock runs at 8000, half the sampling rate: RFC 1890 said so by mistake, and RFC 3551
section 4.5.2 keeps it, because everybody had followed. So a byte is one tick.

Differences need all that came before them: after a lost payload the decoder is off for a moment,
and finds back by itself. This module knows no packets.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np

from labkit.codec.pcm import FadeOut, check_frame, check_samples
from labkit.words.errors import BadInput, MissingCapability, Truncated
from labkit.words.format import AudioFormat, Samples
from labkit.words.units import FRAME_MS

RATE: Final = 16_000
CLOCK_RATE: Final = 8_000
"""RFC 3551 section 4.5.2."""
PT_G722: Final = 9
LOOKAHEAD: Final = 22
"""Samples by which the two filters that split and join the bands delay the sound."""


@dataclass(frozen=True)
class G722:
    """G.722 at 64 kbit/s: one channel, `frame_ms` milliseconds a payload."""

    frame_ms: float = FRAME_MS

    def __post_init__(self) -> None:
        check_frame(CLOCK_RATE, 1, self.frame_ms)

    @property
    def format(self) -> AudioFormat:
        """G722/8000, payload type 9: RFC 3551 table 4."""
        return AudioFormat("G722", CLOCK_RATE, 1, PT_G722, self.frame_ms)

    @property
    def sample_rate(self) -> int:
        """16000, twice the clock rate."""
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
        """22 samples, 1.4 ms."""
        return LOOKAHEAD

    def encoder(self) -> "G722Encoder":
        """A fresh encoder. `MissingCapability` when there is no PyAV."""
        return G722Encoder(self.frame_samples)

    def decoder(self) -> "G722Decoder":
        """A fresh decoder. `MissingCapability` when there is no PyAV."""
        return G722Decoder()

    def duration(self, payload: bytes) -> int:
        """Ticks of the 8000 Hz clock in `payload`, one a byte. `WireError` if there are none."""
        if not payload:
            raise Truncated("payload", 0, "is empty", "RFC 3551 section 4.5.2")
        return len(payload)


class G722Encoder:
    """Frames to payloads."""

    def __init__(self, frame_samples: int) -> None:
        self._av = _pyav()
        self._samples = frame_samples
        self._context = _context(self._av, "w")
        self._context.format = "s16"
        self._context.options = {"frame_size": str(frame_samples)}
        self._context.open()

    def encode(self, samples: Samples) -> bytes:
        """One frame to one payload. `BadInput` when shape or type is another."""
        check_samples(samples, 1)
        if len(samples) != self._samples:
            raise BadInput(f"{len(samples)} samples are no frame", f"{self._samples} of them")
        plane = np.ascontiguousarray(samples.T)
        frame = self._av.AudioFrame.from_ndarray(plane, format="s16", layout="mono")
        frame.sample_rate = RATE
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


class G722Decoder:
    """Payloads to samples."""

    def __init__(self) -> None:
        self._av = _pyav()
        self._context = _context(self._av, "r")
        self._gap = FadeOut(1, RATE)

    def decode(self, payload: bytes) -> Samples:
        """Sound of one payload of any length, two samples a byte. `WireError` if it is empty."""
        if not payload:
            raise Truncated("payload", 0, "is empty", "RFC 3551 section 4.5.2")
        frames = self._context.decode(self._av.Packet(payload))
        samples: Samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T
        self._gap.heard(samples)
        return samples

    def recover(self, following: bytes) -> Samples | None:
        """Always None: a payload says nothing about the one before it."""
        return None

    def conceal(self, samples: int) -> Samples:
        """Silence, reached from the last sample in 5 ms so that it does not click."""
        return self._gap.conceal(samples)


def _context(av: ModuleType, mode: str) -> Any:
    context = av.CodecContext.create("g722", mode)
    context.sample_rate = RATE
    context.layout = "mono"
    return context


def _pyav() -> ModuleType:
    """PyAV, imported when it is first needed: it takes a tenth of a second."""
    try:
        import av
    except ImportError as error:
        raise MissingCapability("G.722 needs PyAV", "pip install av") from error
    module: ModuleType = av
    return module
