"""One packet of sound, as a value.

RTP's fields are the superset of what our own headers carry, so every header of the course is a
pair of functions over this one value, and what is written for one week runs in the next. When a
packet arrived is no field of it: two receivers of the same packet would disagree. Arrival is the
`now` that is passed with it.

This module knows neither bytes nor clocks: `labkit.wire` has the headers.
"""

from typing import NamedTuple


class Packet(NamedTuple):
    """A piece of encoded sound with its place in the stream (RFC 3550 section 5.1).

    A tuple rather than a dataclass: one is made for every datagram, and a tuple takes a third of
    the time.
    """

    seq: int
    """Sequence number, 16 bits, one more for each packet sent."""
    timestamp: int
    """Media time of the first sample, 32 bits, in ticks of the codec's clock."""
    payload: bytes
    """What the codec made of the samples."""
    marker: bool = False
    """First packet after a silence (RFC 3551 section 4.1)."""
    payload_type: int = 0
    """Which codec, 7 bits; SDP says what a number means."""
    ssrc: int = 0
    """Synchronisation source, 32 bits: whose stream this is."""

    def __str__(self) -> str:
        mark = " M" if self.marker else ""
        head = self.payload[:4].hex(" ")
        more = " …" if len(self.payload) > 4 else ""
        return (
            f"#{self.seq} ts={self.timestamp} pt={self.payload_type}{mark} "
            f"[{len(self.payload)} bytes: {head}{more}]"
        )
