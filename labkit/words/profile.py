"""A network profile: what a link does to packets, in the words of netem(8).

A profile is a small TOML file:

    title = "A café's wireless network on a busy afternoon"
    source = "where the figures come from"

    [both]                      # or [up] and [down], or [both] with differences in [up] and [down]
    delay = "8ms"
    jitter = "5ms"
    distribution = "paretonormal"
    gemodel = { p = "1%", r = "30%", 1-h = "100%", 1-k = "0%" }

    [[both.steps]]              # from this instant on, these words differ from the ones above
    at = "10s"
    loss = "100%"

A step names only what differs from the link's own words; a step with nothing but `at` is the
link as it was. With `repeat`, the steps start again after that time.

The same profile is read by every engine that makes a bad network: the simulation, the relay, and
`tc` itself through `tc_arguments`. This module knows how such a file is written; what the words
mean is in `labkit.words.linkspec`. It opens no file: `labkit.resources` says where they are.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from labkit.words.errors import BadInput
from labkit.words.linkspec import GilbertElliott, LinkSpec, Reorder, Slot, Step
from labkit.words.tc import read_rate, read_share, read_time, tc_arguments

__all__ = [
    "GilbertElliott",
    "LinkSpec",
    "Profile",
    "Reorder",
    "Slot",
    "Step",
    "parse_profile",
    "tc_arguments",
]


@dataclass(frozen=True, slots=True)
class Profile:
    """A link with two directions: `up` from the first host to the second, `down` back."""

    name: str
    title: str
    source: str
    up: LinkSpec
    down: LinkSpec


def parse_profile(text: str, name: str) -> Profile:
    """Read a profile. `BadInput` names the file, the section, the word and the nearest legal one.

    `name` is the profile's name or its file; it becomes `Profile.name` and opens each message.
    """
    with _within(f"profile {name}: "):
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"this is not TOML: {error}") from None
        head = _read(document, _FILE, ("title", "source"))
        up = _read_direction(head, "up")
        down = _read_direction(head, "down")
    return Profile(name, head["title"], head["source"], up, down)


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Let complaints from inside begin with `where`."""
    try:
        yield
    except BadInput as error:
        raise BadInput(where + error.what, error.remedy) from None


_Reader = Callable[[object], Any]


def _read(
    table: Mapping[str, object], words: Mapping[str, _Reader], needed: Sequence[str] = ()
) -> dict[str, Any]:
    """Read each word of a table with its reader; refuse words that are not known."""
    for word in needed:
        if word not in table:
            raise BadInput(f"{word} is missing", f"{word} = …")
    for word in table:
        if word not in words:
            close = difflib.get_close_matches(word, words, n=1)
            nearest = close[0] if close else "one of " + ", ".join(words)
            raise BadInput(f"there is no word {word!r} here", nearest)
    fields = {}
    for word, value in table.items():
        with _within(f"{word}: "):
            fields[word] = words[word](value)
    return fields


def _read_direction(head: Mapping[str, Any], direction: str) -> LinkSpec:
    """The words of [both], and over them those of [up] or [down]."""
    if "both" not in head and direction not in head:
        raise BadInput(f"[{direction}] is missing", "[both], which stands for both directions")
    table = head.get("both", {}) | head.get(direction, {})
    with _within(f"[{direction if direction in head else 'both'}] "):
        fields = _read(table, {**_LINK, "steps": _tables, "repeat": read_time})
        steps = fields.pop("steps", [])
        repeat = fields.pop("repeat", 0)
        link = LinkSpec(**fields)
        later = []
        for number, step in enumerate(steps, 1):
            with _within(f"step {number}: "):
                later.append(_read_step(step, link))
        return replace(link, steps=tuple(later), repeat=repeat)


def _read_step(table: Mapping[str, object], link: LinkSpec) -> Step:
    """A moment, and the link with the words that the step names changed."""
    changes = _read(table, {**_LINK, "at": read_time}, ("at",))
    at = changes.pop("at")
    if "loss" in changes:  # one way of losing replaces the other
        changes.setdefault("gemodel", None)
    elif "gemodel" in changes:
        changes["loss"] = 0.0
    return Step(at, replace(link, **changes))


# --- readers of one value ----------------------------------------------------------------------


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{value!r} is not text in quotes")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"{value!r} is not a whole number")
    return value


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadInput(f"{value!r} is not a table")
    return value


def _tables(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise BadInput("this is not a list of tables", "[[both.steps]]")
    return [_table(each) for each in value]


def _gemodel(value: object) -> GilbertElliott:
    words = dict.fromkeys(("p", "r", "1-h", "1-k"), read_share)
    fields = _read(_table(value), words, ("p", "r"))
    return GilbertElliott(fields["p"], fields["r"], fields.get("1-h", 1.0), fields.get("1-k", 0.0))


def _reorder(value: object) -> Reorder:
    words = {"probability": read_share, "correlation": read_share, "gap": _whole}
    return Reorder(**_read(_table(value), words, ("probability",)))


def _slot(value: object) -> Slot:
    words = {"min_delay": read_time, "max_delay": read_time, "packets": _whole, "bytes": _whole}
    return Slot(**_read(_table(value), words, ("min_delay", "max_delay")))


_FILE: Final[Mapping[str, _Reader]] = {
    "title": _word,
    "source": _word,
    "both": _table,
    "up": _table,
    "down": _table,
}
_LINK: Final[Mapping[str, _Reader]] = {
    "delay": read_time,
    "jitter": read_time,
    "distribution": _word,
    "delay_correlation": read_share,
    "loss": read_share,
    "loss_correlation": read_share,
    "gemodel": _gemodel,
    "duplicate": read_share,
    "reorder": _reorder,
    "corrupt": read_share,
    "rate": read_rate,
    "packet_overhead": _whole,
    "limit": _whole,
    "slot": _slot,
    "delay_trace": _word,
    "delay_trace_step": read_time,
}
