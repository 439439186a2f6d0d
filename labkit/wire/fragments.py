"""IP packets that were cut on their way, put together again: RFC 791 section 3.2, RFC 8200 4.5.

A fragment says where it belongs, in units of eight bytes, and whether it is the last; all fragments
of a packet share addresses, protocol and an identification. They come in any order, or never: what
is not finished within `PATIENCE` of capture time is forgotten.

An overlap is an attack or an accident; such a packet is dropped as a whole, as RFC 5722 demands.
This module knows no headers: it is given what they said.
"""

from typing import Final, NamedTuple

from labkit.words.units import seconds

PATIENCE: Final = seconds(30)
"""What Linux waits (`ipfrag_time`)."""
MOST: Final = 1024
"""Packets that are put together at a time; the oldest is given up."""
LARGEST: Final = 65_535


class Fragment(NamedTuple):
    """A piece of an IP payload, or when it is finished all of it."""

    row: int
    """Of the packet in its batch that brought it."""
    key: tuple[int, ...]
    """What the fragments of one packet share, beside the protocol."""
    protocol: int
    words: tuple[int, ...]
    """Addresses, for whoever reads the payload."""
    offset: int
    data: bytes
    whole: bool
    """False: the capture does not have all of its bytes."""
    last: bool
    now: int


class _Unfinished:
    """The pieces of one packet so far."""

    def __init__(self, first: Fragment) -> None:
        self.began = first.now
        self.size: int | None = None
        self.pieces: dict[int, bytes] = {}
        self.spoiled = False
        self._have = 0

    def add(self, piece: Fragment) -> bool:
        """Take a piece; True when it was the last that was missing."""
        if self.pieces.get(piece.offset) == piece.data:
            return False  # captured twice
        end = piece.offset + len(piece.data)
        clash = any(piece.offset < at + len(data) and at < end for at, data in self.pieces.items())
        self.spoiled |= clash or not piece.whole or end > LARGEST
        self.pieces[piece.offset] = piece.data
        self._have += len(piece.data)
        if piece.last:
            self.size = end
        return self.size == self._have and not self.spoiled


class Reassembler:
    """Fragments in, whole packets out."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[int, tuple[int, ...]], _Unfinished] = {}
        self._finished: list[Fragment] = []

    def add(self, piece: Fragment) -> None:
        """Take one fragment."""
        key = (piece.protocol, piece.key)
        packet = self._unfinished.get(key)
        if packet is None or piece.now - packet.began > PATIENCE:
            self._unfinished.pop(key, None)
            if len(self._unfinished) >= MOST:
                del self._unfinished[next(iter(self._unfinished))]
            packet = self._unfinished[key] = _Unfinished(piece)
        if packet.add(piece):
            del self._unfinished[key]
            data = b"".join(packet.pieces[at] for at in sorted(packet.pieces))
            self._finished.append(piece._replace(offset=0, data=data))

    def finished(self) -> list[Fragment]:
        """Hand over what is whole; a second call returns nothing."""
        finished, self._finished = self._finished, []
        return finished
