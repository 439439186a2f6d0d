"""The words of the doctor: a subject, how it stands with it, and running a program for a moment."""

import os
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

LIMIT: Final = 2.5
"""Seconds after which a program counts as hanging."""


class Status(StrEnum):
    """How it stands with a capability."""

    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that this machine can do, or can do only in part, or cannot."""

    name: str
    status: Status
    found: str
    """What is here: a version, a file, a reason."""
    use: str
    """What it is for, and in which weeks."""
    remedy: str = ""
    """What to type or to do; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined: its name, and what it is for. Its methods are the three answers."""

    name: str
    use: str

    def ok(self, found: str) -> Capability:
        """It is here and works."""
        return Capability(self.name, Status.OK, found, self.use)

    def limited(self, found: str, remedy: str) -> Capability:
        """It is here, and something of it is not."""
        return Capability(self.name, Status.LIMITED, found, self.use, remedy)

    def missing(self, found: str, remedy: str) -> Capability:
        """It is not here, or may not be used."""
        return Capability(self.name, Status.MISSING, found, self.use, remedy)


class Ran(NamedTuple):
    """How a program ended. `code` is None when it did not start or did not end in time."""

    code: int | None
    output: str

    @property
    def first_line(self) -> str:
        """The first line that says something."""
        return next((line.strip() for line in self.output.splitlines() if line.strip()), "")


_PATH: Final = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), *(["/usr/sbin", "/sbin"] if os.name == "posix" else [])]
)
"""An ordinary user of Debian has `tc`, but not on the path."""


def run(*command: str) -> Ran:
    """Run a program for at most `LIMIT` seconds. Its outputs come together; it gets no input."""
    try:
        done = subprocess.run(  # noqa: S603  (the commands of this package, no shell)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": _PATH},
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran(None, f"{command[0]} gave no answer within {LIMIT} s")
    except OSError as error:
        return Ran(None, f"{command[0]}: {error.strerror}")
    return Ran(done.returncode, done.stdout.decode(errors="replace"))
