"""A submission's code behind the seam that checks know: run inside, judged from outside.

    with Sandbox() as box:
        subject = box.load(cells, withheld={"labkit.core.jitterbuffer"})
        for exercise in exercises(6).values():
            report = exercise.run(subject.fresh(), seed)

`cells` are (label, source) in their order; how each of them went is in `subject.cells`. The subject
has the face of `labkit.checks.subject`, and the checks run here: what is right never enters the
process that a submission's code is in, and no score comes out of it, only outcomes of plain values.

The process may be ended by the code in it, or for it. Then the check that asked is told so, and
`fresh` starts another process, in which the cells run again, so that each exercise is judged for
itself. A cell that ends the process, or takes too long, is left out of that.

Starting takes as long as everything else. Who knows that another submission follows can let its
box start meanwhile (`start_ahead`), with numpy imported; nothing of a submission is in it yet.

A `Sandbox` belongs to the thread that asks it first: when that thread ends, so does what is inside.
`Trusted` is the same without walls: for one's own notebook.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from labkit.checks.pipe import asks_to_text, outcomes_from_text
from labkit.checks.plain import NotPlain
from labkit.checks.subject import MOST_PRINTED, Ask, Died, Outcome, Subject, TimedOut
from labkit.grading import bubblewrap, seccomp
from labkit.grading.limits import Limits
from labkit.grading.outcomes import CellOutcome, CellState, bounded, cell_from_text
from labkit.grading.pipe import Gone, NoAnswer, TooLate
from labkit.grading.process import PATIENCE, Process
from labkit.words.errors import MissingCapability

START: Final = 20.0
"""Seconds until the worker must be there: a machine may be busy."""
LONGEST_CELL: Final = 1_000_000
"""Characters of one that is run at all."""
BOOT: Final = "import sys; sys.path += {}; {}from labkit.grading.worker import main; main()"
AHEAD: Final = "import gc; gc.disable(); import numpy; gc.enable(); "
"""Most notebooks ask for numpy, and it takes longer than all the rest; nothing of it is garbage."""


class _Spent(NoAnswer):
    """Nothing more is run for this submission."""


class Box:
    """A process for a submission's code, and another one when that has ended."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._process: Process | None = None
        self._ahead: Process | None = None
        self._withheld: frozenset[str] = frozenset()
        self._played: list[tuple[str, str]] = []
        self._begun = time.monotonic()
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the process, if there is one, and all that it has started."""
        for process in (self._process, self._ahead):
            if process is not None:
                process.end()
        self._process = self._ahead = None

    def start_ahead(self, withheld: Iterable[str] = frozenset()) -> None:
        """Start a process for the submission that will be loaded, and do not wait for it."""
        self.end()
        self._withheld = frozenset(withheld)
        self._ahead = self._begin(AHEAD)

    def load(
        self, cells: Iterable[tuple[str, str]], withheld: Iterable[str] = frozenset()
    ) -> "Loaded":
        """Run the cells of a submission in a new process, in order. Nothing in them raises here.

        `withheld` are modules of `labkit` that cannot be imported there, and whatever needs them.
        """
        if self._ahead is None or self._withheld != frozenset(withheld):
            self.end()
        self._withheld = frozenset(withheld)
        self._played.clear()
        self._begun, self._started = time.monotonic(), 0
        return Loaded(self, tuple([self._run(*cell) for cell in cells]))

    def _run(self, label: str, source: str) -> CellOutcome:
        if len(source) > LONGEST_CELL:
            return CellOutcome(label, CellState.LEFT_OUT, f"a cell of {len(source)} characters")
        try:
            self._left()
            begun = time.monotonic()
            outcome = self._play(label, source)
        except _Spent as error:
            return CellOutcome(label, CellState.LEFT_OUT, str(error))
        except NoAnswer as error:
            why = self.ended(error)
            if isinstance(error, TooLate):
                why = f"still running after {self.limits.cell_seconds:g} s"
            return CellOutcome(label, CellState.ENDED, why)
        if time.monotonic() - begun < self.limits.cell_seconds:
            self._played.append((label, source))
        return outcome

    def _play(self, label: str, source: str) -> CellOutcome:
        said = f"run {json.dumps([label, source])}"
        answer = self.ask(said, self.limits.cell_seconds + self.limits.grace_seconds)
        return cell_from_text(label, answer, self.limits.printed)

    def ask(self, said: str, seconds: float) -> str:
        """One request to the worker, which is started if need be. `NoAnswer` when there is none."""
        seconds = min(seconds, self._left())
        assert self._process is not None
        return self._process.pipes.ask(said, time.monotonic() + seconds)

    def _left(self) -> float:
        """See to it that there is a process; the seconds until everything is over."""
        left = self._begun + self.limits.wall_seconds - time.monotonic()
        if left <= 0:
            raise _Spent(f"its {self.limits.wall_seconds:g} s are over")
        if self._process is None:
            self._start()
        return left

    def _start(self) -> None:
        if self._started > self.limits.revivals:
            raise _Spent("it has ended its process too often")
        self._started += 1
        ahead, self._ahead = self._ahead, None
        if ahead is None or not self._greet(ahead):
            process = self._begin()
            if not self._greet(process):
                what = f"the sandbox did not start: {process.said}"
                raise MissingCapability(what, "again, and with fewer at once (--jobs)")
        for label, source in self._played:
            self._play(label, source)

    def _greet(self, process: Process) -> bool:
        """Tell it what it may use; whether it answers."""
        try:
            process.pipes.ask(json.dumps(self._setting()), time.monotonic() + START)
        except NoAnswer:
            process.end(PATIENCE)
            return False
        self._process = process
        return True

    def ended(self, error: Exception) -> str:
        """End the process because of this; why, in words."""
        process, self._process = self._process, None
        if process is None:
            return str(error)
        return process.end(PATIENCE if isinstance(error, Gone) else 0) or str(error)

    def _setting(self) -> dict[str, Any]:
        limits = self.limits
        return {
            "cell_seconds": limits.cell_seconds,
            "check_seconds": limits.check_seconds,
            "printed": limits.printed,
            "user": None,
            "withheld": [],
            "stand_in": str(bubblewrap.HERE / "withheld.py"),
            "resources": {
                "RLIMIT_CPU": [limits.cpu_seconds, limits.cpu_seconds + 1],
                "RLIMIT_AS": [limits.memory] * 2,
                "RLIMIT_FSIZE": [limits.file_size] * 2,
                "RLIMIT_NOFILE": [limits.open_files] * 2,
                "RLIMIT_CORE": [0, 0],
                "RLIMIT_MEMLOCK": [0, 0],
                "RLIMIT_MSGQUEUE": [0, 0],
                "RLIMIT_NPROC": [limits.threads] * 2,
            },
        }

    def _begin(self, first: str = "") -> "Process":
        """Start a process that does `first`, and then waits for its setting."""
        raise NotImplementedError


class Sandbox(Box):
    """A `Box` that is closed. `MissingCapability` where there can be none."""

    def __enter__(self) -> Self:
        bubblewrap.require()
        seccomp.program()
        return self

    def _begin(self, first: str = "") -> "Process":
        reading, writing = os.pipe()
        info, told = os.pipe()
        try:
            os.write(writing, seccomp.program())
            os.close(writing)
            words = bubblewrap.command(self.limits, self._withheld, reading, told)
            words += bubblewrap.python(_boot(first))
            return Process(words, bubblewrap.environment(), (reading, told), info)
        finally:
            os.close(reading)
            os.close(told)

    def _setting(self) -> dict[str, Any]:
        return super()._setting() | {"user": bubblewrap.stranger()}


class Trusted(Box):
    """The same face and the same limits of time and memory, and no walls: for one's own notebook.

    What is withheld cannot be imported either, by whoever does not go out of his way.
    """

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            what = "Windows has no limits for a process that this could set"
            raise MissingCapability(what, "labkit check, which runs it in its own process")
        return self

    def _begin(self, first: str = "") -> "Process":
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        words = bubblewrap.python(_boot(first))
        return Process(words, bubblewrap.environment() | keep)

    def _setting(self) -> dict[str, Any]:
        setting = super()._setting()
        del setting["resources"]["RLIMIT_NPROC"]  # it would count all that its user runs
        return setting | {"withheld": sorted(self._withheld)}


class Loaded(Subject):
    """A submission that has been loaded: whom a check asks. All questions of one check."""

    def __init__(self, box: Box, cells: tuple[CellOutcome, ...]) -> None:
        self.cells = cells
        """How each of its cells went."""
        self._box = box
        self._printed = ""
        self._begun = False
        self._left = box.limits.check_seconds + box.limits.grace_seconds
        self._over: Outcome | None = None

    def fresh(self) -> "Loaded":
        """The same submission for the next check, which has its own time."""
        return Loaded(self._box, self.cells)

    def printed(self) -> str:
        """What it has printed for this check, or the beginning of it."""
        return self._printed

    def ask(self, asks: Sequence[Ask]) -> list[Outcome]:
        """Answer in order, up to the first that does not return."""
        if self._over is not None:
            return [self._over]
        begun = time.monotonic()
        try:
            if not self._begun:
                self._box.ask("begin", START)
                self._begun = True
            begun = time.monotonic()
            answer = self._box.ask(f"ask {asks_to_text(asks)}", self._left)
            printed, _, line = answer.partition("\n")
            self._printed = bounded(json.loads(printed), MOST_PRINTED)
            return outcomes_from_text(line, len(asks))
        except (NoAnswer, NotPlain, ValueError, RecursionError) as error:
            return [self._ended(error)]
        finally:
            self._left -= time.monotonic() - begun

    def _ended(self, error: Exception) -> Outcome:
        why = self._box.ended(error)
        if not isinstance(error, NoAnswer):
            why = "it gave an answer that is none"
        late = isinstance(error, TooLate)
        self._over = TimedOut(self._box.limits.check_seconds, None) if late else Died(why)
        return self._over


def _boot(first: str) -> str:
    return BOOT.format([*map(str, bubblewrap.packages()), str(bubblewrap.KIT.parent)], first)
