"""Our own frame header, which cuts a byte stream into packets (weeks 1 and 3).

TCP delivers bytes, not messages: what was written in three calls may be read in one, or in
thirty. So each frame says in its header how long it is. The header is our own; the reasoning
behind length-prefixed framing is that of RFC 1006 and of RFC 4571, which puts RTP on TCP.

Only sequence number, timestamp and payload travel; marker, payload type and SSRC of a `Packet`
do not, because one connection carries one stream whose format the DESCRIPTION frame has told.

This module knows no socket and no clock, and does not know what a payload means.
"""

import struct
from enum import IntEnum
from typing import Final

from labkit.words.errors import LocalProtocolError, Malformed, Truncated, WireError
from labkit.words.packet import Packet

VERSION: Final = 1

HEADER: Final = struct.Struct("!BBHII")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |    ver = 1    |     kind      |              seq              |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                              ts                               |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                              len                              |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                     payload (len bytes) ...
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

MAX_PAYLOAD: Final = 65_535
"""The longest payload, in bytes: a third of a second of stereo sound at 48 kHz.

Never trust a length field. Its 32 bits let a stranger announce four gigabytes, and a decoder that
waits for them keeps every byte that comes. RTP on TCP (RFC 4571) and TLS records (RFC 8446,
16 KB) have limits of the same order.
"""


class Kind(IntEnum):
    """What a frame is for. `minirtp` uses the same numbers."""

    MEDIA = 0
    """A piece of encoded sound."""
    HELLO = 1
    """A receiver asks for the stream."""
    DESCRIPTION = 2
    """The sender answers; the payload is SDP."""
    BYE = 3
    """The stream ends in order; nothing follows."""


KINDS: Final = tuple(Kind)
"""By number: quicker than to ask the Enum, once for each packet."""


def pack(packet: Packet, kind: Kind = Kind.MEDIA) -> bytes:
    """One frame. `LocalProtocolError` when a value does not fit its field."""
    size = len(packet.payload)
    if size > MAX_PAYLOAD:
        raise LocalProtocolError(f"a payload of {size} bytes; a frame takes {MAX_PAYLOAD}")
    try:
        header = HEADER.pack(VERSION, kind, packet.seq, packet.timestamp, size)
    except struct.error as error:
        raise LocalProtocolError(f"{packet} does not fit the frame header: {error}") from error
    return header + packet.payload


def unpack(data: bytes) -> tuple[Kind, Packet]:
    """The one frame that `data` is. `Truncated` when bytes are missing, `Malformed` when wrong."""
    if len(data) < HEADER.size:
        raise Truncated("header", 0, f"{len(data)} bytes of {HEADER.size}", "labkit frame")
    kind, seq, timestamp, size = read_header(data, 0)
    end = HEADER.size + size
    if len(data) < end:
        raise Truncated("payload", HEADER.size, f"{len(data)} bytes of {end}", "labkit frame")
    if len(data) > end:
        raise Malformed("payload", end, f"{len(data) - end} bytes after the frame", "labkit frame")
    return kind, Packet(seq, timestamp, data[HEADER.size :])


def read_header(data: bytes | bytearray, offset: int) -> tuple[Kind, int, int, int]:
    """Kind, seq, ts and len of the frame at `offset`, checked; the header must be there whole."""
    version, kind, seq, timestamp, size = HEADER.unpack_from(data, offset)
    if version != VERSION:
        raise Malformed("ver", offset, f"{version}, not {VERSION}", "labkit frame")
    if kind >= len(KINDS):
        raise Malformed("kind", offset + 1, f"{kind} is no kind of frame", "labkit frame")
    if size > MAX_PAYLOAD:
        raise Malformed("len", offset + 8, f"{size} is over {MAX_PAYLOAD}", "labkit frame")
    return KINDS[kind], seq, timestamp, size


class FrameDecoder:
    """Gives the frames of a byte stream back, however the bytes are cut.

    After the first wrong header there is no telling where the next frame starts, so the decoder
    stays broken: `error` is set and every later call raises it. Frames that were complete before
    the wrong one are not lost: the call that finds it returns them, and the error comes with the
    next call. When there are none to return, the call raises at once.

    Memory is bounded: besides the bytes just given, at most one frame is ever kept.
    """

    __slots__ = ("_buffer", "error")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.error: WireError | None = None
        """Why the decoder is broken, or None. Its offset counts from the first unread byte."""

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished frame that wait for the rest."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[tuple[Kind, Packet]]:
        """Take bytes, give the frames that are now complete. `Malformed` when broken."""
        if self.error is not None:
            raise self.error
        frames: list[tuple[Kind, Packet]] = []
        try:
            if self._buffer:
                self._buffer += data
                del self._buffer[: take_frames(self._buffer, frames)]
            elif (taken := take_frames(data, frames)) < len(data):  # most often all is taken
                self._buffer += data[taken:]
        except WireError as error:
            self.error = error
            self._buffer.clear()
            if not frames:
                raise
        return frames

    def receive_eof(self) -> None:
        """The stream has ended. `Truncated` when that was in mid-frame."""
        if self.error is not None:
            raise self.error
        if self._buffer:
            why = f"the stream ended {len(self._buffer)} bytes into a frame"
            self.error = Truncated("frame", 0, why, "labkit frame")
            self._buffer.clear()
            raise self.error


def take_frames(data: bytes | bytearray, frames: list[tuple[Kind, Packet]]) -> int:
    """Add the frames that `data` begins with to a list; how many bytes they have in all."""
    start, size = 0, len(data)
    while size - start >= HEADER.size:
        kind, seq, timestamp, length = read_header(data, start)
        payload = start + HEADER.size
        if size < payload + length:
            break
        start = payload + length
        frames.append((kind, Packet(seq, timestamp, bytes(data[payload:start]))))
    return start
