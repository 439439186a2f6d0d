"""A class that hands in week 6: right, wrong as people are wrong, clumsy, and hostile.

    submissions = classroom(300, seed=1)       (student, notebook as bytes, points that it deserves)
    hand_in(submissions, folder)

Wrong answers are those of tests/wrong_answers, as text in a cell. A clumsy notebook is a right or
wrong one that went through clumsy hands, and deserves the same. What a notebook deserves is found
by the checks in this process, with no sandbox, repair or pool between.
"""

import ast
import copy
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from grading import hostile
from wrong_answers import week06
from wrong_answers.wrong import SOLUTIONS, solution

from labkit.checks.exercise import find
from labkit.checks.release import released
from labkit.checks.subject import InProcess

WEEK = 6
SOLVED = json.loads((SOLUTIONS / "week06_jitter_buffer.ipynb").read_text(encoding="utf-8"))
UNSOLVED = released(SOLVED)
CELL = {"06.1": "fixed-buffer", "06.2": "jitter", "06.3": "policy"}
NAMES = ("06.1", "06.2", "06.3")
Book = dict[str, Any]
Points = dict[str, float]


class Handed(NamedTuple):
    """One notebook, and what it deserves."""

    student: str
    data: bytes
    points: Points
    kind: str
    """What is special about it."""


# Wrong answers as text --------------------------------------------------------------------------

_TREE = ast.parse(Path(week06.__file__).read_text(encoding="utf-8"))
_TOP = {n.name: n for n in _TREE.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
for _list_maker in ("buffer", "jitter", "needed", "policy"):
    del _TOP[_list_maker]


def _used(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & _TOP.keys()


def _with_all(*wanted: ast.AST) -> str:
    """The text of what these nodes use, in the order of the file."""
    names: set[str] = set()
    new = set().union(*map(_used, wanted))
    while new:
        name = new.pop()
        names.add(name)
        new |= _used(_TOP[name]) - names
    return "\n\n".join(ast.unparse(node) for name, node in _TOP.items() if name in names)


@cache
def wrong_source(mistake: str) -> str:
    """What somebody wrote, so that it may stand in a cell below the solution and take its place."""
    each = next(wrong for wrong in week06.WRONG if wrong.mistake == mistake)
    ((name, value),) = each.names.items()
    rows = next(n.value for n in _TREE.body if isinstance(n, ast.Assign)
                and n.targets[0].id == "WRONG").elts  # fmt: skip
    row = rows[week06.WRONG.index(each)]
    meant = row.args[0] if row.func.id in ("buffer", "policy") else row.args[2]
    del value
    return (
        f"import sys\n\nimport numpy as np\n\n{_with_all(meant)}\n\n{name} = {ast.unparse(meant)}\n"
    )


def cell(book: Book, name: str) -> dict[str, Any]:
    return next(cell for cell in book["cells"] if cell["id"] == name)


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def write(cell: dict[str, Any], text: str) -> None:
    cell["source"] = text.splitlines(keepends=True)


def code(text: str) -> dict[str, Any]:
    """A cell of somebody's own."""
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [],
            "source": text.splitlines(keepends=True)}  # fmt: skip


def wrong_book(mistake: str) -> Book:
    each = next(wrong for wrong in week06.WRONG if wrong.mistake == mistake)
    book = copy.deepcopy(SOLVED)
    answer = cell(book, CELL[each.exercise])
    write(answer, source(answer) + "\n\n" + wrong_source(mistake))
    return book


@cache
def _points(exercise: str, mistake: str, seed: int) -> float:
    names = dict(_solution())
    for wrong in week06.WRONG:
        if wrong.mistake == mistake:
            names |= wrong.names
    return find(exercise).run(InProcess(names, None), seed).points


@cache
def _solution() -> dict[str, Any]:
    return solution(WEEK)


def deserved(mistake: str, seed: int) -> Points:
    """The points of the solution with this mistake; of the solution, without one."""
    exercise = next((w.exercise for w in week06.WRONG if w.mistake == mistake), "")
    full = {name: find(name).points for name in NAMES}
    return full if not exercise else full | {exercise: _points(exercise, mistake, seed)}


# Clumsy hands -----------------------------------------------------------------------------------


def no_setup(book: Book) -> None:
    book["cells"].remove(cell(book, "setup"))


def no_checks(book: Book) -> None:
    book["cells"] = [c for c in book["cells"] if not c["id"].startswith("check-")]


def stub_again_below(book: Book) -> None:
    for name in CELL.values():
        book["cells"].append(copy.deepcopy(cell(UNSOLVED, name)))


def setup_below(book: Book) -> None:
    first = cell(book, "setup")
    book["cells"].remove(first)
    book["cells"].append(first)


def no_marks(book: Book) -> None:
    """As an editor leaves it that knows no metadata."""
    book.update(nbformat_minor=2, metadata={})
    for each in book["cells"]:
        each["metadata"] = {}
        del each["id"]


def crashing_cells(book: Book) -> None:
    book["cells"].insert(2, code("1 / 0"))
    book["cells"].insert(6, code("import sys\nsys.exit(3)"))
    book["cells"].append(code("FixedBuffer(1).pull(0).nothing"))


def other_spelling(book: Book) -> None:
    for each in book["cells"]:
        write(each, source(each).replace("FixedBuffer", "Fixed_buffer"))


def given_to_the_check(book: Book) -> None:
    """Under a name of its own, which the student's check was given."""
    for each in book["cells"]:
        write(each, source(each).replace("MyPolicy", "Ears"))


def for_ipython(book: Book) -> None:
    for name in CELL.values():
        answer = cell(book, name)
        write(answer, "%matplotlib inline\n" + source(answer) + "\n!pip list\nms?\n")


def as_text(book: Book) -> None:
    answer = cell(book, "jitter")
    answer["cell_type"] = "markdown"
    for key in ("outputs", "execution_count"):
        del answer[key]


def into_the_check(book: Book) -> None:
    answer, check = cell(book, "policy"), cell(book, "check-policy")
    write(check, source(answer) + "\n\n" + source(check))
    book["cells"].remove(answer)


def tagged_as_heard(book: Book) -> None:
    cell(book, "fixed-buffer")["metadata"] = {"tags": ["hear"]}


def half_a_statement(book: Book) -> None:
    answer = cell(book, "jitter")
    write(answer, source(answer) + "\n\ndef unfinished(transits:\n    return transits[\n")


def helper_below(book: Book) -> None:
    """The class stands above what it is made of, as in a notebook that ran in another order."""
    answer = cell(book, "policy")
    book["cells"].append(code("class MyBase:\n    pass"))
    write(answer, source(answer) + "\n\nclass MyPolicy(MyPolicy, MyBase):\n    pass\n")


def upside_down(book: Book) -> None:
    book["cells"].reverse()


def twice(book: Book) -> None:
    book["cells"] += copy.deepcopy(book["cells"])


CLUMSY: dict[str, Callable[[Book], None]] = {
    f.__name__: f
    for f in (no_setup, no_checks, stub_again_below, setup_below, no_marks, crashing_cells,
              other_spelling, given_to_the_check, for_ipython, as_text, into_the_check,
              tagged_as_heard, half_a_statement, helper_below, upside_down, twice)
}  # fmt: skip


def packed(book: Book, how: str = "") -> bytes:
    """As a file."""
    text = json.dumps(book, indent=1, ensure_ascii=False)
    if how == "windows":
        return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    return text.encode()


# A class ----------------------------------------------------------------------------------------

BROKEN: dict[str, bytes] = {
    "empty": b"",
    "a PDF": b"%PDF-1.7 and so on",
    "cut off": packed(SOLVED)[:5000],
    "nested": b"[" * 200_000,
    "nested cells": b'{"nbformat": 4, "cells": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "many braces": b'{"cells": [' + b"{}," * 400_000 + b"{}]}",
    "a list": b"[1, 2, 3]",
    "a huge number": b'{"nbformat": 4, "cells": ' + b"9" * 100_000 + b"}",
    "format 3": json.dumps({"nbformat": 3, "worksheets": [{"cells": []}]}).encode(),
    "cells of text": json.dumps({"nbformat": 4, "cells": "none"}).encode(),
    "no code": json.dumps({"nbformat": 4, "cells": [{"cell_type": "markdown"}]}).encode(),
}
NOTHING: Points = dict.fromkeys(NAMES, 0.0)


def _hostile(dice: random.Random, seed: int) -> tuple[bytes, Points, str]:
    """A trick before a right or an unsolved notebook, or a file that is none."""
    if dice.random() < 0.3:
        kind = dice.choice(sorted(BROKEN))
        return BROKEN[kind], NOTHING, kind
    trick = dice.choice([each for each in hostile.ALL if each.limits is hostile.USUAL])
    right = trick.cells[-1] == hostile.RIGHT
    book = copy.deepcopy(SOLVED if right else UNSOLVED)
    if trick.exercise in NAMES:  # it is an answer to one of these
        book["cells"][1:1] = [code(text) for text in trick.cells]
        return packed(book), NOTHING | {trick.exercise: trick.points}, trick.name
    book["cells"].insert(1, code(trick.cells[0]))
    return packed(book), deserved("", seed) if right else NOTHING, trick.name


def classroom(count: int, dice_seed: int, seed: int) -> list[Handed]:
    """So many students: one of ten is clumsy, one of twenty hostile, a third are right."""
    dice = random.Random(dice_seed)
    mistakes = [wrong.mistake for wrong in week06.WRONG]
    clumsy = sorted(CLUMSY)
    handed = []
    for n in range(count):
        student = f"student{n:03}"
        if n % 20 == 19:
            data, points, kind = _hostile(dice, seed)
            handed.append(Handed(student, data, points, f"hostile: {kind}"))
            continue
        mistake = mistakes[n % len(mistakes)] if n % 3 else ""
        book = wrong_book(mistake) if mistake else copy.deepcopy(SOLVED)
        kind = mistake or "right"
        if n % 10 == 4:
            hands = clumsy[(n // 10) % len(clumsy)]
            CLUMSY[hands](book)
            kind += f", clumsy: {hands}"
        data = packed(book, dice.choice(["", "", "windows"]))
        handed.append(Handed(student, data, deserved(mistake, seed), kind))
    return handed


def hand_in(handed: list[Handed], folder: Path) -> None:
    """As nbgrader collects it."""
    for each in handed:
        path = folder / each.student / "week06" / "week06_jitter_buffer.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(each.data)
