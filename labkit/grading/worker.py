"""What runs inside a sandbox: it lets a student's code answer, and knows nothing of what is right.

    {…}                how much may be used                                → ready
    run [label, code]  a cell of the notebook                              → how it went
    begin              a check begins: its time and its printing are new   → ready
    ask […]            questions (`labkit.checks.subject`)                 → the print, outcomes

Requests come from one pipe and answers go to the other (`labkit.grading.pipe`). Whatever the code
prints, exits with or raises is caught as far as Python can; what is not ends this process, and
nothing else. The limits are set before the first line of a student's code runs, and cannot be
lifted by it.

`labkit.checks` answers the questions in the same way as in a notebook. numpy is not imported before
the student's code asks for it.
"""

import builtins
import contextlib
import gc
import io
import json
import os
import sys
from _sitebuiltins import _Helper
from importlib.machinery import ModuleSpec
from typing import Any, Final

from labkit.checks import pipe as text
from labkit.checks.notebook import Cell, Trouble, run_cell
from labkit.checks.subject import InProcess, Outcome, Raised, Unfit
from labkit.grading.pipe import read_frame, write_frame

MOST_TEXT: Final = text.LONGEST - 100_000
"""Characters of one answer: the rest is for what was printed."""
TOGETHER: Final = "more values together than one answer can carry"


class Worker:
    """A namespace for the cells of a notebook, and questions about what is in it."""

    def __init__(self, setting: dict[str, Any]) -> None:
        self._cell_seconds: float = setting["cell_seconds"]
        self._check_seconds: float = setting["check_seconds"]
        self._printed: int = setting["printed"]
        self._names: dict[str, Any] = {
            "__name__": "__main__",
            "display": _display,
            "get_ipython": _get_ipython,
        }
        self._subject = InProcess(self._names, self._check_seconds)

    def answer(self, request: str) -> str:
        """What is to be said to one request."""
        verb, _, said = request.partition(" ")
        if verb == "run":
            return self._run(*json.loads(said))
        if verb == "ask":
            return self._ask(said)
        self._subject = InProcess(self._names, self._check_seconds)
        return "ready"

    def _run(self, label: str, source: str) -> str:
        tail = _Tail(self._printed)
        with contextlib.redirect_stdout(tail), contextlib.redirect_stderr(tail):
            try:
                cell = Cell(label, source, (), skipped=False)
                trouble = run_cell(cell, self._names, self._cell_seconds)
            except BaseException as error:  # noqa: BLE001  (a KeyboardInterrupt of its own)
                trouble = Trouble(label, type(error).__name__, None)
        said, where = (trouble.error, trouble.where) if trouble else ("", None)
        return json.dumps([trouble is None, said, where, tail.getvalue()])

    def _ask(self, said: str) -> str:
        asks = text.asks_from_text(said)
        try:
            outcomes = self._subject.ask(asks)
        except BaseException as error:  # noqa: BLE001  (a KeyboardInterrupt of its own)
            outcomes = [Raised((type(error).__name__, "BaseException"), "", None, {})]
        return f"{json.dumps(self._subject.printed())}\n{_fitting(outcomes)}"


def _fitting(outcomes: list[Outcome]) -> str:
    """The outcomes as text, up to the first that no longer fits."""
    line = text.outcomes_to_text(outcomes)
    if len(line) <= MOST_TEXT and text.parts_of(line) <= text.MOST_PARTS:
        return line
    fitting: list[Outcome] = []
    size = parts = 0
    for outcome in outcomes:
        one = text.outcomes_to_text([outcome])
        size, parts = size + len(one), parts + text.parts_of(one) + 1
        if size > MOST_TEXT or parts > text.MOST_PARTS - 10:
            return text.outcomes_to_text([*fitting, Unfit(TOGETHER)])
        fitting.append(outcome)
    return text.outcomes_to_text(fitting)


class _Tail(io.StringIO):
    """Keeps the end of what is written."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._cut = False

    def write(self, said: str) -> int:
        super().write(said[-self._longest :])
        if self.tell() > 2 * self._longest or len(said) > self._longest:
            kept = super().getvalue()[-self._longest :]
            self.seek(0)
            self.truncate()
            super().write(kept)
            self._cut = True
        return len(said)

    def getvalue(self) -> str:
        """The end, with a mark where the rest was."""
        kept = super().getvalue()
        cut = self._cut or len(kept) > self._longest
        return ("…" if cut else "") + kept[-self._longest :]


def _display(*what: Any, **how: Any) -> None:
    """In a notebook it shows; here nobody looks."""


def _get_ipython() -> Any:
    raise RuntimeError("there is no IPython here: the cells are run by Python alone")


class _Withheld:
    """Leads the import system to what stands in place of some modules."""

    def __init__(self, modules: frozenset[str], stand_in: str) -> None:
        self._modules = modules
        self._stand_in = stand_in

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Where this module is: None for whoever is asked next."""
        del path, target
        if name not in self._modules:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, self._stand_in)


def _confine(setting: dict[str, Any]) -> None:
    """Become nobody, and set the limits: hard ones, for good."""
    if setting["user"] is not None:
        os.setgroups([])
        os.setresgid(*[setting["user"]] * 3)
        os.setresuid(*[setting["user"]] * 3)
    import resource

    for name, (soft, hard) in setting["resources"].items():
        which = getattr(resource, name, None)
        if which is not None:
            with contextlib.suppress(ValueError, OSError):  # macOS knows some by name only
                resource.setrlimit(which, (soft, hard))


def main() -> None:
    """Answer until there is nobody who asks."""
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    first = read_frame(reading)
    if first is None:
        return
    number, said = first
    setting = json.loads(said)
    _confine(setting)
    if setting["withheld"]:
        finder: Any = _Withheld(frozenset(setting["withheld"]), setting["stand_in"])
        sys.meta_path.insert(0, finder)
    # What the interpreter adds at a prompt, and some write in a notebook.
    vars(builtins).update(exit=sys.exit, quit=sys.exit, help=_Helper())
    gc.freeze()  # what is here stays: nobody need look for garbage in it
    worker = Worker(setting)
    for end in (0, 1, 2):
        os.dup2(nothing, end)
    answer = "ready"
    while True:
        write_frame(writing, number, answer)
        request = read_frame(reading)
        if request is None:
            return
        number, said = request
        answer = worker.answer(said)
