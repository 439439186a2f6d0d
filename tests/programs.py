"""Programs for tests: started, listened to line by line, and ended by their process id.

A test waits for a line that the program prints, never for time to pass.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LIMIT = 30.0
"""Seconds after which a line that has not come, or an end, will not come. For hangs only."""
BIN = Path(sys.executable).parent


class Program:
    """A running program whose output, both kinds, can be waited for. `env`: instead of ours."""

    def __init__(
        self, command: str | Sequence[object], env: Mapping[str, str] = os.environ, **options: Any
    ) -> None:
        split = shlex.split(command) if isinstance(command, str) else command
        words = [str(word) for word in split]
        if (BIN / words[0]).exists():  # `streamer`, `receiver`, `labkit` of this environment
            words[0] = str(BIN / words[0])
        self.command = " ".join(words)
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**env, "PYTHONUNBUFFERED": "1"},
            **({"stderr": subprocess.STDOUT} | options),
        )
        self.pid = self.process.pid
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The first line, or the one numbered `times`, in which the pattern is found."""

        def found() -> list[re.Match[str]]:
            return [m for line in self.lines if (m := re.search(pattern, line))]

        with self._news:
            self._news.wait_for(lambda: self._over or len(found()) >= times, LIMIT)
            matches = found()
        assert len(matches) >= times, f"{self.command}\ndid not say {pattern!r}:\n{self.output}"
        return matches[times - 1]

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        return code

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


def run(*command: object, **options: Any) -> Program:
    """Run to the end."""
    with Program(command, **options) as program:
        program.finish()
    return program


def serving(proto: str, source: object, *more: object) -> Program:
    """A streamer on a port of its own choice."""
    return Program(["streamer", "serve", "--proto", proto, "--port", 0, "--source", source, *more])


def address_of(server: Program) -> str:
    """host:port, as soon as it listens."""
    return server.wait_for(r"--addr (\S+)")[1]


def listening(proto: str, address: str, out: object, *more: object, **options: Any) -> Program:
    """A receiver that writes what it hears, and needs no sound card."""
    where = ("--addr", address, "--no-sound", "--out", out)
    return Program(["receiver", "connect", "--proto", proto, *where, *more], **options)


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """An even port that is free, and the one after it too: what RTP and its RTCP like."""
    for _ in range(100):
        with closing(socket.socket(socket.AF_INET, kind)) as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1] & ~1
        with (
            closing(socket.socket(socket.AF_INET, kind)) as first,
            closing(socket.socket(socket.AF_INET, kind)) as second,
        ):
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports in a row")


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until it is so; for what no program says in words."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
