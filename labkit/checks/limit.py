"""No student's code runs for ever: after its time something is raised in it.

On the main thread, where notebook cells run, the system's timer interrupts: a loop, a sleep, a
wait for a lock. On other threads, and on Windows, an exception is set in the thread from another
one, which ends loops but not a sleep that has begun.

What an `except:` without a name swallows is raised again, and then also at lines of the student's
code that follow, by chance, until it is one that no `try` covers: in the `except` itself, say. (On
other threads it is only raised again.) Two things cannot be ended from inside a process: a single
call into C that does not return, `sum(range(10**12))`, and code that hunts for our timer to stop
it. In a notebook that costs its author a restart of the kernel; a grader runs other people's code
in a process of its own, and ends the process.
"""

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final

AGAIN: Final = 0.02
"""Seconds until it is raised once more, when it was swallowed."""
PATIENCE: Final = 2
"""So many times that is done where the code happens to be; then also at the lines that follow."""
CHANCE: Final = 0.5
"""Of each line."""


_OURS: Final = str(Path(__file__).parent)


class TimeUp(BaseException):
    """Time is up. No `Exception`, so that `except Exception` lets it through."""


@contextlib.contextmanager
def limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeUp` in the block when it takes longer than `seconds`; None: never."""
    if seconds is None:
        yield
    elif hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with _by_signal(seconds):
            yield
    else:
        with _by_thread(seconds):
            yield


@contextlib.contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    armed = True
    raised = 0
    dice = Random(seconds)

    def ring(signum: int, frame: FrameType | None) -> None:
        nonlocal raised
        del signum
        if not armed:
            return
        raised += 1
        if raised > PATIENCE:  # also where it lands when it is swallowed: in the `except`
            sys.settrace(at_a_line)
            while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
                frame.f_trace = at_a_line
                frame = frame.f_back
        raise TimeUp

    def at_a_line(frame: FrameType, event: str, arg: object) -> Any:
        del arg
        if frame.f_code.co_filename.startswith(_OURS):
            return None
        if armed and event == "line" and dice.random() < CHANCE:
            raise TimeUp
        return at_a_line

    before, traced = signal.signal(signal.SIGALRM, ring), sys.gettrace()
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), AGAIN)
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if raised > PATIENCE:
            sys.settrace(traced)


@contextlib.contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    target = ctypes.c_ulong(threading.get_ident())
    over = threading.Event()
    lock = threading.Lock()

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            with lock:
                if not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(TimeUp))
            wait = AGAIN

    watcher = threading.Thread(target=watch, name="labkit time limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            over.set()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(target, None)
        watcher.join()
