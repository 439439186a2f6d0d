"""Plain values: all that passes between a check and the code of a student.

None, bool, int, float, str, bytes, lists, tuples, dicts, a `Packet`, and numpy arrays of numbers.
Each is copied and has exactly that type, so that nothing which a student made is ever compared,
called or printed by a check: an object that is equal to everything does not arrive. Sizes are
bounded, for an answer may come from a process that wishes us ill.

What people return by habit is taken for what it means: numpy's scalars for numbers, an `IntEnum`
for its number, a bytearray for its bytes, a named tuple for a tuple.

This module knows no student's code and no pipe. numpy is not imported by it: where there is an
array it has been.
"""

import math
import sys
from typing import Any, Final

from labkit.words.packet import Packet

MOST_BITS: Final = 128
"""Of an integer: nothing on a wire of ours is longer."""
MOST_BYTES: Final = 4_000_000
"""Of bytes, of text, of an array."""
MOST_ITEMS: Final = 100_000
"""Of a list or a dict, with all that is in it."""
DEEPEST: Final = 8
ARRAYS: Final = frozenset(
    {
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float32", "float64",
    }
)  # fmt: skip
"""The dtypes that pass, in the byte order of this machine."""
OF_PACKET: Final = (int, int, bytes, bool, int, int)
"""The types of a packet's fields."""


class NotPlain(Exception):
    """A value that does not pass; the message says what it is, in words for a person."""


def plain(value: Any) -> Any:
    """A copy of `value` made of plain types only. `NotPlain` when it cannot be one."""
    return _Copier().copy(value, 0)


class _Copier:
    """Counts what it copies."""

    def __init__(self) -> None:
        self._items = 0
        self._bytes = 0

    def copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is float:
            return value
        if isinstance(value, int):
            return self._int(value)
        if kind is Packet:
            return self._packet(value)
        if isinstance(value, (str, bytes, bytearray, memoryview)):
            return self._text_or_bytes(value)
        if isinstance(value, (list, tuple, dict)):
            return self._container(value, depth)
        if isinstance(value, float):
            return float.__pos__(value)
        return self._of_numpy(value, depth)

    # The methods of the built-in type are called, not those that a subclass may have changed.

    def _int(self, value: int) -> int:
        if int.bit_length(value) > MOST_BITS:
            raise NotPlain(f"an integer of {int.bit_length(value)} bits")
        return int.__pos__(value)

    def _packet(self, packet: Packet) -> Packet:
        fields = [self.copy(field, DEEPEST) for field in tuple.__iter__(packet)]
        for name, field, kind in zip(Packet._fields, fields, OF_PACKET, strict=True):
            if type(field) is not kind:
                raise NotPlain(f"a Packet whose {name} is {named(field)}")
        return Packet(*fields)

    def _text_or_bytes(self, value: Any) -> str | bytes:
        if isinstance(value, str):
            self._spend(str.__len__(value))
            return str.__str__(value)
        if isinstance(value, memoryview):
            self._spend(value.nbytes)
            return value.tobytes()
        base: Any = bytes if isinstance(value, bytes) else bytearray
        self._spend(base.__len__(value))
        copied: bytes = base.__getitem__(value, slice(None))
        return bytes(copied)

    def _spend(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise NotPlain(f"more than {MOST_BYTES // 1_000_000} MB")

    def _container(self, value: Any, depth: int) -> Any:
        if depth >= DEEPEST:
            raise NotPlain(f"lists in lists, more than {DEEPEST} deep")
        if isinstance(value, dict):
            return {
                self._key(key): self.copy(item, depth + 1)
                for key, item in self._counted(dict.items(value))
            }
        if isinstance(value, list):
            return [self.copy(item, depth + 1) for item in self._counted(list.__iter__(value))]
        return tuple(self.copy(item, depth + 1) for item in self._counted(tuple.__iter__(value)))

    def _counted(self, items: Any) -> Any:
        for item in items:
            self._items += 1
            if self._items > MOST_ITEMS:
                raise NotPlain(f"more than {MOST_ITEMS} items")
            yield item

    def _key(self, key: Any) -> Any:
        if not isinstance(key, (str, int, bytes)):
            raise NotPlain(f"a dict with {named(key)} for a key")
        return self.copy(key, DEEPEST)

    def _of_numpy(self, value: Any, depth: int) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic):
            return self.copy(numpy.generic.item(value), depth)
        if numpy is not None and isinstance(value, numpy.ndarray):
            # numpy.array and not a method: a subclass of ndarray may have changed those.
            array = numpy.array(value, order="C", subok=False)
            dtype = array.dtype.newbyteorder("=")
            if dtype.name not in ARRAYS or array.ndim > 2:
                raise NotPlain(f"an array of {dtype.name} with {array.ndim} dimensions")
            self._spend(array.nbytes)
            return array.astype(dtype)
        raise NotPlain(named(value))


def named(value: Any) -> str:
    """What a value is, when it is nothing that can be shown: `a MyClass`."""
    name = str(type.__getattribute__(type(value), "__name__"))[:40]
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def same(found: Any, wanted: Any) -> bool:
    """Whether two plain values are the same: of one type, also inside. NaN is like NaN."""
    if isinstance(wanted, float) and type(found) in (int, float):
        return found == wanted or (math.isnan(wanted) and math.isnan(found))
    if type(found) is not type(wanted):
        return False
    if type(wanted) in (list, tuple, Packet):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if type(wanted) is dict:
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
    if hasattr(wanted, "dtype"):
        return bool(
            found.dtype == wanted.dtype and found.shape == wanted.shape and (found == wanted).all()
        )
    return bool(found == wanted)


def shown(value: Any) -> str:
    """A plain value for a person, in a line: bytes in hex, what is long is cut."""
    if type(value) is bytes:
        head = value[:16].hex(" ")
        return (
            f"{len(value)} bytes: {head}{' …' if len(value) > 16 else ''}" if value else "no bytes"
        )
    if type(value) is Packet:
        return f"packet {value.seq}"
    if type(value) is float:
        return f"{value:.6g}"
    if hasattr(value, "dtype"):
        some = ", ".join(str(item) for item in value.flat[:4]) + (" …" if value.size > 4 else "")
        return f"array of {value.dtype.name}, shape {value.shape}: {some}"
    if type(value) in (tuple, list):
        inside = ", ".join(shown(item) for item in value[:8]) + (", …" if len(value) > 8 else "")
        return f"({inside})" if type(value) is tuple else f"[{inside}]"
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
