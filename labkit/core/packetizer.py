"""Payloads become packets that fit into a datagram (week 5).

A datagram that is larger than the path's MTU travels in fragments, and when one fragment is lost,
all of it is. So a packet carries at most `MAX_PAYLOAD` bytes. Uncompressed sound that is longer
is cut between two samples into several packets, each with the timestamp of its own first sample
(RFC 3550 section 5.1). What Opus and its like made of a frame cannot be cut: half of it is noise.

Sequence number and timestamp count different things: a packet moves the one by 1 and the other by
its samples, and a silence in which nothing is sent moves only the timestamp (RFC 3550 section
5.1). The first packet after such a silence carries the marker (RFC 3551 section 4.1).

This module knows no header, no clock and no randomness: where the numbers begin is given to it.
"""

from itertools import pairwise
from typing import Final

from labkit.words.errors import LocalProtocolError
from labkit.words.format import AudioFormat
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32

MAX_PAYLOAD: Final = 1200
"""Bytes of payload in one packet.

IPv6 promises every path 1280 bytes (RFC 8200 section 5). Take away 40 for IPv6, 8 for UDP and 12
for RTP, and 20 remain for a header extension or an authentication tag. QUIC starts from the same
1200 (RFC 9000 section 14).
"""

_BYTES_PER_TICK: Final = {"L8": 1, "L16": 2, "L24": 3, "PCMU": 1, "PCMA": 1, "G722": 1}
"""Bytes that one tick of one channel takes, for every encoding that can be cut after any tick.

Names and sizes: RFC 3551 section 4.5, RFC 3190 for L24. For G.722 it is the clock that is odd: it
runs at 8000 Hz though there are 16 000 samples a second (RFC 3551 section 4.5.2).
"""


def bytes_per_tick(audio: AudioFormat) -> int | None:
    """Bytes of payload for one tick of the clock, or None when a payload cannot be cut."""
    size = _BYTES_PER_TICK.get(audio.encoding.upper())
    return None if size is None else size * audio.channels


class Packetizer:
    """Makes the packets of one stream, with sequence numbers that have no gap.

    `first_seq` and `first_timestamp` are where the stream's numbers begin. RFC 3550 section 5.1
    wants both random, so that nobody can guess the plain text of an encrypted header. All
    timestamps given to `packetize` are counted from `first_timestamp`.
    """

    def __init__(
        self,
        audio: AudioFormat,
        *,
        limit: int = MAX_PAYLOAD,
        ssrc: int = 0,
        first_seq: int = 0,
        first_timestamp: int = 0,
    ) -> None:
        self.format = audio
        self.limit = limit
        self.ssrc = ssrc
        self.next_seq = first_seq
        """The sequence number of the next packet."""
        self._first_timestamp = first_timestamp
        self._tick = bytes_per_tick(audio)
        self._silent = False
        if self._tick is not None and limit < self._tick:
            raise LocalProtocolError(f"a limit of {limit} bytes holds no sample of {audio}")

    def packetize(self, payload: bytes, timestamp: int, *, marker: bool = False) -> list[Packet]:
        """The packets that carry `payload`, whose first sample is at `timestamp` ticks.

        An empty payload is a silence that is not sent (DTX): no packet, and the next one is
        marked. `LocalProtocolError` when the payload is too long and cannot be cut.
        """
        if not payload:
            self._silent = True
            return []
        pieces = self._cut(payload)
        marker = marker or self._silent
        self._silent = False
        packets = []
        for ticks, piece in pieces:
            packets.append(self._packet(piece, add32(timestamp, ticks), marker))
            marker = False
        return packets

    def _packet(self, payload: bytes, timestamp: int, marker: bool) -> Packet:
        seq = self.next_seq
        self.next_seq = add16(seq, 1)
        timestamp = add32(timestamp, self._first_timestamp)
        return Packet(seq, timestamp, payload, marker, self.format.payload_type, self.ssrc)

    def _cut(self, payload: bytes) -> list[tuple[int, bytes]]:
        """Pieces within the limit, each with the ticks before it."""
        if len(payload) <= self.limit:
            return [(0, payload)]
        if self._tick is None:
            raise LocalProtocolError(
                f"a frame of {len(payload)} bytes; a packet takes {self.limit}, and "
                f"{self.format.encoding} cannot be cut: lower the bitrate or the frame size"
            )
        ticks, rest = divmod(len(payload), self._tick)
        if rest:
            raise LocalProtocolError(
                f"{len(payload)} bytes are no whole number of samples of {self.format}"
            )
        # As few pieces as the limit allows, and as equal as can be: a receiver that takes the
        # length of one packet for the length of all is right, or wrong by one sample.
        count = -(-ticks // (self.limit // self._tick))
        starts = [ticks * piece // count for piece in range(count + 1)]
        return [
            (start, payload[start * self._tick : end * self._tick])
            for start, end in pairwise(starts)
        ]
