"""How frames of sound travel on a QUIC connection, and how they are found again (week 10).

    DATAGRAMS   a DATAGRAM frame each (RFC 9221): lost is lost, nothing waits for anything
    STREAM      all on one stream: lost is sent again, and all that follows waits for it
    STREAMS     a unidirectional stream each (RFC 9000 section 2): lost is sent again, and only
                the frame that was lost is late

A frame is the same in all three, header and payload as in `labkit.wire.framing`, so a listener
takes whatever comes and need not be told.

The congestion window (RFC 9002), pacing or the peer's flow control can hold back what was handed
to the connection, and nothing can be taken back from there. So no more is handed over than leaves
at once: the rest waits in a `SendQueue`, where `Limits.drop` says which go when it is full. Over
STREAMS a frame that is not confirmed after `STALE` is reset (RFC 9000 section 3.1) instead of being
sent again for ever, and so is the oldest when too many are open; these are counted in `abandoned`.

This module knows no conversation: who may send when is the session's affair.
"""

from collections import deque
from enum import Enum
from functools import lru_cache
from typing import Final

from labkit.core.flowcontrol import SendQueue
from labkit.endpoints.quicconnection import Connection
from labkit.wire.framing import HEADER, FrameDecoder, Kind, pack, unpack
from labkit.words.errors import LocalProtocolError, Malformed
from labkit.words.packet import Packet
from labkit.words.units import seconds

STALE: Final = seconds(2)
"""A frame that is not confirmed after so long is not sent again: nobody would wait for it."""
STALE_CODE: Final = 0x10
"""The reason that a reset carries (RFC 9000 section 19.4): the frame is too old."""
OVERHEAD: Final = 48
"""Bytes of a packet that no DATAGRAM can have: short header with the longest connection ID, packet
number, frame type, length and tag (RFC 9000 section 17.3.1, RFC 9221 section 4)."""
DECODERS: Final = 64
"""Streams of sound that may be unfinished at a time; one more is refused."""

_pack_once: Final = lru_cache(maxsize=8)(pack)
"""The listeners of one voice get the same packet one after the other: packed for the first."""


class Carriage(Enum):
    """How frames of sound travel."""

    DATAGRAMS = "datagrams"
    STREAM = "stream"
    STREAMS = "streams"


class Outgoing:
    """The way out: frames that wait, and streams that are open."""

    def __init__(self, connection: Connection, carriage: Carriage, queue: SendQueue[bytes]) -> None:
        self.carriage = carriage
        self.abandoned = 0
        """Frames on streams of their own that were given up after they had been handed over."""
        self._queue = queue
        self._connection = connection
        self._stream: int | None = None
        self._open: deque[tuple[int, int]] = deque()  # streams of one frame, and since when

    def put(self, packet: Packet, now: int) -> None:
        """Queue a packet. `LocalProtocolError` when it can never leave as a datagram."""
        frame = _pack_once(packet)
        if self.carriage is Carriage.DATAGRAMS and len(frame) > self.room:
            raise LocalProtocolError(
                f"a packet of {len(packet.payload)} bytes; a QUIC datagram takes "
                f"{self.room - HEADER.size}: send shorter frames, or over a stream"
            )
        self._queue.put(frame, now, key_point=packet.marker)

    @property
    def room(self) -> int:
        """Bytes of a frame that fit into one DATAGRAM."""
        largest = self._connection.configuration.max_datagram_size
        return min(largest - OVERHEAD, self._connection.peer_takes_datagrams)

    def hand_over(self, now: int) -> bool:
        """Give the connection the next frame if the last one has left. False: not now, or none.

        A stream that is too old is given up, which is also something to send.
        """
        if self._expire(now):
            return True
        if not self._queue or self._connection.unsent:
            return False
        frame = self._queue.get()
        assert frame is not None
        match self.carriage:
            case Carriage.DATAGRAMS:
                self._connection.send_datagram_frame(frame)
            case Carriage.STREAM:
                if self._stream is None:
                    self._stream = self._next_stream()
                self._connection.send_stream_data(self._stream, frame)
            case Carriage.STREAMS:
                stream = self._next_stream()
                self._open.append((stream, now))
                self._connection.send_stream_data(stream, frame, end_stream=True)
        return True

    def _expire(self, now: int) -> bool:
        """Give up streams whose frame is too old, or that are too many; whether there were any."""
        before = self.abandoned
        while self._open:
            stream, since = self._open[0]
            if now < since + STALE and len(self._open) <= self._queue.limit:
                break
            self._open.popleft()
            if self._connection.is_open(stream):
                self._connection.reset_stream(stream, STALE_CODE)
                self.abandoned += 1
        return self.abandoned > before

    def _next_stream(self) -> int:
        return self._connection.get_next_available_stream_id(is_unidirectional=True)


class Incoming:
    """The way in: frames out of datagrams and streams, however they came."""

    def __init__(self) -> None:
        self._decoders: dict[int, FrameDecoder] = {}

    def datagram(self, data: bytes) -> Packet:
        """The packet in one DATAGRAM. `WireError` when it is none."""
        return _media(*unpack(data))

    def stream(self, number: int, data: bytes, *, end: bool) -> list[Packet]:
        """The packets that these bytes complete. `WireError` when they are none."""
        decoder = self._decoders.get(number)
        if decoder is None:
            if len(self._decoders) >= DECODERS:
                raise Malformed("stream", 0, f"more than {DECODERS} unfinished streams", "labkit")
            decoder = self._decoders[number] = FrameDecoder()
        packets = [_media(*frame) for frame in decoder.receive(data)]
        if end:
            del self._decoders[number]
            decoder.receive_eof()
        return packets

    def reset(self, number: int) -> None:
        """The peer gave this stream up."""
        self._decoders.pop(number, None)


def _media(kind: Kind, packet: Packet) -> Packet:
    if kind is not Kind.MEDIA:
        raise Malformed("kind", 1, f"{kind.name} where sound belongs", "labkit frame")
    return packet
