"""A host of a lab, and the programs that run there.

    result = net.alice.run(["ping", "-c", "3", net.bob.address])      waits, as subprocess.run does
    server = net.bob.start(["python3", "-m", "http.server"])          does not wait
    net.bob.wait_for_port(8000)
    ...
    server.terminate()

A program at a host is a program of this machine, run by the same user, with the same files; only
its network is another.

This module knows no namespace: it asks the keeper of the lab.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from labkit.live.link import messages
from labkit.live.link.namespaces import Place
from labkit.live.link.program import Output, Program
from labkit.words.errors import BadInput

Command = Sequence[str | os.PathLike[str]]
Ask = Callable[..., dict[str, Any]]
"""Asks the keeper, with a message and files; the answer, or a `LabError`."""

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
