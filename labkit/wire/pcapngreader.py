"""The newer capture format as columns: pcapng, draft-ietf-opsawg-pcapng.

A file is a row of blocks. A section header gives the byte order of what follows; an interface
description gives the link type and the clock of the packets that name it; the rest of the blocks
are packets, or are passed over.

    +------------+--------------+-----------------------------------+--------------+
    | block type | total length | body, whole words, then options   | total length |
    +------------+--------------+-----------------------------------+--------------+

Both lengths must agree, which shows damage at once. `labkit.wire.pcap` writes these files and draws
the fields. Keys of TLS (section 4.7) are kept, and not used. This module reads no options of
packets and no names.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.wire.columns import EMPTY, STEPS, Bytes, Column, number, pull
from labkit.wire.pcap import (
    DECRYPTION_SECRETS,
    ENHANCED_PACKET,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION,
    MAGIC,
    OPT_COMMENT,
    SECTION_HEADER,
    TLS_KEY_LOG,
)
from labkit.wire.pcapreader import MAX_PACKET, Records, Scan, no_records
from labkit.words.errors import Malformed, WireError
from labkit.words.units import NS_PER_S

OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
IF_TSOFFSET: Final = 14

PACKET: Final = (
    ("type", "u4"), ("size", "u4"), ("interface", "u4"), ("high", "u4"), ("low", "u4"),
    ("captured", "u4"), ("wire", "u4"),
)  # fmt: skip
"""An enhanced packet block up to the packet. The obsolete one has a drop count in `interface`."""
PACKET_OVERHEAD: Final = 32
"""Bytes of an enhanced packet block beside the packet and its options."""
SECTION_SIZE: Final = 28
LEAST_BLOCK: Final = 12
MOST_BLOCK: Final = 16 << 20
"""Wireshark's limit too."""
MAX_INTERFACES: Final = 4096
MAX_SECRETS: Final = 1 << 20
"""Bytes of keys that are kept; a connection has about a thousand."""

_SPEC: Final = "draft-ietf-opsawg-pcapng section 4"
_LATEST: Final = (1 << 63) - 1
"""Nanoseconds since 1970, in 63 bits: the year 2262."""


class Interface(NamedTuple):
    """What an interface description says of its packets."""

    link: int
    longest: int
    """Bytes that were kept of a packet; 0: all."""
    resolution: int
    """The byte if_tsresol: units are 10**-n seconds, or with the top bit 2**-n."""
    offset: int
    """Seconds to add to every time."""


class Pcapng:
    """A file of the newer format: the section it is in, and that section's interfaces."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.secrets: list[bytes] = []
        self._order = "<"
        self._interfaces: list[Interface] = []
        self._last = 0  # time of the last packet, for those that have none

    def scan(self, data: Bytes, end: int, base: int, count: int) -> Scan:
        """Read the whole blocks in `data[:end]`, section by section."""
        parts: list[Records] = []
        at, error = 0, None
        more = True
        while more and error is None:
            found, stop, error = self._section(data, at, end, count)
            parts.append(found)
            count += len(found.time)
            more = stop > at and stop < end and _type(data, stop, self._order) == SECTION_HEADER
            at = stop
        if error is not None:
            error = type(error)(error.field, base + error.offset, error.why, error.spec)
        columns = (np.concatenate(column) for column in zip(*(p[2:] for p in parts), strict=True))
        return Scan(Records(data, 0, *columns), at, error)

    def _section(
        self, data: Bytes, at: int, end: int, count: int
    ) -> tuple[Records, int, WireError | None]:
        """Read on to the next section header, or to the end of what is whole."""
        begins = end - at >= LEAST_BLOCK and _type(data, at, self._order) == SECTION_HEADER
        if begins:
            if end - at < SECTION_SIZE:
                return no_records(data), at, None
            magic = data[at + 8 : at + 12].tobytes()
            order = {struct.pack(o + "I", MAGIC): o for o in "<>"}.get(magic)
            if order is None:
                why = f"{magic.hex(' ')} is no byte order"
                return no_records(data), at, Malformed("magic", at + 8, why, _SPEC)
            self._order = order
        places, stop = _walk(data, at, end, self._order)
        word = np.dtype(self._order + "u4")
        types = pull(data, word, places)
        sizes = number(data, word.str, places + 4)
        error = self._size_error(data, stop, end, first=stop == at)
        cut, why = len(places), ""
        bad = (number(data, word.str, places + sizes - 4) != sizes) | (sizes & 3 > 0)
        if bad.any():
            cut, why = int(np.argmax(bad)), "the lengths at both ends of it do not agree"
        sections = np.flatnonzero(types[int(begins) : cut] == SECTION_HEADER) + int(begins)
        if len(sections):
            cut, why, error = int(sections[0]), "", None
        if cut < len(places):
            stop = int(places[cut])
        if why:
            error = Malformed("block", stop, why, _SPEC)
        if begins and cut:
            self._begin_section(data, at, int(sizes[0]))
        records, problem = self._packets(data, places[:cut], types[:cut], sizes[:cut], count)
        return records, stop, problem or error

    def _size_error(self, data: Bytes, stop: int, end: int, *, first: bool) -> WireError | None:
        """Whether the walk ended for want of bytes, or because a length cannot be right.

        The length of a new section may be in the other byte order: that is for its own walk.
        """
        if end - stop < LEAST_BLOCK:
            return None
        if not first and _type(data, stop, self._order) == SECTION_HEADER:
            return None
        size = int(number(data, self._order + "u4", np.array([stop + 4]))[0])
        if LEAST_BLOCK <= size <= MOST_BLOCK:
            return None
        return Malformed("block", stop, f"{size} bytes cannot be its length", _SPEC)

    # Blocks that are not packets --------------------------------------------------------------

    def _begin_section(self, data: Bytes, at: int, size: int) -> None:
        self._interfaces = []
        for code, value in _options(data[at + 24 : at + size - 4].tobytes(), self._order):
            if code == OPT_COMMENT:
                self.comments.append(value.decode(errors="replace"))

    def _add_interface(self, data: Bytes, at: int, size: int) -> None:
        body = data[at + 8 : at + size - 4].tobytes()
        if len(body) < 8 or len(self._interfaces) >= MAX_INTERFACES:
            return
        link, _, longest = struct.unpack_from(self._order + "HHI", body)
        resolution, offset = 6, 0
        for code, value in _options(body[8:], self._order):
            if code == IF_TSRESOL and value:
                resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                (offset,) = struct.unpack(self._order + "q", value)
            elif code == OPT_COMMENT:
                self.comments.append(value.decode(errors="replace"))
        self._interfaces.append(Interface(link, longest, resolution, offset))

    def _add_secrets(self, data: Bytes, at: int, size: int) -> None:
        body = data[at + 8 : at + size - 4].tobytes()
        if len(body) < 8:
            return
        kind, length = struct.unpack_from(self._order + "II", body)
        if kind == TLS_KEY_LOG and sum(map(len, self.secrets)) + length <= MAX_SECRETS:
            self.secrets.append(body[8 : 8 + length])

    # Packets ----------------------------------------------------------------------------------

    def _packets(
        self, data: Bytes, places: Column, types: Column, sizes: Column, count: int
    ) -> tuple[Records, WireError | None]:
        for index in np.flatnonzero(types == INTERFACE_DESCRIPTION):
            self._add_interface(data, int(places[index]), int(sizes[index]))
        for index in np.flatnonzero(types == DECRYPTION_SECRETS):
            self._add_secrets(data, int(places[index]), int(sizes[index]))
        chosen = (types == ENHANCED_PACKET) | (types == SIMPLE_PACKET) | (types == OBSOLETE_PACKET)
        if not chosen.all():
            places, types, sizes = places[chosen], types[chosen], sizes[chosen]
        header = pull(data, np.dtype([(n, self._order + k) for n, k in PACKET]), places)
        interface = header["interface"].astype(np.int64)
        captured = header["captured"].astype(np.int64)
        wire = header["wire"].astype(np.int64)
        start = places + 28
        simple = types == SIMPLE_PACKET
        old = types == OBSOLETE_PACKET
        if old.any():
            interface[old] = number(data, self._order + "u2", places[old] + 8)
        if simple.any():
            interface[simple] = 0
            wire[simple] = number(data, self._order + "u4", places[simple] + 8)
            start[simple] = places[simple] + 12
            longest = (self._interfaces[0].longest if self._interfaces else 0) or MAX_PACKET
            kept = np.minimum(np.minimum(wire[simple], longest), sizes[simple] - 16)
            captured[simple] = kept
        overhead = np.where(simple, 16, PACKET_OVERHEAD)
        bad = (captured > sizes - overhead) | (captured > MAX_PACKET) | (captured < 0)
        bad |= interface >= len(self._interfaces)
        time, beyond = self._times(interface, header["high"], header["low"], bad, simple)
        bad |= beyond
        error: WireError | None = None
        if bad.any():
            cut = int(np.argmax(bad))
            why = "its length, its interface or its time cannot be right"
            error = Malformed(f"packet {count + cut + 1}", int(places[cut]), why, _SPEC)
            time, start, captured, wire, interface = (
                column[:cut] for column in (time, start, captured, wire, interface)
            )
        if len(time):
            self._last = int(time[-1])
        links = np.array([i.link for i in self._interfaces] or [0])
        return Records(data, 0, time, start, captured, wire, links[interface]), error

    def _times(
        self,
        interface: Column,
        high: npt.NDArray[np.uint32],
        low: npt.NDArray[np.uint32],
        bad: npt.NDArray[np.bool_],
        simple: npt.NDArray[np.bool_],
    ) -> tuple[Column, npt.NDArray[np.bool_]]:
        """Nanoseconds since 1970 by each interface's clock, and which are beyond all bounds.

        Simple packet blocks have no time: they get that of the packet before.
        """
        ticks = high.astype(np.uint64) << np.uint64(32) | low.astype(np.uint64)
        time = np.zeros(len(ticks), np.int64)
        beyond = np.zeros(len(ticks), np.bool_)
        for index in np.unique(interface[~bad]) if len(ticks) else ():
            # Nearly always one interface, and then every row is its.
            rows: slice | npt.NDArray[np.bool_] = interface == index
            rows = slice(None) if rows.all() else rows  # type: ignore[union-attr]
            time[rows], beyond[rows] = _nanoseconds(ticks[rows], self._interfaces[int(index)])
        if simple.any():
            beyond[simple] = False
            before = np.maximum.accumulate(np.where(simple, -1, np.arange(len(time))))
            time[simple] = np.where(before < 0, self._last, time[before])[simple]
        return time, beyond


def _walk(data: Bytes, at: int, end: int, order: str) -> tuple[Column, int]:
    """Where the blocks are that begin from `at` on and end by `end`, and where that walk ended.

    What looks like an enhanced packet block is found by its type, everywhere at once. Then a block
    is one *because* the block before it ends there, and as long as one ends where the next
    begins a whole row of them is taken. Other blocks are walked one by one.
    """
    fields = struct.Struct(order + "II").unpack_from
    begin, follow = _lookalikes(data, at, end, order)
    breaks = np.append(np.flatnonzero(follow[:-1] != begin[1:]), len(begin) - 1)
    view = data.data
    found: list[Column] = []
    last = end - LEAST_BLOCK
    while at <= last:
        i = int(np.searchsorted(begin, at))
        if i < len(begin) and begin[i] == at:
            until = int(breaks[np.searchsorted(breaks, i)])
            found.append(begin[i : until + 1])
            at = int(follow[until])
            continue
        places = []
        for _ in range(STEPS):
            kind, size = fields(view, at)
            if not LEAST_BLOCK <= size <= MOST_BLOCK or at + size > end:
                last = -1
                break
            places.append(at)
            at += size
            if at > last or kind == ENHANCED_PACKET:
                break
        found.append(np.array(places, np.int64))
    return (np.concatenate(found) if found else EMPTY), at


def _lookalikes(data: Bytes, at: int, end: int, order: str) -> tuple[Column, Column]:
    """Begin and end of everything, on a word's boundary, that reads like a packet block."""
    words = np.ndarray(((end - at) // 4,), order + "u4", data.data, at)
    begin = np.flatnonzero(words == ENHANCED_PACKET)
    begin = begin[begin < len(words) - PACKET_OVERHEAD // 4 + 1]
    size = words[begin + 1] >> 2
    begin, size = begin[fits := begin + size <= len(words)], size[fits]
    good = (words[begin + size - 1] == size << 2) & (size >= PACKET_OVERHEAD // 4)
    begin, size = begin[good], size[good]
    return at + 4 * begin, at + 4 * (begin + size)


def _nanoseconds(
    ticks: npt.NDArray[np.uint64], interface: Interface
) -> tuple[Column, npt.NDArray[np.bool_]]:
    """Ticks of an interface's clock as nanoseconds since 1970; and which do not fit 63 bits."""
    power = interface.resolution & 0x7F
    if interface.resolution & 0x80:
        seconds, fraction = _binary(ticks, min(power, 64))
    else:
        unit = np.uint64(10 ** min(power, 19))
        seconds = ticks // unit
        fraction = _scaled(ticks - seconds * unit, min(power, 19))
    limit = _LATEST // NS_PER_S - 1
    beyond = seconds.astype(np.float64) + interface.offset > limit
    beyond |= seconds.astype(np.float64) + interface.offset < 0
    offset = max(-limit, min(limit, interface.offset))
    whole = np.where(beyond, 0, seconds.astype(np.int64) + offset)
    return whole * NS_PER_S + fraction.astype(np.int64), beyond


def _scaled(fraction: npt.NDArray[np.uint64], power: int) -> npt.NDArray[np.uint64]:
    """A fraction of a second in units of 10**-power as nanoseconds, rounded down."""
    if power <= 9:
        return fraction * np.uint64(10 ** (9 - power))
    return fraction // np.uint64(10 ** (power - 9))


def _binary(
    ticks: npt.NDArray[np.uint64], power: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Ticks of 2**-power seconds as seconds and nanoseconds."""
    if power == 64:
        seconds, fraction = np.zeros_like(ticks), ticks
    else:
        seconds = ticks >> np.uint64(power)
        fraction = ticks - (seconds << np.uint64(power))
    spare = max(0, power - 32)  # bits finer than a nanosecond, which would not fit the product
    fraction = fraction >> np.uint64(spare)
    return seconds, fraction * np.uint64(NS_PER_S) >> np.uint64(power - spare)


def _type(data: Bytes, at: int, order: str) -> int:
    return int(number(data, order + "u4", np.array([at]))[0])


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Codes and values up to the end of options; what is cut off is passed over."""
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if code == 0:
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
