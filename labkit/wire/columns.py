"""Many headers at once: numpy columns out of bytes.

Python reads a header in a microsecond; numpy reads ten thousand of them in a tenth of a
millisecond, when it is told where they are:

    >>> data = joined(b"", b"..AB...CD")
    >>> pull(data, np.dtype(">u2"), np.array([2, 7]))
    array([16706, 17220], dtype='>u2')

Bytes are numpy arrays of uint8 here, with `PAD` zeros behind their end, so that a header that is
cut off can be pulled like any other; whoever pulls compares lengths first or afterwards.

This module knows no header.
"""

import struct
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Column: TypeAlias = npt.NDArray[np.int64]
"""One number for each packet."""
Mask: TypeAlias = npt.NDArray[np.bool_]

PAD: Final = 128
"""Zeros behind the end: more than the longest header that is pulled."""

EMPTY: Final[Column] = np.empty(0, np.int64)

STEPS: Final = 256
"""How many records are walked one by one before a run of equal ones is looked for again."""
LONGEST_RUN: Final = 4096


def joined(*parts: bytes | Bytes) -> Bytes:
    """The parts one after another, and the zeros behind them."""
    out = np.empty(sum(map(len, parts)) + PAD, np.uint8)
    out[-PAD:] = 0
    at = 0
    for part in parts:
        out[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    return out


def pull(data: Bytes, dtype: np.dtype[Any], places: Column) -> npt.NDArray[Any]:
    """What stands at each of the places, read as `dtype`: a number, or a header with its fields.

    The array that is indexed has an item at *every* byte: they overlap, and nothing is copied but
    the items asked for.
    """
    size = dtype.itemsize
    room = len(data) - size + 1
    overlapping = np.ndarray((room,), np.dtype((np.void, size)), data.data, 0, (1,))
    return overlapping[places].view(dtype)  # taken whole, not field by field: that is slow


def number(data: Bytes, dtype: str, places: Column) -> Column:
    """One field at each of the places, as int64."""
    return pull(data, np.dtype(dtype), places).astype(np.int64)


def grouped(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Column, Column]:
    """The distinct values, where each stands first, and for every value which of them it is."""
    if len(values) and (values == values[0]).all():  # nearly always, and at a tenth of the cost
        return values[:1], np.zeros(1, np.int64), np.zeros(len(values), np.int64)
    return np.unique(values, return_index=True, return_inverse=True)


class Framing(NamedTuple):
    """How a record says where the next one begins."""

    order: str
    """Of bytes, as `struct` writes it: < or >."""
    field: int
    """Where in the record its length is, 32 bits."""
    extra: int
    """What that length does not count."""
    least: int
    most: int
    """The range of what is believed, `extra` included."""


def walk(data: Bytes, at: int, end: int, framing: Framing) -> tuple[Column, int]:
    """Where the records are that begin from `at` on and end by `end`, and where that walk ended.

    It ended at the first record that is not whole, or whose length cannot be believed.
    """
    length_at = struct.Struct(framing.order + "I").unpack_from
    _, field, extra, least, most = framing
    view = data.data
    found: list[Column] = []
    last = end - least
    while at <= last:
        run = _run(data, at, end, framing)
        if len(run):
            found.append(run)
            at = 2 * int(run[-1]) - int(run[-2])
            continue
        places = []
        for _ in range(STEPS):
            if at > last:
                break
            size = length_at(view, at + field)[0] + extra
            if not least <= size <= most or at + size > end:
                last = -1
                break
            places.append(at)
            at += size
        found.append(np.array(places, np.int64))
    return (np.concatenate(found) if found else EMPTY), at


def _run(data: Bytes, at: int, end: int, framing: Framing) -> Column:
    """The records of one size that begin here, if there are enough of them to be worth it."""
    length = np.dtype(framing.order + "u4")
    size = int(np.ndarray((1,), length, data.data, at + framing.field)[0]) + framing.extra
    if not framing.least <= size <= framing.most:
        return EMPTY
    count = min((end - at) // size, LONGEST_RUN)
    if count < STEPS:
        return EMPTY
    lengths = np.ndarray((count,), length, data.data, at + framing.field, (size,))
    equal = lengths == lengths[0]
    if not equal[:STEPS].all():
        return EMPTY
    run = count if equal.all() else int(np.argmin(equal))
    return at + size * np.arange(run)
