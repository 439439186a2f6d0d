"""A program at a host of a lab: what it prints, and its end.

What it prints comes through pipes; a thread each reads them, so that no program waits because
nobody reads. Its exit code and our signals travel on a socket that is this program's alone.

This module knows no namespace and starts nothing: `labkit.live.link.host` does.
"""

import select
import signal
import socket
import subprocess
import threading
import weakref
from typing import IO, Final

from labkit.live.link import messages
from labkit.words.errors import BadInput

LAST_WORDS: Final = 2.0
"""Seconds that we wait for the rest of what a program has printed that has ended: a child of it may
live on and keep the pipe open."""


class Output:
    """What a program has printed so far, in lines."""

    def __init__(self, file: IO[str]) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(file,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._lines)

    @property
    def lines(self) -> list[str]:
        """All of it, without line ends."""
        return self.text.splitlines()

    def wait_for(self, part: str, timeout: float = 10) -> str:
        """The first line that contains `part`. `TimeoutError` when none comes."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._find(part) is not None, timeout)
            found = self._find(part)
        if found is None:
            raise TimeoutError(f"{part!r} was not printed; what was:\n{self.text}")
        return found.rstrip("\n")

    def wait_for_end(self, timeout: float) -> None:
        """Until the program has closed it."""
        with self._news:
            self._news.wait_for(lambda: self._ended, timeout)

    def _find(self, part: str) -> str | None:
        return next((line for line in self._lines if part in line), None)

    def _read(self, file: IO[str]) -> None:
        with file:
            for line in file:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Program:
    """A program that was started at a host. `returncode` is None until it has ended."""

    def __init__(
        self, args: list[str], exits: socket.socket, stdout: Output | None, stderr: Output | None
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        self._stdout = stdout
        self._stderr = stderr
        self._exits = exits
        weakref.finalize(self, exits.close)  # who forgets a program lets it run
        self._lock = threading.Lock()

    @property
    def stdout(self) -> Output:
        """What it prints. `BadInput` when it was started without `capture`."""
        return self._captured(self._stdout)

    @property
    def stderr(self) -> Output:
        """What it complains about."""
        return self._captured(self._stderr)

    def poll(self) -> int | None:
        """Its exit code if it has ended: negative, if a signal ended it."""
        try:
            return self._exit_code(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code. `subprocess.TimeoutExpired` when it goes on."""
        code = self._exit_code(timeout)
        for output in (self._stdout, self._stderr):
            if output is not None:
                output.wait_for_end(LAST_WORDS)
        return code

    def _exit_code(self, timeout: float | None) -> int:
        """Any number of threads may wait, and one of them reads."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._exits, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._lock:
                if self.returncode is None:
                    code, _ = messages.receive(self._exits)
                    # Nothing at all: the lab has ended, and the kernel has killed what was in it.
                    self.returncode = -signal.SIGKILL if code is None else int(code)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To it and to its children. Nothing happens if it has ended."""
        if self.poll() is None:
            try:
                messages.send(self._exits, number)
            except OSError:
                return  # it has ended in this moment

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _captured(self, output: Output | None) -> Output:
        if output is None:
            raise BadInput("what this program prints is not kept", "start(command, capture=True)")
        return output

    def __repr__(self) -> str:
        state = "running" if self.poll() is None else f"ended with {self.returncode}"
        return f"<Program {' '.join(self.args)}: {state}>"
