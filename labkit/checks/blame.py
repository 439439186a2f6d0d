"""Whose line was it? The student's own, out of a traceback that is mostly ours.

An error that a student's code raises, or lets through, is shown with the last line that the student
wrote on the way to it: the cell or file, the number, and the line itself. What lies above and below
in the traceback, the kit and the libraries, is nobody's business who learns networking.
"""

import linecache
import sys
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from labkit.checks.plain import NotPlain, plain

LONGEST: Final = 300
"""Characters of an error's message that are kept, and of a line."""
DEEPEST: Final = 20_000
"""Frames of a traceback that are looked at."""
_LIBRARIES: Final = tuple(
    {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_OURS: Final = str(Path(__file__).parents[1])


class Where(NamedTuple):
    """A line that a student wrote."""

    place: str
    """The cell, `In[7]`, or the name of the file."""
    line: int
    code: str
    """The line itself."""

    def __str__(self) -> str:
        return f"{self.place}, line {self.line}" + (f": {self.code}" if self.code else "")


def where(error: BaseException) -> Where | None:
    """The last line on the way to an error that is no library's and not ours."""
    last: TracebackType | None = None
    step, frames = error.__traceback__, 0
    while step is not None and frames < DEEPEST:
        if _is_students(step.tb_frame.f_code.co_filename):
            last = step
        step, frames = step.tb_next, frames + 1
    if last is None:
        return None
    file = last.tb_frame.f_code.co_filename
    code = linecache.getline(file, last.tb_lineno).strip()[:LONGEST]
    return Where(_place(file), last.tb_lineno, code)


def _is_students(file: str) -> bool:
    return not file.startswith((_OURS, *_LIBRARIES, "<frozen", "<string>"))


def _place(file: str) -> str:
    """A cell by its number, as Jupyter shows it; another file by its name."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        named = shell.compile.format_code_name(file)
        if named:
            return str(named[1])
    return file.strip("<>") if file.startswith("<") else Path(file).name


def blame(error: BaseException) -> tuple[tuple[str, ...], str, dict[str, Any]]:
    """The names of an error's classes, its message, and its plain attributes."""
    kinds = tuple(kind.__name__[:80] for kind in type(error).__mro__ if kind is not object)[:10]
    try:
        message = str(error)[:LONGEST]
    except Exception:  # noqa: BLE001  (it is the student's, and may be as wrong as the rest)
        message = ""
    fields = {}
    for name, value in list(vars(error).items())[:10]:
        try:
            fields[name[:40]] = plain(value)
        except NotPlain:
            continue
    return kinds, message, fields
