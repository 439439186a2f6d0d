"""The keeper of a lab: PID 1 of its namespace. It starts programs and sees them end.

Asked on `control`, all in JSON:

    {"start": [program, …], "host": …, "env": …, "cwd": …}    files: exits, stdin, stdout, stderr
    {"ports": host}                                           who listens there
    {"end": true}                                             ask all programs to end, and wait

The answer is {"error": …} or what was asked for. The first file of "start" is a socket of that
program alone: what comes from it are signals to be sent, and what goes into it is the exit code.
"""

import contextlib
import errno
import os
import selectors
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from labkit.live.link import messages
from labkit.live.link.namespaces import CLONE_NEWNET, enter

PATIENCE: Final = 1.0
"""Seconds that programs have between being asked to end and being killed."""
TCP_LISTEN: Final = "0A"
UDP_BOUND: Final = "07"


def said(error: OSError) -> dict[str, Any]:
    """An error as an answer."""
    what = error.strerror or str(error)
    said = f"{what}: {error.filename}" if error.filename else what
    return {"error": said, "errno": error.errno or 0, "file": str(error.filename or "")}


class Keeper:
    """PID 1 of the lab. While it waits for programs to end, its maker waits for its answer."""

    def __init__(
        self,
        networks: dict[str, int],
        forwarder: int,
        control: socket.socket,
        maker_ended: int | None,
    ) -> None:
        self._networks = networks
        self._forwarder = forwarder
        self._control = control
        self._programs: dict[int, socket.socket] = {}
        self._running = True
        self._patience = PATIENCE
        self._selector = selectors.DefaultSelector()
        self._on(control, self._asked)
        if maker_ended is not None:
            self._on(maker_ended, self._stop)
        bell, clapper = socket.socketpair()
        clapper.setblocking(False)
        signal.set_wakeup_fd(clapper.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._on(bell, lambda: self._reap(bell.recv(4096)))
        self._clapper = clapper  # else it would be closed

    def _on(self, file: Any, do: Callable[[], object]) -> None:
        self._selector.register(file, selectors.EVENT_READ, do)

    def run(self) -> None:
        """Do what is asked until the end; then give the programs a moment."""
        while self._running:
            self._turn(None)
        self._end_programs()

    def _turn(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()

    def _stop(self) -> None:
        self._running = False

    def _end_programs(self) -> None:
        """Ask every program to end, and wait until they have or patience is at its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGTERM)
        deadline = time.monotonic() + self._patience
        while self._programs and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
        self._patience = 0.0  # it is exhausted only once

    def _asked(self) -> None:
        message, files = messages.receive(self._control)
        try:
            if message is None:
                self._selector.unregister(self._control)
                self._stop()
            elif "end" in message:
                self._end_programs()
                messages.send(self._control, {})
            elif "start" in message:
                self._start(message, files)
                messages.send(self._control, {})
            else:
                enter(self._networks[message["ports"]], CLONE_NEWNET)
                messages.send(self._control, {"ports": _ports()})
        except OSError as error:
            messages.send(self._control, said(error))
        finally:
            for file in files:
                os.close(file)

    # Programs -----------------------------------------------------------------------------------

    def _start(self, message: dict[str, Any], files: list[int]) -> None:
        """Start a program at a host, in a process group of its own."""
        exits, *streams = files
        enter(self._networks[message["host"]], CLONE_NEWNET)
        os.chdir(message["cwd"])
        pid = os.posix_spawn(
            _find(message["start"][0], message["env"]),
            message["start"],
            message["env"],
            file_actions=[(os.POSIX_SPAWN_DUP2, file, to) for to, file in enumerate(streams)],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ],
        )
        program = socket.socket(fileno=os.dup(exits))
        self._programs[pid] = program
        self._on(program, lambda: self._signal(pid, program))

    def _signal(self, pid: int, program: socket.socket) -> None:
        """Send a signal to a program and its children; who has no interest any more closes."""
        number, _ = messages.receive(program)
        if number is None:
            self._selector.unregister(program)
        elif pid in self._programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _reap(self, _rings: bytes) -> None:
        """Take leave of every child that has ended; as PID 1 we inherit those of others too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._forwarder:
                self._stop()
            elif (program := self._programs.pop(pid, None)) is not None:
                with contextlib.suppress(OSError):
                    messages.send(program, os.waitstatus_to_exitcode(status))
                with contextlib.suppress(KeyError):
                    self._selector.unregister(program)
                program.close()


def _find(program: str, environment: dict[str, str]) -> str:
    """Where a program is."""
    found = shutil.which(program, path=environment.get("PATH", os.defpath))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such program", program)
    return found


def _ports() -> list[tuple[str, int]]:
    """Protocol and port of every socket that waits for somebody: proc_net(5)."""
    found = []
    for name, state in (
        ("tcp", TCP_LISTEN),
        ("tcp6", TCP_LISTEN),
        ("udp", UDP_BOUND),
        ("udp6", UDP_BOUND),
    ):
        with contextlib.suppress(FileNotFoundError):
            for line in Path("/proc/self/net", name).read_text().splitlines()[1:]:
                _, local, _, now_in, *_ = line.split()
                if now_in == state:
                    found.append((name[:3], int(local.rpartition(":")[2], 16)))
    return found
