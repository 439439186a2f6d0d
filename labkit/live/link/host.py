"""A host of a lab, and the programs that run there.

    result = net.alice.run(["ping", "-c", "3", net.bob.address])      waits, as subprocess.run does
    server = net.bob.start(["python3", "-m", "http.server"])          does not wait
    net.bob.wait_for_port(8000)
    ...
    server.terminate()

A program at a host is a program of this machine, run by the same user, with the same files; only
its network is another. What it prints comes through pipes; a thread each reads them, so that no
program waits because nobody reads.

This module knows no namespace: it asks the keeper of the lab.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from labkit.live.link import messages
from labkit.live.link.namespaces import Place
from labkit.words.errors import BadInput

Command = Sequence[str | os.PathLike[str]]
Ask = Callable[..., dict[str, Any]]
"""Asks the keeper, with a message and files; the answer, or a `LabError`."""

LAST_WORDS: Final = 2.0
"""Seconds that we wait for the rest of what a program has printed that has ended: a child of it may
live on and keep the pipe open."""
POLL: Final = 0.02
"""Seconds between two looks at who listens."""


def environment() -> dict[str, str]:
    """Our environment, with a PATH that leads to everything one wants at a host.

    In front our own commands, also from an environment that is not activated; behind, where an
    ordinary user of Debian has `ip` and `tc`, but not on the path.
    """
    ours = str(Path(sys.executable).parent)
    path = [ours, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return os.environ | {"PATH": os.pathsep.join(path)}


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


class Host:
    """One host. Made by `LabNetwork`."""

    def __init__(
        self, name: str, address: str, public_address: str, place: Place, ask: Ask
    ) -> None:
        self.name = name
        self.address = address
        """Its IPv4 address: what its programs bind to."""
        self.public_address = public_address
        """What others see it as: another address, if it is behind a NAT."""
        self.place = place
        self._ask = ask

    def run(
        self,
        command: Command,
        *,
        input: str | None = None,  # noqa: A002  (the name that subprocess.run has for it)
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program here and wait for its end; its exit code and what it printed.

        The same as `subprocess.run(command, capture_output=True, text=True, …)`, and with the
        same errors: `TimeoutExpired`, after which it has been killed, and `CalledProcessError`.
        """
        program, stdin = self._start(command, True, input is not None, env, cwd)
        try:
            if stdin is not None:
                _write(stdin, input or "")
            code = program.wait(timeout)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            out, err = program.stdout.text, program.stderr.text
            raise subprocess.TimeoutExpired(program.args, timeout or 0, out, err) from None
        except BaseException:
            program.kill()
            raise
        done = subprocess.CompletedProcess(
            program.args, code, program.stdout.text, program.stderr.text
        )
        if check:
            done.check_returncode()
        return done

    def start(
        self,
        command: Command,
        *,
        capture: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> Program:
        """Start a program here. Without `capture` all it prints goes to our standard error.

        It ends at the latest with the lab. `BadInput` when there is no such program.
        """
        return self._start(command, capture, False, env, cwd)[0]

    def wait_for_port(
        self, port: int | None = None, *, proto: str | None = None, timeout: float = 10
    ) -> int:
        """Wait until a program here listens on a TCP port or has bound a UDP port; the port.

        Without `port` any will do. `proto` is "tcp" or "udp". `TimeoutError` when nobody does.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for kind, number in self._ask({"ports": self.name})["ports"]:
                if port in (None, number) and proto in (None, kind):
                    return int(number)
            time.sleep(POLL)
        wanted = "any port" if port is None else f"port {port}"
        raise TimeoutError(f"within {timeout} s nobody listened on {wanted} at {self.name}")

    def _start(
        self,
        command: Command,
        capture: bool,
        has_input: bool,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
    ) -> tuple[Program, int | None]:
        """Start a program; beside it the file to write its input to, if it is to have any."""
        args = [os.fspath(part) for part in command]
        if not args or isinstance(command, str):
            raise BadInput(f"{command!r} is not a list of words", '["ping", "-c", "3", address]')
        request = {
            "start": args,
            "host": self.name,
            "env": environment() if env is None else dict(env),
            "cwd": os.fspath(cwd or Path.cwd()),
        }
        exits, theirs = messages.pair()
        stdin, our_stdin = os.pipe() if has_input else (os.open(os.devnull, os.O_RDONLY), None)
        (our_out, out), (our_err, err) = (os.pipe(), os.pipe()) if capture else ((2, 2), (2, 2))
        try:
            self._ask(request, [theirs.fileno(), stdin, out, err])
        except BaseException:
            for file in (our_stdin, *((our_out, our_err) if capture else ())):
                if file is not None:
                    os.close(file)
            exits.close()
            raise
        finally:
            theirs.close()
            for file in (stdin, *((out, err) if capture else ())):
                os.close(file)
        outputs = [_reader(file) if capture else None for file in (our_out, our_err)]
        return Program(args, exits, *outputs), our_stdin

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address}>"


def _reader(file: int) -> Output:
    return Output(os.fdopen(file, encoding="utf-8", errors="replace"))


def _write(file: int, text: str) -> None:
    """Give a program its input. One that does not read it to the end has reasons."""
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stdin:
            stdin.write(text)
    except BrokenPipeError:
        return
