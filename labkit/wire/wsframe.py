"""The header that WebSocket puts before a message: RFC 6455 section 5.2 (week 9).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
    |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
    |N|V|V|V|       |S|             |   (if payload len==126/127)   |
    | |1|2|3|       |K|             |                               |
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |  more of a 64-bit length, then a mask of 4 bytes if MASK is set
    +---------------------------------------------------------------+

Media flow one way: from the server, which sets no mask, in whole binary messages. That one case is
written here, because a server says it a hundred times a second to each of its listeners. Masks,
fragments, control frames and the handshake are the affair of the library that `WebSocket` wraps.

This module knows no connection and no limit.
"""

import struct
from typing import Final

BINARY: Final = 0x82
"""The first byte of a whole binary message: FIN, and opcode 2."""
MASK: Final = 0x80
"""In the second byte: a mask follows, as in everything that a client sends."""

_SHORT: Final = struct.Struct("!BB")
_MIDDLE: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")


def pack(payload: bytes) -> bytes:
    """One whole binary message without a mask, as a server sends it."""
    size = len(payload)
    if size < 126:
        return _SHORT.pack(BINARY, size) + payload
    if size < 65_536:
        return _MIDDLE.pack(BINARY, 126, size) + payload
    return _LONG.pack(BINARY, 127, size) + payload


def measure(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Where the payload of the frame at `offset` starts, and where it ends.

    Of a header that is not whole the end is the least that it can be: more than there is.
    """
    length_at = offset + 2
    if len(data) < length_at:
        return length_at, length_at
    second = data[offset + 1]
    size = second & 0x7F
    start = length_at + (4 if second & MASK else 0)
    if size < 126:
        return start, start + size
    length_end = length_at + (2 if size == 126 else 8)
    start += length_end - length_at
    if len(data) < start:
        return start, start
    return start, start + int.from_bytes(data[length_at:length_end], "big")
