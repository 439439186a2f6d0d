"""Many graders on many machines: the face of `labkit.grading.crew`, behind it Dask.

    with Farm(order, "tcp://10.0.0.1:8786") as farm:
        for answer in farm.grade(submissions): ...

A notebook travels as it was handed in, with the order; back come the record and the page. On the
worker there is a grader's process for each of its threads, as there is here for each job, and the
sandbox is there: so what a check may use is that of one process, whoever else works on the machine.
A worker that is lost takes nothing with it; another one grades what it had begun
(`labkit.lab.cluster`). All workers must run the labkit that runs here, with the same notebooks.

A job holds the seed: without TLS it can be read on the way. This module decides nothing and writes
no file, except on a worker the notebook that is being graded.
"""

import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from labkit.grading.crew import (
    PATIENCE,
    TRIES,
    Answer,
    GraderGone,
    GraderProcess,
    submission_in,
    submission_out,
)
from labkit.grading.grader import Graded, Grader, Order
from labkit.grading.limits import Limits
from labkit.grading.result import Result
from labkit.grading.submission import CannotRead, Source, Submission
from labkit.lab.cluster import Cluster, LostWork, OtherVersion
from labkit.words.errors import LabError


class Farm:
    """Graders on the workers of a scheduler. `grade` gives answers as they come."""

    def __init__(self, order: Order, url: str, certificates: Path | None = None) -> None:
        self._order = order
        self._grader = Grader(order)
        self._cluster = Cluster(url, certificates)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing more is begun; on the workers the graders end."""
        self._cluster.everywhere(end_graders)
        self._cluster.close()

    def grade(self, submissions: Sequence[Submission]) -> Iterator[Answer]:
        """An answer to each, in the order in which they are done."""
        if not submissions:
            return
        checks = self._grader.begin(submissions[0]).checks
        sent = []
        for submission in submissions:
            try:
                submission.read()
                sent.append(submission)
            except CannotRead:
                yield Answer(submission, self._grader.grade(submission))
        for number, said in self._cluster.attempt(grade_job, _Jobs(self._order, sent)):
            answer = _answer(sent[number], said)
            if answer.graded is not None and answer.graded.result.checks != checks:
                raise OtherVersion("a worker has other notebooks\n  try: the same on all machines")
            yield answer


class _Jobs(Sequence[bytes]):
    """What goes to the workers, read when its turn comes: a class does not fill the memory."""

    def __init__(self, order: Order, submissions: Sequence[Submission]) -> None:
        self._order = order
        self._submissions = submissions

    def __len__(self) -> int:
        return len(self._submissions)

    def __getitem__(self, number: Any) -> Any:
        submission = self._submissions[number]
        said = {"order": asdict(self._order), "submission": submission_out(submission)}
        return json.dumps(said).encode() + b"\n" + submission.read()


def _answer(submission: Submission, answer: bytes | LostWork) -> Answer:
    if isinstance(answer, LostWork):
        return Answer(submission, None, str(answer))
    said = json.loads(answer)
    if "refused" in said:
        raise LabError(said["refused"])
    if "gone" in said:
        return Answer(submission, None, said["gone"])
    return Answer(submission, Graded(Result.from_json(said["result"]), said["page"]))


# On a worker ------------------------------------------------------------------------------------


class _Bench(threading.local):
    """Of one thread of a worker: its grader's process."""

    order: Order | None = None
    process: GraderProcess | None = None


_bench: Final = _Bench()
_all: Final[set[GraderProcess]] = set()


def grade_job(job: bytes) -> bytes:
    """Grade one submission: JSON of its record and its page, or why there is none."""
    head, _, notebook = job.partition(b"\n")
    said = json.loads(head)
    order = Order(**{**said["order"], "limits": Limits(**said["order"]["limits"])})
    from distributed import get_worker

    # In the worker's own folder: Dask clears those of workers that were killed.
    with tempfile.NamedTemporaryFile(dir=get_worker().local_directory) as file:
        file.write(notebook)
        file.flush()
        submission = replace(submission_in(said["submission"]), source=Source(Path(file.name)))
        try:
            graded = _tried(order, submission)
        except GraderGone as gone:
            return json.dumps({"gone": str(gone)}).encode()
        except LabError as error:
            return json.dumps({"refused": f"on a worker: {error}"}).encode()
    return json.dumps({"result": graded.result.to_json(), "page": graded.page}).encode()


def _tried(order: Order, submission: Submission) -> Graded:
    for last in (False,) * (TRIES - 1) + (True,):
        process = _process(order)
        hung = threading.Timer(order.limits.wall_seconds + PATIENCE, process.end)
        hung.start()
        try:
            return process.ask(submission)
        except GraderGone:
            _forget()
            if last:
                raise
        finally:
            hung.cancel()
    raise AssertionError


def _process(order: Order) -> GraderProcess:
    """The grader of this thread; another one for another order."""
    if _bench.process not in _all or _bench.order != order:
        _forget()
        _bench.process, _bench.order = GraderProcess(order), order
        _all.add(_bench.process)
    assert _bench.process is not None
    return _bench.process


def _forget() -> None:
    process, _bench.process = _bench.process, None
    if process is not None:
        _all.discard(process)
        process.end()


def end_graders() -> None:
    """On a worker: end all graders, with their sandboxes."""
    for process in list(_all):
        _all.discard(process)
        with contextlib.suppress(OSError):
            process.end()
