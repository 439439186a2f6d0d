"""Where a recipe of a capture plays: a lab network, what is started in it, and who knows recipes.

    @recipe("04_fin")                     a function with the name of its capture
    def fin(stage: Stage) -> None: ...

    @virtual("02_drift")                  the same in virtual time
    def drift(entry: Entry, profile: Profile, path: Path) -> None: ...

This module knows no capture: `labkit.lab.recipes` and `labkit.lab.laterrecipes` do.
"""

import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from labkit.lab.captures import Entry
from labkit.live.link.network import LabNetwork
from labkit.words.errors import BadInput
from labkit.words.profile import Profile

PATIENCE: Final = 20.0
"""Seconds that a program has to end when it is told to."""
KEYS: Final = "keys.txt"
"""The file in a stage's folder to which a program may write its keys: they become part of the
capture, so that it can be read."""


@dataclass
class Stage:
    """Where a recipe plays: two hosts and a capture; it writes down what is started."""

    net: LabNetwork
    folder: Path
    programs: list[str] = field(default_factory=list)
    running: list[Any] = field(default_factory=list)

    def start(self, host: str, command: str) -> Any:
        """Start one of our programs, or another, and note it."""
        self.programs.append(f"{host}: {command}")
        words = shlex.split(command)
        ours = Path(sys.executable).parent / words[0]
        words[0] = str(ours) if ours.exists() else words[0]
        program = self.net[host].start(words, cwd=self.folder)
        self.running.append(program)
        return program

    def run(self, host: str, command: str) -> None:
        """Run a program to its end, and note it."""
        self.programs.append(f"{host}: {command}")
        self.net[host].run(shlex.split(command), check=True, cwd=self.folder)

    def serve(self, words: str, port: int = 5000) -> Any:
        """A streamer at alice that is ready. Speech, again and again."""
        source = f"--host {self.net.alice.address} --port {port} --source speech --loop"
        program = self.start("alice", f"streamer serve {words} {source}")
        self.net.alice.wait_for_port(port)
        return program

    def listen(self, proto: str, words: str = "", port: int = 5000) -> Any:
        """A receiver at bob that has joined."""
        where = f"--proto {proto} --addr {self.net.alice.address}:{port}"
        number = len(self.running)
        command = f"receiver connect {where} --no-sound --out heard{number}.wav {words}"
        program = self.start("bob", command.strip())
        program.stderr.wait_for("receiving", PATIENCE)
        return program

    def wait(self, duration: float) -> None:
        """Let it go on for so many seconds."""
        time.sleep(duration)

    def until(self, so: Callable[[], bool]) -> None:
        """Until it is so; `BadInput` when it does not come about."""
        end = time.monotonic() + PATIENCE
        while not so():
            if time.monotonic() > end:
                raise BadInput("this recipe did not work:\n" + "\n".join(self.programs))
            time.sleep(0.01)

    def hear_out(self, *receivers: Any) -> None:
        """Until they end by themselves, because their time is up."""
        for receiver in receivers:
            receiver.wait(PATIENCE)

    def end_together(self, *programs: Any) -> None:
        """Ctrl-C for all of them at once."""
        for program in programs:
            program.send_signal(signal.SIGINT)
        self.hear_out(*programs)

    def end(self, *programs: Any) -> None:
        """Ctrl-C: each says goodbye and ends, one after the other."""
        for program in programs:
            program.send_signal(signal.SIGINT)
            program.wait(PATIENCE)


Recipe = Callable[[Stage], None]
VirtualRecipe = Callable[[Entry, Profile, Path], None]
RECIPES: Final[dict[str, Recipe]] = {}
VIRTUAL: Final[dict[str, VirtualRecipe]] = {}
OPTIONS: Final[dict[str, dict[str, Any]]] = {}
"""What a recipe asks of its `LabNetwork`."""
KEPT: Final[dict[str, int]] = {}
"""Of how many bytes a recipe's packets are kept, where it is not all of them."""


def recipe(name: str, *, kept: int = 0, **options: Any) -> Callable[[Recipe], Recipe]:
    """Register a function as the recipe of a capture; of packets `kept` bytes, 0: all, are kept."""

    def register(function: Recipe) -> Recipe:
        RECIPES[name], OPTIONS[name], KEPT[name] = function, options, kept
        return function

    return register


def virtual(name: str) -> Callable[[VirtualRecipe], VirtualRecipe]:
    """Register a function as the recipe of a capture in virtual time."""

    def register(function: VirtualRecipe) -> VirtualRecipe:
        VIRTUAL[name] = function
        return function

    return register
