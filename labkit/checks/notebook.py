"""Notebooks of exercises: their cells, the exercises they check, and what their code defines.

    book = read(path)                         cells, whatever the file is like
    names, troubles = execute(book)           what the code of its cells defines, in this process
    find("01.1").run(InProcess(names))

Only what an exercise needs is executed: every code cell but those that check, and those that carry
the tag "hear", which play and draw. A cell that fails leaves its name in `troubles`, and the next
one runs. Each cell is known to tracebacks by the name that `label` gives it.

This module is read without nbformat, so that a sandbox starts quickly, and decides nothing.
"""

import ast
import json
import linecache
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from labkit.checks.blame import Where, where
from labkit.checks.limit import TimeUp, limit
from labkit.words.errors import BadInput

HEAR: Final = "hear"
"""The tag of cells that only play or draw."""
CO_COROUTINE: Final = 0x80
"""Of a code object's flags: it awaits something (`inspect.CO_COROUTINE`)."""
CELL_TIME: Final = 30.0
"""Seconds that a cell may take."""


class Cell(NamedTuple):
    """One code cell."""

    label: str
    """`cell 7`, counting all cells from 1, or with its name: `cell 7 (pack)`."""
    source: str
    checks: tuple[str, ...]
    """The exercises that it checks."""
    skipped: bool
    """It need not run: it checks, plays or draws."""
    grade_id: str = ""
    solution: bool = False
    """A student writes in it."""


class Trouble(NamedTuple):
    """A cell that did not run to its end."""

    label: str
    error: str
    where: Where | None


def read(path: str | Path) -> list[Cell]:
    """The code cells of a notebook. `BadInput` when the file is none."""
    path = Path(path)
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
        return [cell for cell in map(_cell, range(1, 10_000), book["cells"]) if cell is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{path.name} is no notebook ({type(error).__name__})"
        raise BadInput(why, "save it in Jupyter, as .ipynb") from None


def _cell(number: int, raw: dict[str, Any]) -> Cell | None:
    if raw["cell_type"] != "code":
        return None
    source = raw["source"]
    source = source if isinstance(source, str) else "".join(source)
    metadata = raw.get("metadata", {})
    marks = metadata.get("nbgrader", {})
    name = raw.get("id", "")
    label = f"cell {number}" + (f" ({name})" if name else "")
    checks = checked(source)
    skipped = bool(checks) or HEAR in metadata.get("tags", ())
    return Cell(
        label, source, checks, skipped, marks.get("grade_id", ""), bool(marks.get("solution"))
    )


def checked(source: str) -> tuple[str, ...]:
    """The exercises that a cell checks: `check("01.1", …)`, at its top."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = []
    for statement in tree.body:
        value = getattr(statement, "value", None)
        match value:
            case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(name)), *_]):
                found.append(name)
    return tuple(found)


def execute(
    cells: Sequence[Cell], seconds: float = CELL_TIME
) -> tuple[dict[str, Any], list[Trouble]]:
    """Run the cells that must run, in one namespace; what they define, and what went wrong."""
    names: dict[str, Any] = {"__name__": "__main__", "display": _display}
    troubles: list[Trouble] = []
    for cell in cells:
        if not cell.skipped:
            trouble = run_cell(cell, names, seconds)
            if trouble is not None:
                troubles.append(trouble)
    return names, troubles


def run_cell(cell: Cell, names: dict[str, Any], seconds: float = CELL_TIME) -> Trouble | None:
    """Run one cell in this namespace; what went wrong, if anything did."""
    file = f"<{cell.label}>"
    lines = cell.source.splitlines(keepends=True)
    linecache.cache[file] = (len(cell.source), None, lines, file)
    try:
        with limit(seconds):
            code = compile(cell.source, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & CO_COROUTINE:
                import asyncio  # takes longer than all the rest, and few cells wait for anything

                asyncio.run(eval(code, names))  # noqa: S307  (running it is the point)
            else:
                exec(code, names)  # noqa: S102
    except SyntaxError as error:
        place = Where(file, error.lineno or 0, (error.text or "").strip())
        return Trouble(cell.label, f"SyntaxError: {error.msg}", place)
    except TimeUp as error:
        return Trouble(cell.label, f"still running after {seconds:g} s", where(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (sys.exit() in a cell ends the cell)
        return Trouble(cell.label, f"{type(error).__name__}: {error}"[:300], where(error))
    return None


def _display(*what: Any, **how: Any) -> None:
    """In a notebook it shows; here nobody looks."""
