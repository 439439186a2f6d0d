"""What every codec looks like from outside.

A codec is a value with settings, `Opus(32_000, fec=True)`, which makes encoders and decoders;
those have state, one for each stream. Sound in and out is int16 of shape (samples, channels).
This module knows no particular codec, no packets and no network.
"""

from typing import Protocol

from labkit.words.format import AudioFormat, Samples


class Encoder(Protocol):
    """Sound to payloads; one for each stream."""

    def encode(self, samples: Samples) -> bytes:
        """One frame to one payload. Empty bytes: nothing needs to be sent (DTX)."""


class Decoder(Protocol):
    """Payloads to sound; one for each stream. Every method moves the decoder one frame on."""

    def decode(self, payload: bytes) -> Samples:
        """Sound of one payload. `WireError` when the codec cannot read it; state is kept."""

    def recover(self, following: bytes) -> Samples | None:
        """Sound of the lost frame before `following`, from FEC in it; None if it carries none."""

    def conceal(self, samples: int) -> Samples:
        """`samples` of sound to put where a frame is missing (PLC)."""


class Codec(Protocol):
    """Settings, and the two halves made from them."""

    @property
    def format(self) -> AudioFormat:
        """What SDP says of it."""

    @property
    def sample_rate(self) -> int:
        """Samples a second that the encoder takes and the decoder gives."""

    @property
    def channels(self) -> int:
        """1 or 2."""

    @property
    def frame_samples(self) -> int:
        """Samples of each channel in one frame that `encode` takes."""

    @property
    def has_plc(self) -> bool:
        """Whether `Decoder.conceal` continues the sound, or only fades to silence."""

    @property
    def lookahead(self) -> int:
        """Samples by which decoded sound lags behind what was encoded."""

    def encoder(self) -> Encoder:
        """A fresh encoder. `MissingCapability` when its library is not here."""

    def decoder(self) -> Decoder:
        """A fresh decoder."""

    def duration(self, payload: bytes) -> int:
        """How many ticks of `format.clock_rate` this payload lasts. `WireError` if unreadable."""
