"""Many graders at once: processes of ours, each of which grades one submission after the other.

A check takes time of the processor outside the sandbox too, so each grader is a process. They are
told everything through their standard input: the order, with its seed, stands in no list of
processes and no environment. An answer is a line of JSON.

A grader that dies is replaced and its submission tried once more; one that dies twice is reported
as not graded, and the others go on. What takes longer than a submission may is ended. When whoever
started the crew is gone, so are the graders, and with them the sandboxes.

This module decides nothing and writes no file.
"""

import contextlib
import gc
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from labkit.grading.grader import Graded, Grader, Order
from labkit.grading.limits import Limits
from labkit.grading.result import Result, Status
from labkit.grading.submission import Source, Submission
from labkit.words.errors import LabError

TRIES: Final = 2
PATIENCE: Final = 60.0
"""Seconds beyond the limit of a submission, until a grader is taken for hung."""
SECRET: Final = "LABKIT_SEED"  # noqa: S105  (its name)


class Answer(NamedTuple):
    """What came of one submission."""

    submission: Submission
    graded: Graded | None
    """None: the graders died of it."""
    why: str = ""


class Crew:
    """So many graders. `grade` gives answers as they come."""

    def __init__(self, order: Order, jobs: int) -> None:
        self._order = order
        self._jobs = jobs
        self._todo: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: dict[int, GraderProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them all: those that still work, too."""
        self._stop.set()
        for _ in self._threads:
            self._todo.put(None)
        for process in list(self._processes.values()):
            process.end()
        for thread in self._threads:
            thread.join()

    def grade(self, submissions: Sequence[Submission]) -> Iterator[Answer]:
        """An answer to each, in the order in which they are done."""
        for submission in submissions:
            self._todo.put(submission)
        for number in range(min(self._jobs, len(submissions))):
            thread = threading.Thread(target=self._work, args=(number,), name=f"grader {number}")
            thread.start()
            self._threads.append(thread)
        for _ in submissions:
            answer = self._next()
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def _next(self) -> Answer | Exception:
        """The next answer, while an eye is kept on who takes too long."""
        while True:
            try:
                return self._answers.get(timeout=1.0)
            except queue.Empty:
                for process in list(self._processes.values()):
                    if process.overdue:
                        process.end()

    def _work(self, number: int) -> None:
        """One thread: a grader, and another one if that dies."""
        try:
            while not self._stop.is_set() and (submission := self._todo.get()) is not None:
                self._answers.put(self._tried(number, submission))
        except Exception as error:  # noqa: BLE001  (who waits for answers must hear of it)
            self._answers.put(error)
        finally:
            process = self._processes.pop(number, None)
            if process is not None:
                process.end()

    def _tried(self, number: int, submission: Submission) -> Answer:
        why = ""
        for _ in range(TRIES):
            if self._stop.is_set():
                break
            process = self._processes.get(number)
            if process is None:
                process = self._processes[number] = GraderProcess(self._order)
            try:
                return Answer(submission, process.ask(submission))
            except GraderGone as gone:
                why = str(gone)
                process.end()
                self._processes.pop(number, None)
        return Answer(submission, None, why)


class GraderGone(Exception):
    """A grader has ended."""


class GraderProcess:
    """One grader, seen from outside."""

    def __init__(self, order: Order) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (`end` closes it)
        self._limit = order.limits.wall_seconds + PATIENCE
        self._since: float | None = None
        # -P: what lies in the folder in which somebody stands is not imported.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "labkit.grading.crew"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: value for name, value in os.environ.items() if name != SECRET},
            start_new_session=True,  # Ctrl-C is for whoever started the crew, and he ends it
        )
        with contextlib.suppress(GraderGone):  # the first question will find out
            self._say({**asdict(order), "above": os.getpid()})

    @property
    def overdue(self) -> bool:
        """It works on one submission for longer than that may take."""
        since = self._since
        return since is not None and time.monotonic() - since > self._limit

    def ask(self, submission: Submission) -> Graded:
        """Grade one. `GraderGone` when the process has ended; its own `LabError` is raised here."""
        self._since = time.monotonic()
        try:
            self._say(submission_out(submission))
            assert self._popen.stdout is not None
            line = self._popen.stdout.readline()
        finally:
            self._since = None
        if not line.endswith(b"\n"):
            raise GraderGone(self._last_words())
        said = json.loads(line)
        if "refused" in said:
            raise LabError(said["refused"])
        return Graded(Result.from_json(said["result"]), said["page"])

    def _say(self, said: dict[str, Any]) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(said).encode() + b"\n")
            self._popen.stdin.flush()
        except (OSError, ValueError) as error:
            raise GraderGone(self._last_words()) from error

    def _last_words(self) -> str:
        code = self._popen.wait()
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            words = self._errors.read()[-2000:].decode("utf-8", "replace").strip()
            if words:
                return f"the grader ended: {words.splitlines()[-1][:300]}"
        return f"the grader was ended by signal {-code}" if code < 0 else f"it ended with {code}"

    def end(self) -> None:
        """End it at once; its sandbox ends with it."""
        self._popen.kill()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()


def submission_out(submission: Submission) -> dict[str, Any]:
    """As JSON says it."""
    said = asdict(submission)
    if submission.source is not None:
        said["source"] = [str(submission.source.path), submission.source.member]
    if submission.submitted is not None:
        said["submitted"] = submission.submitted.isoformat()
    return said


def submission_in(said: dict[str, Any]) -> Submission:
    """From what `submission_out` made."""
    source, submitted = said["source"], said["submitted"]
    return Submission(
        **{
            **said,
            "source": None if source is None else Source(Path(source[0]), source[1]),
            "submitted": None if submitted is None else datetime.fromisoformat(submitted),
            "others": tuple(said["others"]),
        }
    )


def failed(order: Order, submission: Submission, why: str) -> Graded:
    """The record and the page of a submission of which the graders died."""
    grader = Grader(order)
    return grader.closed(submission, grader.begin(submission), Status.FAILED, why)


# Inside one grader ------------------------------------------------------------------------------


def _end_with(above: int) -> None:
    """End when the process above does, however it ends."""
    if sys.platform == "linux":
        import ctypes
        import signal

        # prctl(PR_SET_PDEATHSIG): no other call of the system says this.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != above:
        raise SystemExit(1)


def main() -> None:
    """Answer until there is nobody who asks."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not print into the answers
    said = json.loads(sys.stdin.readline())
    _end_with(said.pop("above"))
    order = Order(**{**said, "limits": Limits(**said["limits"])})
    grader = None
    gc.set_threshold(50_000)  # a check makes questions by the thousand, and no garbage
    for line in sys.stdin:
        try:
            grader = grader or Grader(order, ahead=True)
            graded = grader.grade(submission_in(json.loads(line)))
            answer = {"result": graded.result.to_json(), "page": graded.page}
        except LabError as error:
            answer = {"refused": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
