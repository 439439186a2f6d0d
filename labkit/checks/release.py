"""From a solved notebook to the one that students get, and from it one answer alone.

What stands between `### BEGIN SOLUTION` and `### END SOLUTION` in a solution cell is replaced by
the two lines that nbgrader puts there, so that `labkit course release` and `nbgrader
generate_assignment` give the same text. Outputs are dropped; names, points and marks of cells stay.

A notebook is a dict here, as JSON gives it. This module opens no file.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

from labkit.checks.notebook import checked
from labkit.words.errors import BadInput

BEGIN: Final = "### BEGIN SOLUTION"
END: Final = "### END SOLUTION"
STUB: Final = ("# YOUR CODE HERE", "raise NotImplementedError()")


def released(book: dict[str, Any]) -> dict[str, Any]:
    """The unsolved notebook. `BadInput` names a cell whose marks do not fit together."""
    book = copy.deepcopy(book)
    for cell in book["cells"]:
        source = "".join(cell["source"])
        solution = cell["metadata"].get("nbgrader", {}).get("solution", False)
        if solution != (BEGIN in source):
            raise BadInput(
                f"cell {cell['id']}: a solution cell has marks, and no other",
                f"{BEGIN} and {END}, and nbgrader's metadata",
            )
        if solution:
            cell["source"] = _lines("\n".join(_stubbed(cell["id"], source)))
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return book


def _stubbed(name: str, source: str) -> Iterator[str]:
    inside = False
    for line in source.split("\n"):
        mark = line.strip()
        if mark in (BEGIN, END):
            if inside == (mark == BEGIN):
                raise BadInput(f"cell {name}: {mark} where it cannot be", "one after the other")
            inside = not inside
            indent = line[: len(line) - len(line.lstrip())]
            if inside:
                yield from (indent + stub for stub in STUB)
        elif not inside:
            yield line
    if inside:
        raise BadInput(f"cell {name}: no {END}", "a line of its own after the solution")


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def solved(book: dict[str, Any], exercise: str) -> str:
    """The solution cells of one exercise: those between the check before it and its own."""
    cells: list[str] = []
    for cell in book["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        names = checked(source)
        if exercise in names:
            return "\n\n\n".join(cells)
        if names:
            cells.clear()
        elif cell["metadata"].get("nbgrader", {}).get("solution"):
            lines = (line for line in source.split("\n") if line.strip() not in (BEGIN, END))
            cells.append("\n".join(lines))
    raise BadInput(f"exercise {exercise} is in no solved notebook", "labkit check: its names")


def to_text(book: dict[str, Any]) -> str:
    """A notebook as it is stored: as Jupyter writes it."""
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"
