"""Opus (RFC 6716) through libopus, with the settings that a call over a bad network needs.

    Opus(32_000, fec=True).encoder().encode(frame)      one frame of samples to one payload

What can be set, and what it does on the wire:

- `bitrate` is an average: libopus varies the size of a payload with the sound (constrained VBR)
- `fec` puts a coarse copy of each frame into the next payload (section 2.1.7), as much of it as
  `expected_loss` makes worth while; below some 20 kbit/s there is no room and nothing is added
- `dtx` sends nothing in a pause but one update of the noise every 400 ms (section 2.1.9)

In SDP a payload is described as RFC 7587 says. This module knows no packets, no clock and no
network, and what a payload's first byte means is written in `labkit.wire.opus_toc`.
"""

import ctypes
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from labkit.codec.libopus import libopus_path, libopus_version, load
from labkit.wire import opus_toc
from labkit.words.errors import BadInput, Malformed, WireError
from labkit.words.format import PT_OPUS, AudioFormat, Samples
from labkit.words.units import FRAME_MS, SAMPLE_RATE

__all__ = ["Opus", "OpusDecoder", "OpusEncoder", "libopus_path", "libopus_version"]

SAMPLE_RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
FRAME_LENGTHS: Final = (2.5, 5, 10, 20, 40, 60)
APPLICATIONS: Final = MappingProxyType({"voip": 2048, "audio": 2049, "lowdelay": 2051})
"""libopus's numbers: tuned for speech, for music, or for the shortest delay without SILK."""
BITRATES: Final = range(6_000, 510_001)
"""RFC 7587 section 6.1."""
PAYLOAD_SIZES: Final = range(32, 4_001)
"""At most what libopus's documentation advises for a buffer."""

CLOCK_RATE: Final = 48_000
"""Of timestamps and in SDP, whatever rate the sound has (RFC 7587 section 4.1)."""

_LONGEST_MS: Final = 120
_DTX_SIZE: Final = 2
"""Payloads of two bytes or fewer need not be sent, says libopus's documentation of DTX."""


@dataclass(frozen=True)
class Opus:
    """Settings of an Opus stream. `BadInput`, with the legal values, for any that is illegal.

    `bitrate` is in bits a second, `frame_ms` 2.5 to 60, `expected_loss` in percent (None: 10 with
    FEC, else 0), `max_payload` in bytes, `sample_rate` of the sound given and returned; the clock
    of timestamps is 48000 whatever it is.
    """

    bitrate: int = 32_000
    _: KW_ONLY
    frame_ms: float = FRAME_MS
    channels: int = 1
    complexity: int = 10
    fec: bool = False
    expected_loss: int | None = None
    dtx: bool = False
    application: str = "voip"
    max_payload: int = 1200
    sample_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        _check("a bitrate", self.bitrate, BITRATES)
        _check("a frame length in ms", self.frame_ms, FRAME_LENGTHS)
        _check("a number of channels", self.channels, range(1, 3))
        _check("a complexity", self.complexity, range(11))
        _check("an application", self.application, tuple(APPLICATIONS))
        _check("a largest payload", self.max_payload, PAYLOAD_SIZES)
        _check("a sample rate", self.sample_rate, SAMPLE_RATES)
        if self.expected_loss is not None:
            _check("an expected loss in percent", self.expected_loss, range(101))

    @property
    def format(self) -> AudioFormat:
        """`opus/48000/2`, always (RFC 7587 section 7), with what differs from the defaults."""
        parameters = {"maxaveragebitrate": str(self.bitrate)}
        if self.channels == 2:
            parameters |= {"stereo": "1", "sprop-stereo": "1"}
        if self.fec:
            parameters["useinbandfec"] = "1"
        if self.dtx:
            parameters["usedtx"] = "1"
        shown = MappingProxyType(parameters)
        return AudioFormat("opus", CLOCK_RATE, 2, PT_OPUS, self.frame_ms, shown)

    @property
    def frame_samples(self) -> int:
        """Samples of each channel in one frame."""
        return round(self.sample_rate * self.frame_ms / 1000)

    @property
    def has_plc(self) -> bool:
        """True: libopus continues the sound, and fades it in a long gap."""
        return True

    @property
    def lookahead(self) -> int:
        """6.5 ms, or 2.5 ms for `lowdelay`: what libopus's OPUS_GET_LOOKAHEAD answers."""
        overlap, compensation = self.sample_rate // 400, self.sample_rate // 250
        return overlap + (0 if self.application == "lowdelay" else compensation)

    def encoder(self) -> "OpusEncoder":
        """A fresh encoder. `MissingCapability` when there is no libopus."""
        return OpusEncoder(self)

    def decoder(self) -> "OpusDecoder":
        """A fresh decoder. `MissingCapability` when there is no libopus."""
        return OpusDecoder(self.channels, self.sample_rate)

    def duration(self, payload: bytes) -> int:
        """How long the payload lasts, in 1/48000 s. `WireError` if it is no Opus."""
        return opus_toc.duration(payload)


class OpusEncoder:
    """Frames to payloads. `bitrate` and `expected_loss` may be changed between two frames."""

    def __init__(self, settings: Opus) -> None:
        lib = load()
        self._ctl, self._requests = lib.encoder_ctl, lib.ctl
        self._state = _state(lib.encoder_size(settings.channels))
        application = APPLICATIONS[settings.application]
        error = lib.encoder_init(self._state, settings.sample_rate, settings.channels, application)
        assert error == 0, error
        self._prepare_buffers(settings, lib.encode)
        self._requests.set_complexity(self._ctl, self._state, int(settings.complexity))
        self._requests.set_inband_fec(self._ctl, self._state, int(settings.fec))
        self._requests.set_dtx(self._ctl, self._state, int(settings.dtx))
        self._unsent = _DTX_SIZE if settings.dtx else 0
        self.bitrate = settings.bitrate
        loss = settings.expected_loss
        self.expected_loss = (10 if settings.fec else 0) if loss is None else loss

    def _prepare_buffers(self, settings: Opus, encode: Any) -> None:
        """The memory that libopus reads from and writes to, made once."""
        self._pcm = np.empty((settings.frame_samples, settings.channels), np.int16)
        self._out = np.empty(settings.max_payload, np.uint8)
        pcm, out = ctypes.c_void_p(self._pcm.ctypes.data), ctypes.c_void_p(self._out.ctypes.data)
        self._encode = encode
        self._arguments = (self._state, pcm, settings.frame_samples, out, settings.max_payload)

    def encode(self, samples: Samples) -> bytes:
        """One frame to one payload; empty when DTX says that nothing needs to be sent.

        `samples`: int16 of shape (frame_samples, channels); `BadInput` for anything else.
        """
        if samples.shape != self._pcm.shape or samples.dtype != np.int16:
            raise BadInput(
                f"{samples.dtype} of shape {samples.shape} is no frame for this encoder",
                f"int16 of shape {self._pcm.shape}",
            )
        self._pcm[:] = samples
        size = self._encode(*self._arguments)
        assert size > 0, size
        return b"" if size <= self._unsent else self._out[:size].tobytes()

    @property
    def bitrate(self) -> int:
        """Bits a second on average, 6000 to 510000."""
        return int(self._requests.get_bitrate(self._ctl, self._state))

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        _check("a bitrate", value, BITRATES)
        self._requests.set_bitrate(self._ctl, self._state, int(value))

    @property
    def expected_loss(self) -> int:
        """Percent of packets that the encoder expects to be lost."""
        return int(self._requests.get_packet_loss_perc(self._ctl, self._state))

    @expected_loss.setter
    def expected_loss(self, value: int) -> None:
        _check("an expected loss in percent", value, range(101))
        self._requests.set_packet_loss_perc(self._ctl, self._state, int(value))

    @property
    def final_range(self) -> int:
        """State of the range coder after the last frame: encoder and decoder must agree."""
        return int(self._requests.get_final_range(self._ctl, self._state))


class OpusDecoder:
    """Payloads to sound. It reads any Opus, whatever the sender's settings were."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        lib = load()
        self._ctl, self._requests, self._decode = lib.decoder_ctl, lib.ctl, lib.decode
        self._state = _state(lib.decoder_size(channels))
        error = lib.decoder_init(self._state, sample_rate, channels)
        assert error == 0, error
        self._rate = sample_rate
        self._longest = sample_rate * _LONGEST_MS // 1000
        self._pcm = np.empty((self._longest, channels), np.int16)
        self._out = ctypes.c_void_p(self._pcm.ctypes.data)

    def decode(self, payload: bytes) -> Samples:
        """Sound of one payload, 2.5 to 120 ms. `WireError` if it is no Opus; state is kept."""
        size = len(payload)
        count = self._decode(self._state, payload, size, self._out, self._longest, 0) if size else 0
        if count <= 0:
            raise _unreadable(payload)
        return self._pcm[:count].copy()

    def recover(self, following: bytes) -> Samples | None:
        """Sound of the lost frame before `following`, as long as `following`; None without FEC.

        `WireError` if `following` is no Opus; state is kept.
        """
        if not opus_toc.has_fec(following):
            return None
        count = opus_toc.duration(following) * self._rate // CLOCK_RATE
        count = self._decode(self._state, following, len(following), self._out, count, 1)
        if count <= 0:
            raise _unreadable(following)
        return self._pcm[:count].copy()

    def conceal(self, samples: int) -> Samples:
        """`samples` of sound that libopus makes up from what came before (PLC).

        It conceals in steps of 2.5 ms: for any other length the decoder moves on by whole steps
        and the end of the last is cut off.
        """
        step = self._rate // 400
        steps = -(-samples // step)
        sound = np.empty((steps * step, self._pcm.shape[1]), np.int16)
        for start in range(0, len(sound), self._longest):
            count = min(self._longest, len(sound) - start)
            made = self._decode(self._state, None, 0, self._out, count, 0)
            assert made == count, made
            sound[start : start + count] = self._pcm[:count]
        return sound[:samples]

    @property
    def final_range(self) -> int:
        """State of the range coder after the last payload: encoder and decoder must agree."""
        return int(self._requests.get_final_range(self._ctl, self._state))


def _unreadable(payload: bytes) -> WireError:
    """The error for a payload that libopus refuses: the rule that it breaks."""
    try:
        opus_toc.split(payload)
    except WireError as error:
        return error
    why = f"libopus refuses these {len(payload)} bytes"
    return Malformed("payload", 0, why, "RFC 6716 section 4")


def _state(size: int) -> ctypes.Array[ctypes.c_char]:
    """Zeroed memory for a state; Python frees it."""
    return ctypes.create_string_buffer(size)


def _check(name: str, value: object, legal: range | tuple[object, ...]) -> None:
    """`BadInput` unless `value` is one of `legal`."""
    if isinstance(legal, range):
        if isinstance(value, Integral) and value in legal:
            return
        remedy = f"a whole number from {legal.start} to {legal.stop - 1}"
    else:
        if value in legal:
            return
        remedy = "one of " + ", ".join(map(str, legal))
    raise BadInput(f"{value!r} as {name}", remedy)
