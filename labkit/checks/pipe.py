"""Questions and outcomes as lines of JSON, for a process at the other end of a pipe.

    write(asks_to_text(asks))      →      asks_from_text(line)
    outcomes_from_text(line, asks) ←      write(outcomes_to_text(outcomes))

What JSON lacks has a tag: {"b": …} bytes, {"t": …} a tuple, {"d": …} a dict, {"p": …} a packet,
{"a": …} an array, {"f": …} a float that is no number. Nothing is evaluated and nothing unpickled.
Reading raises `NotPlain` for whatever is not exactly as it is written here, and no other error: the
other side runs a stranger's code. What was read went through `plain`, so sizes are bounded; who
reads from the pipe bounds the line (`LONGEST`).
"""

import base64
import contextlib
import gc
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from labkit.checks.blame import Where
from labkit.checks.plain import ARRAYS, NotPlain, plain
from labkit.checks.subject import (
    Ask,
    Died,
    Missing,
    Outcome,
    Raised,
    Returned,
    TimedOut,
    Unfit,
)
from labkit.words.packet import Packet

LONGEST: Final = 16_000_000
"""Characters of a line. Who reads a longer one stops reading, and has no answer."""
_AS_IT_IS: Final = frozenset({int, str, bool, type(None)})
"""Values that JSON has too."""
_BARE: Final = frozenset({int, type(None)})
"""What stands for itself when it was returned: a policy is asked twenty thousand questions."""
_SAID: Final = frozenset({list, dict})
"""What JSON said instead of those that it lacks."""
MOST_PARTS: Final = 400_000
"""Commas and brackets of a line. They bound what it becomes before it is read: `[[],[],[],…` is
three characters a list, and a list is twenty times as large."""
LARGEST_KEY: Final = 1 << 60
"""Of a dict. Larger numbers can be chosen so that all have one hash, and a dict takes for ever."""


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """There is none among what is made here by the thousand, and looking for it is slow."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def asks_to_text(asks: Sequence[Ask]) -> str:
    """A row of questions as one line, without the newline.

    First the different ones without their arguments, then for each question which of them it is,
    and its arguments: `[[["call","observe",1,0],…],[[0,20,30],…]]`.
    """
    kinds: dict[tuple[Any, ...], int] = {}
    rows = []
    with _no_garbage():
        for verb, name, args, on, into in asks:
            kind = kinds.setdefault((verb, name, on, into), len(kinds))
            rows.append([kind, *[arg if type(arg) in _AS_IT_IS else _out(arg) for arg in args]])
        return json.dumps([list(kinds), rows], separators=(",", ":"))


def asks_from_text(line: str) -> list[Ask]:
    """The questions of a line."""
    with _no_garbage():
        kinds, rows = json.loads(line)
        asks = []
        for kind, *args in rows:
            verb, name, on, into = kinds[kind]
            values = tuple([_in(a) if type(a) in _SAID else a for a in args])
            asks.append(Ask(verb, name, values, on, into))
        return asks


def outcomes_to_text(outcomes: Sequence[Outcome]) -> str:
    """A row of outcomes as one line, without the newline."""
    bare, returned = _BARE, Returned
    rows = [
        each[0] if type(each) is returned and type(each[0]) in bare else _outcome_out(each)
        for each in outcomes
    ]
    return json.dumps(rows, separators=(",", ":"))


def outcomes_from_text(line: str, asked: int) -> list[Outcome]:
    """The outcomes of a line, to so many questions. `NotPlain` when it is no such line."""
    if len(line) > LONGEST:
        raise NotPlain(f"an answer of {len(line)} characters")
    if parts_of(line) > MOST_PARTS:
        raise NotPlain(f"an answer of {parts_of(line)} parts")
    try:
        returned, least, most = Returned, -LARGEST_KEY, LARGEST_KEY
        with _no_garbage():
            outcomes = [
                returned(row)
                if row is None or (type(row) is int and least < row < most)
                else _outcome_in(row)
                for row in json.loads(line)
            ]
    except NotPlain:
        raise
    except _UNREADABLE as error:
        raise NotPlain(f"an answer that cannot be read ({type(error).__name__})") from None
    whole = len(outcomes) == asked and all(type(o) is Returned for o in outcomes[:-1])
    early = 0 < len(outcomes) <= asked and type(outcomes[-1]) is not Returned
    if not whole and not (early and all(type(o) is Returned for o in outcomes[:-1])):
        raise NotPlain(f"{len(outcomes)} answers to {asked} questions")
    return outcomes


_UNREADABLE: Final = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError
)  # fmt: skip
"""What reading a line may raise when it is not as it is written here."""


def parts_of(line: str) -> int:
    """How many values a line has, at most."""
    return line.count(",") + line.count("[") + line.count("{")


def _outcome_out(outcome: Outcome) -> Sequence[Any]:
    match outcome:
        case Returned(value):
            return ["returned", _out(value)]
        case Raised(kinds, message, place, fields):
            return ["raised", list(kinds), message, place, _out(dict(fields))]
        case TimedOut(seconds, place):
            return ["timed out", seconds, place]
        case Unfit(what):
            return ["unfit", what]
        case Missing(name, what):
            return ["missing", name, what]
        case Died(why):
            return ["died", why]


def _outcome_in(row: Any) -> Outcome:
    if type(row) is int:
        return Returned(plain(row))
    kind, *rest = row
    match kind:
        case "returned":
            (value,) = rest
            return Returned(plain(_in(value)))
        case "raised":
            kinds, message, place, fields = rest
            if not kinds:
                raise NotPlain("an error without a name")
            names = tuple(_text(name, 80) for name in kinds[:10])
            known = plain(_in(fields))
            if type(known) is not dict:
                raise NotPlain("an error whose fields have no names")
            return Raised(names, _text(message), _where(place), known)
        case "timed out":
            seconds, place = rest
            return TimedOut(float(seconds), _where(place))
        case "unfit":
            (what,) = rest
            return Unfit(_text(what))
        case "missing":
            name, what = rest
            return Missing(_text(name), _text(what))
    raise NotPlain("an answer of an unknown kind")


def _text(value: Any, longest: int = 300) -> str:
    if type(value) is not str:
        raise NotPlain("an answer without words")
    return tame(value[:longest])


def tame(said: str) -> str:
    """A stranger's text, for a terminal and a file: without what moves the cursor, or is none."""
    return "".join(c if c.isprintable() or c in "\n\t" else "·" for c in said)


def _where(place: Any) -> Where | None:
    if place is None:
        return None
    name, line, code = place
    if type(line) is not int:
        raise NotPlain("a line without a number")
    return Where(_text(name), line, _text(code))


def _out(value: Any) -> Any:
    """A plain value as what JSON can say."""
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else {"f": repr(value)}
    if kind is bytes:
        return {"b": base64.b64encode(value).decode("ascii")}
    if kind is Packet:
        return {"p": [_out(field) for field in value]}
    if kind is list:
        return [_out(item) for item in value]
    if kind is tuple:
        return {"t": [_out(item) for item in value]}
    if kind is dict:
        return {"d": [[_out(key), _out(item)] for key, item in value.items()]}
    if hasattr(value, "dtype"):
        data = base64.b64encode(value.tobytes()).decode("ascii")
        return {"a": [value.dtype.name, list(value.shape), data]}
    return value


def _in(value: Any) -> Any:
    """What JSON said, as a value. Not yet bounded."""
    if type(value) is list:
        return [_in(item) for item in value]
    if type(value) is not dict:
        return value
    ((tag, said),) = value.items()
    match tag:
        case "f":
            return float(_text(said))
        case "b":
            return base64.b64decode(said, validate=True)
        case "p":
            return Packet(*(_in(field) for field in said))
        case "t":
            return tuple(_in(item) for item in said)
        case "d":
            return {_key(key): _in(item) for key, item in said}
        case "a":
            return _array(*said)
    raise NotPlain("a value of an unknown kind")


def _key(said: Any) -> Any:
    key = _in(said)
    if type(key) in (str, bytes) or (type(key) is int and abs(key) < LARGEST_KEY):
        return key
    raise NotPlain("a dict with a key that is none")


def _array(dtype: Any, shape: Any, data: Any) -> Any:
    import numpy as np

    if dtype not in ARRAYS:
        raise NotPlain("an array of an unknown kind")
    return np.frombuffer(base64.b64decode(data, validate=True), dtype).reshape(shape)
