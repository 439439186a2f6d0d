"""A protocol's states as a table that can be read, obeyed and drawn.

A table says, for each state, which causes are allowed and which state follows. What is not in the
table is illegal, so there is one place where a protocol is strict, and one message when it is
broken. The drawing is made from the table and cannot disagree with it.

This module does not know what the states and causes mean.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from labkit.words.errors import ProtocolError

S = TypeVar("S", bound=Enum)
C = TypeVar("C", bound=Enum)

BREAK = "\\n"
"""A line break in a label of Graphviz: a backslash and an n."""


def follow(
    table: Mapping[S, Mapping[C, S]], state: S, cause: C, *, error: type[ProtocolError]
) -> S:
    """The state that follows; `error`, naming state and cause, when the table has none."""
    try:
        return table[state][cause]
    except KeyError:
        allowed = ", ".join(str(c.value) for c in table.get(state, {})) or "nothing"
        raise error(f"{cause.value} is illegal in state {state.value} (legal: {allowed})") from None


def to_text(table: Mapping[S, Mapping[C, S]]) -> str:
    """One line for each arrow: state, cause, next state."""
    rows = [
        (a.value, cause.value, b.value)
        for a, arrows in table.items()
        for cause, b in arrows.items()
    ]
    wide = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"{a:{wide[0]}} -- {by:{wide[1]}} --> {b}" for a, by, b in rows)


def to_dot(table: Mapping[S, Mapping[C, S]], name: str = "states") -> str:
    """The same as a graph in Graphviz's language; causes with the same arrow share it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for a, out in table.items():
        for cause, b in out.items():
            arrows.setdefault((a.value, b.value), []).append(cause.value)
    lines = [
        f'  "{a}" -> "{b}" [label="{BREAK.join(causes)}"];' for (a, b), causes in arrows.items()
    ]
    return "\n".join([f'digraph "{name}" {{', "  rankdir=LR;", *lines, "}"])
