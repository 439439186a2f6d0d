"""The process of a worker: started, spoken to through two pipes, and ended with all it has started.

In a sandbox there are three processes: bubblewrap outside, bubblewrap as the first process inside,
and the worker. When the first one inside ends, the kernel ends all others there, whatever they have
done to be alone (pid_namespaces(7)). So that one is ended, and bubblewrap outside buries it. When
the worker has ended by itself, the first process of the machine buries it, as it does for everyone.

This module knows neither what is said nor what is inside.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Final

from labkit.checks.pipe import tame
from labkit.grading.pipe import Pipes

PATIENCE: Final = 2.0
"""Seconds until a process that is ending has ended."""


class Process:
    """A worker that has been started, and the pipes to it."""

    def __init__(
        self,
        words: list[str],
        environment: dict[str, str],
        ends: Sequence[int] = (),
        info: int = -1,
    ) -> None:
        self.said = ""
        """The last line of what it said before the student's code ran: why it did not start."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (`end` closes it)
        self._popen = subprocess.Popen(  # noqa: S603
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            pass_fds=ends,
            start_new_session=True,  # Ctrl-C is for the grader: it is no fault of a submission
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._info = info
        self.pipes = Pipes(self._popen.stdout.fileno(), self._popen.stdin.fileno())

    def end(self, patience: float = 0.0) -> str:
        """End it, with all that it has started; how it had ended before that, in words."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._popen.wait(patience)
        if code is None:
            self._kill()
        self._errors.seek(0)
        lines = self._errors.read(4000).decode("utf-8", "replace").strip().splitlines()
        self.said = tame(lines[-1]) if lines else ""
        for end in (self._popen.stdin, self._popen.stdout, self._errors):
            with contextlib.suppress(OSError):  # it had closed its end with something in the pipe
                assert end is not None
                end.close()
        if self._info >= 0:
            os.close(self._info)
            self._info = -1
        return "" if code is None else _how(code)

    def _kill(self) -> None:
        """First the first process inside, with which all others go: bubblewrap buries it."""
        if self._info >= 0:
            with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
                first = json.loads(os.read(self._info, 4096))["child-pid"]
                os.kill(first, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(PATIENCE)
                return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


def _how(code: int) -> str:
    """What an exit code means: bubblewrap says 128 and the signal's number."""
    number = -code if code < 0 else code - 128
    if number == signal.SIGXCPU:
        return "it has used up its time of the processor"
    if number in set(signal.Signals):
        return f"the process was ended by {signal.Signals(number).name}"
    return f"the process has ended itself, with {code}"
