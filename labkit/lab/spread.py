"""Work spread over other processes of this machine: bytes go there, bytes come back.

    for number, answer in Processes(4).spread(work, jobs): ...

`work` is a function of a module, from bytes to bytes; the processes import it by its name. They are
plain children that read jobs from a pipe, so a notebook's or a script's own `__main__` is not run
again in them, as `multiprocessing` would, and it is the same on every system. Answers come as they
are ready. `labkit.lab.cluster` has the same face, for other machines.

A job travels as eight bytes of length, in network byte order, and its bytes; so does an answer.
Both ends are ours: what a job means is for whoever made it. This module knows no call.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any, Final, Protocol, Self

from labkit.words.errors import BadInput, LabError

Work = Callable[[bytes], bytes]
SIZE: Final = 8
BOOT: Final = "import sys; sys.path[:] = {!r}; from labkit.lab.spread import main; main({!r}, {!r})"


class Spreading(Protocol):
    """Where work can be done."""

    places: int
    """How many jobs run at a time."""

    def spread(self, work: Work, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """The number of each job and its answer, as they are ready."""
        ...


class LostProcess(LabError):
    """A process ended in the middle of a job, not by an exception: the system ended it."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes:
    """Some processes of this machine. They end when the last answer has come, or nobody asks."""

    def __init__(self, places: int | None = None) -> None:
        self.places = processors() if places is None else places
        if self.places < 1:
            raise BadInput(f"{places} processes do no work", "1 or more")

    def spread(self, work: Work, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """The number of each job and its answer. A job that raises there raises `LostProcess`."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(jobs)):
            waiting.put(number)
        done: queue.SimpleQueue[tuple[int, bytes | BaseException]] = queue.SimpleQueue()
        with contextlib.ExitStack() as stack:
            for _ in range(min(self.places, len(jobs))):
                child = stack.enter_context(_Child(work))
                threading.Thread(
                    target=_feed, args=(child, jobs, waiting, done), daemon=True
                ).start()
            for _ in jobs:
                number, answer = done.get()
                if isinstance(answer, BaseException):
                    raise answer
                yield number, answer


def _feed(child: "_Child", jobs: Sequence[bytes], waiting: Any, done: Any) -> None:
    """Give jobs to one process until there are no more."""
    number = -1
    try:
        while True:
            number = waiting.get_nowait()
            done.put((number, child.ask(jobs[number])))
    except queue.Empty:
        return
    except Exception as error:  # noqa: BLE001  (it is raised where it can be told)
        done.put((number, error))


class _Child:
    """One process."""

    def __init__(self, work: Work) -> None:
        words = BOOT.format(sys.path, work.__module__, work.__name__)
        self._popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who end them
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._popen.kill()
        self._popen.wait()
        for end in (self._popen.stdin, self._popen.stdout):
            assert end is not None
            with contextlib.suppress(OSError):
                end.close()

    def ask(self, job: bytes) -> bytes:
        """What it says to one job."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with contextlib.suppress(OSError):
            _write(self._popen.stdin, job)
            answer = _read(self._popen.stdout)
            if answer is not None:
                return answer
        code = self._popen.wait()
        raise LostProcess(f"a process ended in the middle of its work, with code {code}")


def _write(end: IO[bytes], data: bytes) -> None:
    end.write(len(data).to_bytes(SIZE) + data)
    end.flush()


def _read(end: IO[bytes]) -> bytes | None:
    """The next piece; None when there is no more."""
    head = end.read(SIZE)
    if len(head) < SIZE:
        return None
    data = end.read(int.from_bytes(head))
    return data if len(data) == int.from_bytes(head) else None


def main(module: str, name: str) -> None:
    """In the child: do jobs until there is nobody who gives any."""
    from importlib import import_module

    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the work prints must not come between the answers
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    work: Work = getattr(import_module(module), name)
    while (job := _read(reading)) is not None:
        _write(writing, work(job))
