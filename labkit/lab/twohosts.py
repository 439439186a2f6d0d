"""Two hosts, a cable that is pulled, and a server that is killed: the real programs (week 4).

    hosts = two_hosts("week04.pcapng")      takes some seconds; `MissingCapability` without a lab
    print(hosts); sequence(hosts.traffic)

Alice serves a voice over TCP, bob listens, and each has a kernel of its own (`LabNetwork`, no
rights needed). For a second nothing gets through, in either direction; later the server is killed,
and half a second after that a new one is started. What the kernels do, the capture shows; what the
listener says about it is printed.

This module does to them what happens to programs, and measures nothing but the time.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labkit.lab.conversations import Connection
from labkit.lab.links import link
from labkit.lab.stage import Stage
from labkit.lab.traffic import Traffic, open_capture
from labkit.live.link.network import LabNetwork
from labkit.words.errors import MissingCapability
from labkit.words.units import NS_PER_S

DELAY: Final = "20ms"
KILL_S: Final = 10.0
"""Seconds that a killed program has to be gone."""
RETRIES: Final = 20
JOIN_S: Final = 20.0
"""Seconds that the listener has to be back."""


@dataclass(frozen=True)
class TwoHosts:
    """What happened, and what passed alice's network card meanwhile."""

    path: Path
    traffic: Traffic
    marks: tuple[tuple[float, str], ...]
    """Seconds since the first packet, and what was done then."""
    said: tuple[str, ...]
    """What the listener's program printed."""
    heard: float
    """Seconds of sound in the file that the listener wrote."""

    @property
    def joined(self) -> list[Connection]:
        """The connections over which the server sent sound."""
        return [each for each in self.traffic.connections if len(each.sent(by_client=False)) > 1]

    @property
    def cut(self) -> tuple[float, float]:
        """When the cable was out, in seconds."""
        times = {what: second for second, what in self.marks}
        return times["the cable is pulled"], times["the cable is back"]

    @property
    def silence(self) -> float:
        """Seconds from the cut until bob had something that was said after it."""
        first = self.joined[0]
        cut = self.traffic.start + self.cut[0] * NS_PER_S
        said = next(s for s in first.sent(by_client=False) if s.now > cut and not s.repeated)
        came = (s.now for s in first.segments if s.from_client and s.ack >= said.end)
        return (next(came) - cut) / NS_PER_S

    def __str__(self) -> str:
        marks = [f"{second:6.2f} s  {what}" for second, what in self.marks]
        return "\n".join([*marks, *(f"   bob:   {line}" for line in self.said)])

    __repr__ = __str__


def two_hosts(path: str | Path = "week04.pcapng", *, seed: int = 4, cut: float = 1.0) -> TwoHosts:
    """Let it happen, and write the capture. Takes about eight seconds.

    `MissingCapability` where no lab network can be, and where programs take too long to start.
    """
    try:
        return _play(Path(path), seed, cut)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise MissingCapability(
            f"two hosts: this machine is too busy ({error})", "run this again when less is running"
        ) from error


def _play(path: Path, seed: int, cut: float) -> TwoHosts:
    marks: list[tuple[int, str]] = []

    def mark(what: str) -> None:
        marks.append((time.time_ns(), what))

    network = LabNetwork(
        link("two hosts", delay=DELAY), seed=seed, capture=path, capture_at="alice"
    )
    with tempfile.TemporaryDirectory() as room, network as net:
        stage = Stage(net, Path(room))
        server = stage.serve("--proto tcp --nodelay")
        listener = stage.listen("tcp", f"--retries {RETRIES}")
        stage.wait(0.8)
        net.cut()
        mark("the cable is pulled")
        stage.wait(cut)
        net.restore()
        mark("the cable is back")
        stage.wait(1.5)
        server.kill()
        mark("the server is killed")
        server.wait(KILL_S)
        stage.wait(0.5)
        server = stage.serve("--proto tcp --nodelay")
        mark("a new one listens")
        _wait_for(lambda: listener.stderr.text.count("joined") == 2)
        mark("bob has joined again")
        stage.wait(0.6)
        stage.end(listener, server)
        said = tuple(line for line in listener.stderr.lines if line.strip() and "%" not in line)
        size = sum(each.stat().st_size for each in Path(room).glob("heard*.wav"))
    traffic = open_capture(path)
    since = tuple(((now - traffic.start) / NS_PER_S, what) for now, what in marks)
    return TwoHosts(path, traffic, since, said, size / 96_000)


def _wait_for(so: Callable[[], bool]) -> None:
    """Until it is so. `TimeoutError` when it does not come about."""
    end = time.monotonic() + JOIN_S
    while not so():
        if time.monotonic() > end:
            raise TimeoutError(f"the listener was not back within {JOIN_S:g} s")
        time.sleep(0.01)
