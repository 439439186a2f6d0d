"""Captures in, packets out, thousands at a time: pcap and pcapng.

    reader = CaptureReader()
    for piece in pieces_of_the_file:
        records = reader.receive(piece)        numpy columns: time, start, captured, link ...
    reader.receive_eof()
    reader.error                               None, or what is wrong with the file, and where

A record says how long it is, so where the next one begins is known only when this one was looked
at: that walk (`columns.walk`) is the one loop over all packets. The rest is read as columns.

This file has the older format, draft-ietf-opsawg-pcap, in both byte orders, with microseconds and
nanoseconds; `labkit.wire.pcapngreader` has the newer one.

**What stands before the damage in a damaged file is kept**: `error` is set, and later bytes are
ignored. This module opens no file and looks into no packet: `labkit.wire.datagrams` does.
"""

import struct
from typing import Final, NamedTuple, Protocol

import numpy as np

from labkit.wire.columns import EMPTY, PAD, Bytes, Column, Framing, joined, number, pull, walk
from labkit.words.errors import Malformed, Truncated, WireError
from labkit.words.units import NS_PER_S

FILE_HEADER: Final = struct.Struct("<IHHiIII")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |             magic: byte order and unit of fractions           |
# |          major = 2            |          minor = 4            |
# |                      reserved, two words                      |
# |                 longest packet that is kept whole             |
# |  FCS  |  reserved = 0         |          link type            |

RECORD: Final = (("seconds", "u4"), ("fraction", "u4"), ("captured", "u4"), ("wire", "u4"))
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                    seconds since 1970                         |
# |              fraction: microseconds or nanoseconds            |
# |                      bytes in this file                       |
# |                   bytes as it was on the wire                 |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
RECORD_SIZE: Final = 16

MAX_PACKET: Final = 262_144
"""No packet of a network is longer; a length above it is damage. libpcap draws the same line."""

MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""The first four bytes say the byte order, and how many nanoseconds a fraction counts."""

PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
COMPRESSED: Final = {b"\x1f\x8b": "gzip -d", b"\x28\xb5": "zstd -d", b"\xfd7": "xz -d"}

_SPEC: Final = "draft-ietf-opsawg-pcap"


class Records(NamedTuple):
    """Packets as they were captured: columns of equal length."""

    data: Bytes
    """What `start` counts in; `PAD` zeros stand at its end."""
    first: int
    """Number of the first packet; the first of a file is 1, as Wireshark counts."""
    time: Column
    """Nanoseconds since 1970."""
    start: Column
    """Where the packet begins."""
    captured: Column
    """How many bytes of it were kept."""
    wire: Column
    """How long it was on the wire."""
    link: Column
    """What it begins with: a LINKTYPE of the tcpdump group's list."""


def no_records(data: Bytes) -> Records:
    """A batch without packets."""
    return Records(data, 1, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)


class Scan(NamedTuple):
    """What a format made of some bytes."""

    records: Records
    used: int
    """Bytes that need not be seen again."""
    error: WireError | None


class Format(Protocol):
    """A kind of file: the two formats have this in common."""

    comments: list[str]
    secrets: list[bytes]

    def scan(self, data: Bytes, end: int, base: int, count: int) -> Scan:
        """Read the whole records in `data[:end]`, which lies at `base` in the file.

        `count` packets were read before.
        """


class CaptureReader:
    """Bytes of one file in, records out. It keeps no packet, only the piece of one that is cut."""

    def __init__(self) -> None:
        self.packets = 0
        """Packets read so far."""
        self.offset = 0
        """Bytes of the file that are read and done with."""
        self.error: WireError | None = None
        self._format: Format | None = None
        self._rest = joined()
        self._buffer = joined()

    @property
    def comments(self) -> list[str]:
        """What somebody wrote into the file about all of it; pcapng only."""
        return self._format.comments if self._format is not None else []

    @property
    def secrets(self) -> list[bytes]:
        """Key logs of TLS and QUIC that open what was captured; pcapng only."""
        return self._format.secrets if self._format is not None else []

    def receive(self, data: bytes) -> Records:
        """The packets that are whole now. After an error: none."""
        if self.error is not None:
            return no_records(self._rest)
        self._rest = joined(self._rest[:-PAD], data)
        return self._scan()

    def room(self, size: int) -> memoryview:
        """Where a file may put its next `size` bytes: `filled` then reads them where they are.

        The room is the same each time, so that no memory is asked for and nothing is copied. The
        `data` of earlier records is overwritten.
        """
        left = len(self._rest) - PAD
        if len(self._buffer) < left + size + PAD:
            self._buffer = np.empty(left + 2 * size + PAD, np.uint8)
        self._buffer[:left] = self._rest[:left]
        self._rest = self._buffer[: left + PAD]
        return self._buffer.data[left : left + size]

    def filled(self, size: int) -> Records:
        """The packets that are whole, now that the room has `size` bytes; after an error: none."""
        end = len(self._rest) - PAD + size
        self._buffer[end : end + PAD] = 0
        self._rest = self._buffer[: end + PAD]
        return self._scan() if self.error is None else no_records(self._rest)

    def _scan(self) -> Records:
        if self._format is None and not self._begin():
            return no_records(self._rest)
        assert self._format is not None
        found = self._format.scan(self._rest, len(self._rest) - PAD, self.offset, self.packets)
        records, used, self.error = found
        self._done_with(used)
        self.packets += len(records.time)
        return records._replace(first=self.packets - len(records.time) + 1)

    def receive_eof(self) -> None:
        """The file ends here; `error` is set if that is in the middle of something."""
        left = len(self._rest) - PAD
        if self.error is not None or (self._format is not None and not left):
            return
        if not left:
            self.error = Truncated("magic", 0, "the file is empty")
        elif self._format is None:
            self.error = Truncated("file header", 0, f"only {left} bytes", _SPEC)
        else:
            why = "the file ends in the middle of it"
            self.error = Truncated(f"packet {self.packets + 1}", self.offset, why)

    def _begin(self) -> bool:
        """Find out what kind of file this is; False while there is too little of it."""
        head = self._rest[: FILE_HEADER.size].tobytes()
        magic = head[:4]
        left = len(self._rest) - PAD
        if left < len(magic) or (left < FILE_HEADER.size and magic in MAGICS):
            return False
        if magic == PCAPNG_MAGIC:
            from labkit.wire.pcapngreader import Pcapng

            self._format = Pcapng()
        elif magic in MAGICS:
            order, unit = MAGICS[magic]
            (link,) = struct.unpack_from(order + "I", head, 20)
            self._format = Pcap(order, unit, link & 0xFFFF)
            self._done_with(FILE_HEADER.size)
        else:
            self.error = _no_capture(magic)
        return self.error is None

    def _done_with(self, used: int) -> None:
        self.offset += used
        self._rest = self._rest[used:]


def _no_capture(magic: bytes) -> Malformed:
    why = f"{magic.hex(' ')} begins neither a pcap nor a pcapng file"
    if magic[:2] in COMPRESSED:
        why += f"; it is compressed, unpack it first: {COMPRESSED[magic[:2]]}"
    return Malformed("magic", 0, why, _SPEC)


class Pcap:
    """A file of the older format: one link type, one clock."""

    def __init__(self, order: str, unit: int, link: int) -> None:
        self.comments: list[str] = []
        self.secrets: list[bytes] = []
        self._unit = unit
        self._link = link
        self._order = order
        self._record = np.dtype([(name, order + kind) for name, kind in RECORD])
        most = MAX_PACKET + RECORD_SIZE
        self._framing = Framing(order, 8, RECORD_SIZE, RECORD_SIZE, most)

    def scan(self, data: Bytes, end: int, base: int, count: int) -> Scan:
        """Read the whole records in `data[:end]`."""
        places, stop = walk(data, 0, end, self._framing)
        header = pull(data, self._record, places)
        fraction = header["fraction"].astype(np.int64) * self._unit
        error = self._length_error(data, stop, end, base, count + len(places))
        if (fraction >= NS_PER_S).any():
            bad = int(np.argmax(fraction >= NS_PER_S))
            why = f"its time has {fraction[bad]} nanoseconds in a second"
            error = Malformed(f"packet {count + bad + 1}", base + int(places[bad]), why, _SPEC)
            places, header, fraction = places[:bad], header[:bad], fraction[:bad]
        records = Records(
            data,
            0,
            header["seconds"].astype(np.int64) * NS_PER_S + fraction,
            places + RECORD_SIZE,
            header["captured"].astype(np.int64),
            header["wire"].astype(np.int64),
            np.full(len(places), self._link),
        )
        return Scan(records, stop, error)

    def _length_error(
        self, data: Bytes, stop: int, end: int, base: int, count: int
    ) -> WireError | None:
        """Whether the walk ended for want of bytes, or because a length cannot be right."""
        if end - stop < RECORD_SIZE:
            return None
        size = int(number(data, self._order + "u4", np.array([stop + 8]))[0])
        if size <= MAX_PACKET:
            return None
        why = f"it claims {size} bytes; no packet has more than {MAX_PACKET}"
        return Malformed(f"packet {count + 1}", base + stop, why, _SPEC)
