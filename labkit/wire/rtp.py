"""RTP data packets: RFC 3550 section 5.1, with the header extension of section 5.3.1 (week 7).

`pack` and `unpack` are what a sender and a receiver call for every packet. `parse` also keeps
what `unpack` drops: the contributing sources, the header extension, and how much was padding.

A packet that passes is safe to use, not genuine: anybody can send one. Whether its SSRC and its
sequence number make sense is for the session to judge (RFC 3550 appendix A.1). This module knows
no stream, no clock and no codec.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from labkit.words.errors import LocalProtocolError, Malformed, Truncated
from labkit.words.packet import Packet

HEADER: Final = struct.Struct("!BBHII")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |V=2|P|X|  CC   |M|     PT      |        sequence number        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                           timestamp                           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |           synchronization source (SSRC) identifier            |
# +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
# |        contributing source (CSRC) identifiers, CC of them     |
# +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
# |   extension: defined by profile   |   length in 32-bit words  |
# |                    extension data ... (if X)                  |
# +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
# |   payload ...                 | padding ... | count (if P)    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

HEADER_SIZE: Final = HEADER.size

EXTENSION: Final = struct.Struct("!HH")

PLAIN: Final = 2 << 6
"""The first byte of nearly every packet: version 2, no padding, no extension, no CSRC."""
PADDING: Final = 1 << 5
EXTENDED: Final = 1 << 4
MAX_CSRCS: Final = 15
_CSRCS: Final = tuple(struct.Struct(f"!{count}I") for count in range(MAX_CSRCS + 1))

_SPEC: Final = "RFC 3550 section 5.1"

_new: Final = tuple.__new__
"""Makes a `Packet` without the Python function of every NamedTuple: a third of `unpack`'s time."""


class Extension(NamedTuple):
    """A header extension, uninterpreted (RFC 3550 section 5.3.1)."""

    profile: int
    """16 bits that say whose extension this is; 0xBEDE is RFC 8285's one-byte form."""
    data: bytes
    """A whole number of 32-bit words."""


class RtpPacket(NamedTuple):
    """Everything that one RTP packet says."""

    packet: Packet
    csrcs: tuple[int, ...]
    """Whose voices were mixed into this one: at most 15."""
    extension: Extension | None
    padding: int
    """Bytes of padding after the payload, with the byte that counts them."""


def pack(
    packet: Packet,
    *,
    csrcs: Sequence[int] = (),
    extension: Extension | None = None,
    padding: int = 0,
) -> bytes:
    """One RTP packet; `padding` is in bytes, with the byte that counts them.

    `LocalProtocolError` when a value does not fit its field.
    """
    seq, timestamp, payload, marker, payload_type, ssrc = packet
    if payload_type > 0x7F:
        raise LocalProtocolError(f"payload type {payload_type} does not fit into 7 bits")
    second = marker << 7 | payload_type
    try:
        if csrcs or extension is not None or padding:
            first, between, after = _extras(csrcs, extension, padding)
            header = HEADER.pack(first, second, seq, timestamp, ssrc)
            return header + between + payload + after
        return HEADER.pack(PLAIN, second, seq, timestamp, ssrc) + payload
    except struct.error as error:
        raise LocalProtocolError(f"{packet!r} does not fit the RTP header: {error}") from error


def unpack(data: bytes) -> Packet:
    """The packet without its CSRCs, extension and padding, which are checked all the same.

    `Truncated` when bytes are missing, `Malformed` when a field is wrong.
    """
    if len(data) < HEADER_SIZE:
        raise Truncated("header", 0, f"{len(data)} bytes of {HEADER_SIZE}", _SPEC)
    first, second, seq, timestamp, ssrc = HEADER.unpack_from(data)
    if first == PLAIN:
        payload = data[HEADER_SIZE:]
    else:
        _, start, end = _layout(data)
        payload = data[start:end]
    return _new(Packet, (seq, timestamp, payload, second > 0x7F, second & 0x7F, ssrc))


def parse(data: bytes) -> RtpPacket:
    """The packet with all its parts. Refuses exactly what `unpack` refuses."""
    packet = unpack(data)
    after_csrcs, start, end = _layout(data)
    csrcs = struct.unpack(f"!{data[0] & 0x0F}I", data[HEADER_SIZE:after_csrcs])
    extension = None
    if data[0] & EXTENDED:
        profile, _ = EXTENSION.unpack_from(data, after_csrcs)
        extension = Extension(profile, data[after_csrcs + EXTENSION.size : start])
    return RtpPacket(packet, csrcs, extension, len(data) - end)


def _layout(data: bytes) -> tuple[int, int, int]:
    """Where CSRCs end, where the payload starts, where it ends: the one place that checks them."""
    first, end = data[0], len(data)
    if first >> 6 != 2:
        raise Malformed("V", 0, f"version {first >> 6}, not 2", _SPEC)
    after_csrcs = HEADER_SIZE + 4 * (first & 0x0F)
    if after_csrcs > end:
        raise Truncated("CSRC", HEADER_SIZE, f"{first & 0x0F} do not fit", _SPEC)
    start = _after_extension(data, after_csrcs) if first & EXTENDED else after_csrcs
    if first & PADDING:
        # Compare before trusting: the count may reach back into the header, or be no count at all.
        if not 0 < data[-1] <= end - start:
            why = f"{data[-1]} bytes of padding in {end - start} bytes"
            raise Malformed("padding", end - 1, why, _SPEC)
        end -= data[-1]
    return after_csrcs, start, end


def _after_extension(data: bytes, offset: int) -> int:
    """Where the header extension at `offset` ends."""
    start = offset + EXTENSION.size
    if start > len(data):
        raise Truncated("extension", offset, "its header is cut off", "RFC 3550 section 5.3.1")
    _, words = EXTENSION.unpack_from(data, offset)
    end = start + 4 * int(words)
    if end > len(data):
        why = f"{words} words do not fit"
        raise Truncated("extension", offset, why, "RFC 3550 section 5.3.1")
    return end


def _extras(
    csrcs: Sequence[int], extension: Extension | None, padding: int
) -> tuple[int, bytes, bytes]:
    """The first byte, what stands between header and payload, and what follows the payload."""
    if len(csrcs) > MAX_CSRCS:
        raise LocalProtocolError(f"{len(csrcs)} CSRCs; a packet takes {MAX_CSRCS}")
    if not 0 <= padding <= 0xFF:
        raise LocalProtocolError(f"{padding} bytes of padding; the count has 8 bits")
    first = PLAIN | (PADDING if padding else 0) | len(csrcs)
    between = _CSRCS[len(csrcs)].pack(*csrcs)
    if extension is not None:
        first |= EXTENDED
        between += _pack_extension(extension)
    after = padding.to_bytes(padding, "big")  # zeros, and in the last byte how many there are
    return first, between, after


def _pack_extension(extension: Extension) -> bytes:
    words, rest = divmod(len(extension.data), 4)
    if rest:
        raise LocalProtocolError(f"{len(extension.data)} bytes of extension are no whole words")
    return EXTENSION.pack(extension.profile, words) + extension.data
