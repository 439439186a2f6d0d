"""What the bytes of a payload mean: encoding, clock rate, channels.

An `AudioFormat` is what SDP's `a=rtpmap` and `a=fmtp` lines say (RFC 8866 section 6.6), as a
value. The wire floor writes it down, the codec floor makes encoders and decoders from it.

Samples are `int16` numpy arrays of shape `(samples, channels)` everywhere in `labkit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
"""Sound: shape (samples, channels), int16."""

PT_OPUS: Final = 111
"""Our dynamic payload type for Opus; the one browsers use."""
PT_L16: Final = 96
"""Our dynamic payload type for uncompressed sound at 48 kHz, one channel."""
PT_L16_STEREO: Final = 97


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One line of the table that SDP carries.

    `clock_rate` is how fast timestamps run, which for Opus is 48000 whatever it was made from
    (RFC 7587 section 4.1), and for G.722 is 8000 by a historic mistake (RFC 3551 section 4.5.2).
    `ptime` is the length of sound in one packet, in milliseconds.
    """

    encoding: str
    clock_rate: int
    channels: int
    payload_type: int
    ptime: float = 20
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return (
            f"{self.encoding}/{self.clock_rate}/{self.channels} (payload type {self.payload_type})"
        )
