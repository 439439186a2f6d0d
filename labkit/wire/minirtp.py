"""Our own datagram header, the smallest that can carry sound over UDP (week 5).

A datagram keeps its boundaries, so the length field of `framing` is gone: the payload runs to
the end. What UDP does not keep is order, and it loses and doubles datagrams; the sequence number
makes that visible, and the timestamp says when the sound is due. Compare RTP (`rtp`), which adds
who is speaking (SSRC) and in which codec (payload type).

This module knows no socket and no clock, and does not know what a payload means. How large a
payload may be is the packetizer's business.
"""

import struct
from typing import Final

from labkit.wire.framing import KINDS, VERSION, Kind
from labkit.words.errors import LocalProtocolError, Malformed, Truncated
from labkit.words.packet import Packet

HEADER: Final = struct.Struct("!BBHI")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |    ver = 1    |     kind      |              seq              |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                              ts                               |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                     payload to the end of the datagram ...
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


def pack(packet: Packet, kind: Kind = Kind.MEDIA) -> bytes:
    """One datagram. `LocalProtocolError` when a value does not fit its field."""
    try:
        header = HEADER.pack(VERSION, kind, packet.seq, packet.timestamp)
    except struct.error as error:
        raise LocalProtocolError(f"{packet} does not fit the header: {error}") from error
    return header + packet.payload


def unpack(data: bytes) -> tuple[Kind, Packet]:
    """What one datagram says. `Truncated` when bytes are missing, `Malformed` when wrong."""
    if len(data) < HEADER.size:
        raise Truncated("header", 0, f"{len(data)} bytes of {HEADER.size}", "labkit datagram")
    version, kind, seq, timestamp = HEADER.unpack_from(data)
    if version != VERSION:
        raise Malformed("ver", 0, f"{version}, not {VERSION}", "labkit datagram")
    if kind >= len(KINDS):
        raise Malformed("kind", 1, f"{kind} is no kind of datagram", "labkit datagram")
    return KINDS[kind], Packet(seq, timestamp, data[HEADER.size :])
