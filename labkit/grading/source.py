"""The text of a cell: what it defines, what it checks, and what of it can be run.

Cells come from strangers and are only parsed here, never run. What Python cannot read is mended
where its meaning is plain: lines that speak to IPython (`%matplotlib inline`, `!pip install`) are
left out, and of a cell with an error the statements are kept that can be read, so that one colon
costs one function and not the whole cell.

This module knows no exercise.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

MAGIC: Final = re.compile(r"\s*([%!?]|[\w.]+\s*=\s*[%!])|.*[\w)\]]\?{1,2}\s*$")
"""A line for IPython, where Python cannot read the cell."""
WRAPPERS: Final = ("time", "timeit", "capture", "prun")
"""Cell magics around Python; under any other the cell is something else."""
HEAD: Final = re.compile(r"[^\s)\]}#]")
"""How a line begins with which a statement may begin: it is not indented."""
TOGETHER: Final = 40
"""Lines of that kind that are tried together."""
MOST_TRIES: Final = 1000
LONGEST: Final = 50_000
"""Characters of a cell that is read statement by statement."""
BROKEN: Final = (SyntaxError, ValueError, RecursionError, MemoryError)


class Kind(Enum):
    """What a name is, as far as the text says."""

    FUNCTION = "function"
    CLASS = "class"
    VALUE = "value"
    ANYTHING = "anything"
    """What a call returned, or another name for something."""


class Mended(NamedTuple):
    """What can be run of a cell."""

    source: str
    told: str
    """What was left out; empty when nothing was."""


class Check(NamedTuple):
    """A call of `check` in a cell."""

    exercise: str
    given: tuple[str, ...]
    """The names of what it was given, in order; empty for what is no name."""


def tree_of(source: str) -> ast.Module | None:
    """Parsed; None when Python cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\\d" is a warning, and its author's business
        try:
            return ast.parse(source)
        except BROKEN:
            return None


def mended(source: str) -> Mended:
    """The cell, or what of it Python can read."""
    if tree_of(source) is not None:
        return Mended(source, "")
    bare = _without_magic(source)
    if tree_of(bare) is not None:
        return Mended(bare, "lines for IPython (% and !) were left out")
    kept, lost = _readable(bare.split("\n")) if len(bare) <= LONGEST else ("", [])
    if not kept.strip():
        return Mended("", "Python cannot read it; nothing of it was run")
    lines = ", ".join(str(line) for line in lost[:5])
    return Mended(kept, f"Python cannot read what begins in line {lines}; the rest of it was run")


def _without_magic(source: str) -> str:
    """Line by line, so that numbers stay."""
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if match := re.match(r"\s*%%(\w+)", lines[first]):
        if match[1] not in WRAPPERS:
            return "\n" * (len(lines) - 1)
        lines[first] = ""
    return "\n".join(_passed(line) if MAGIC.match(line) else line for line in lines)


def _passed(line: str) -> str:
    return line[: len(line) - len(line.lstrip())] + "pass"


def _readable(lines: Sequence[str]) -> tuple[str, list[int]]:
    """The statements that can be read, on their own lines; and where the others begin."""
    kept = [""] * len(lines)
    lost: list[int] = []
    heads = [*(i for i, line in enumerate(lines) if HEAD.match(line)), len(lines)]
    begin, tries = 0, 0
    while begin < len(heads) - 1:
        # As many as can be read together: an `else` belongs to what stands above it.
        for end in range(min(begin + TOGETHER, len(heads) - 1), begin, -1):
            first, last = heads[begin], heads[end]
            tries += 1
            if tries > MOST_TRIES:
                return "\n".join(kept), [*lost, heads[begin] + 1]
            if tree_of("\n".join(lines[first:last])) is not None:
                kept[first:last] = lines[first:last]
                begin = end
                break
        else:
            lost.append(heads[begin] + 1)
            begin += 1
    return "\n".join(kept), lost


def defined(source: str) -> dict[str, Kind]:
    """The names that a cell defines at its top, in order."""
    tree = tree_of(source)
    return dict(_defined(tree.body)) if tree is not None else {}


def _defined(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Kind]]:
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, Kind.FUNCTION
            case ast.ClassDef(name=name):
                yield name, Kind.CLASS
            case ast.Assign(targets=targets, value=value):
                kind = _kind(value)
                yield from ((t.id, kind) for t in targets if isinstance(t, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, Kind.VALUE
            case ast.If() | ast.Try() | ast.With():
                yield from _defined(statement.body)


def _kind(value: ast.expr) -> Kind:
    """What an expression gives."""
    if isinstance(value, ast.Lambda):
        return Kind.FUNCTION
    open_ended = isinstance(value, (ast.Call, ast.Name, ast.Attribute, ast.IfExp))
    return Kind.ANYTHING if open_ended else Kind.VALUE


def checks_of(source: str) -> tuple[Check, ...]:
    """The calls of `check` at the top of a cell."""
    tree = tree_of(source)
    found = [] if tree is None else [_check(statement) for statement in tree.body]
    return tuple(each for each in found if each is not None)


def _check(statement: ast.stmt) -> Check | None:
    match getattr(statement, "value", None):
        case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(name)), *rest]):
            return Check(name, tuple(r.id if isinstance(r, ast.Name) else "" for r in rest))
    return None


def without_checks(source: str) -> str:
    """The cell without its calls of `check`; empty when that is all it does."""
    tree = tree_of(source)
    if tree is None:
        return source
    lines = source.split("\n")
    others = False
    for statement in tree.body:
        if _check(statement) is None:
            plain = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            others = others or not plain
            continue
        for line in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
            lines[line] = "pass" if line == statement.lineno - 1 else ""
    return "\n".join(lines) if others else ""


def normal(source: str) -> str:
    """The text without what makes no difference: blanks at ends of lines, empty lines."""
    return "\n".join(line.rstrip() for line in source.split("\n") if line.strip())


def likeness(a: str, b: str) -> float:
    """How many of their lines two texts share, from 0 to 1."""
    lines = [{line.strip() for line in text.split("\n") if line.strip()} for text in (a, b)]
    either = lines[0] | lines[1]
    return len(lines[0] & lines[1]) / len(either) if either else 1.0
