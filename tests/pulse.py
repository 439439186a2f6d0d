"""A sound card for tests: a private PulseAudio whose only sink goes nowhere.

What is played to the sink can be recorded from its monitor, which is the default source. Nothing
of the user's own sound server is touched, and no two test runs share one.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


class Pulse(NamedTuple):
    """A running server. PortAudio reads `env` when it is loaded: give it to a new process."""

    env: dict[str, str]
    process: subprocess.Popen[bytes]


@contextmanager
def pulse_server() -> Iterator[Pulse]:
    """Start a server, wait until it answers, and end it by its process id."""
    # The path of a socket has at most 107 bytes, which pytest's own directories may exceed.
    folder = Path(tempfile.mkdtemp(prefix="pulse"))
    address = folder / "native"
    private = {"HOME": folder, "XDG_RUNTIME_DIR": folder, "PULSE_RUNTIME_PATH": folder}
    env = os.environ | {name: str(path) for name, path in private.items()}
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
    # Without norewinds=1 what is played and recorded at once has holes.
    for module in (
        f"module-native-protocol-unix auth-anonymous=1 socket={address}",
        "module-null-sink sink_name=lab rate=48000 channels=2 format=s16le norewinds=1",
    ):
        command += ["-L", module]
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(address, process)
        yield Pulse(env | {"PULSE_SERVER": f"unix:{address}"}, process)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _wait_until_it_answers(address: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(address)) == 0:
                return
        time.sleep(0.01)
    pytest.fail(f"pulseaudio does not answer; its exit code is {process.poll()}")


@pytest.fixture(scope="session")
def pulse(need: Callable[..., None]) -> Iterator[Pulse]:
    """One server for all tests that only play and record."""
    need("pulseaudio")
    with pulse_server() as server:
        yield server


@pytest.fixture
def mortal_pulse(need: Callable[..., None]) -> Iterator[Pulse]:
    """A server of a test's own, which it may kill."""
    need("pulseaudio")
    with pulse_server() as server:
        yield server
