"""The floors of `labkit`: who may import whom, held by reading every import statement.

    cli
    grading           the instructor's side
    checks            what an exercise must do
    lab
    sim | live        the only floors that know a clock, a socket, a thread or a file
    endpoints
    core
    codec
    wire
    words

A file imports its own floor and lower ones. `sim` and `live` do not know each other.
"""

import ast
from pathlib import Path

import pytest

LABKIT = Path(__file__).parent.parent / "labkit"

FLOORS = {
    "words": 0,
    "wire": 1,
    "codec": 2,
    "core": 3,
    "endpoints": 4,
    "sim": 5,
    "live": 5,
    "lab": 6,
    "checks": 7,
    "grading": 8,
    "cli": 9,
}
RESOURCES_FROM = FLOORS["sim"]
"""`labkit.resources` says where files are: for floors that may open them."""
OUTSIDE_WORLD = {
    "asyncio", "concurrent", "fcntl", "glob", "io", "multiprocessing", "os", "pathlib", "queue",
    "sched", "select", "selectors", "shutil", "signal", "socket", "socketserver", "sounddevice",
    "subprocess", "sys", "tempfile", "threading", "time", "datetime", "wave",
}  # fmt: skip
"""What no floor below `sim` and `live` imports."""
EXCUSED = {
    ("codec/libopus.py", "os"),  # finds the shared library
    ("codec/libopus.py", "pathlib"),
    ("codec/libopus.py", "sys"),
}
CLOCKS = {"labkit/sim": {"asyncio", "socket", "threading", "time"}}
"""Virtual time has no other."""


def imported(tree: ast.AST) -> set[str]:
    """The dotted names of every module that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            module = node.module or ""
            names.add(module)
            # `from labkit.core import quality` names a module too.
            names |= {f"{module}.{alias.name}" for alias in node.names if module == "labkit"}
    return names


def opens_files(tree: ast.AST) -> bool:
    """Whether it calls the built-in `open` or `input`."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Name) and call.id in {"open", "input"} for call in calls)


def violations(root: Path) -> list[str]:
    """Every breach of the rules in a tree of source files, as sentences."""
    found = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        folder = name.split("/")[0]
        if "/" not in name:
            continue  # labkit/__init__.py and labkit/resources.py stand beside the floors
        if folder not in FLOORS:
            found.append(f"{name}: {folder} has no floor")
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{name} imports {why}" for why in breaches(folder, name, imported(tree))]
        if FLOORS[folder] < FLOORS["sim"] and opens_files(tree):
            found.append(f"{name} opens a file or asks a person")
    return found


def breaches(folder: str, name: str, modules: set[str]) -> list[str]:
    """What a file on the floor `folder` must not import."""
    found = []
    height = FLOORS[folder]
    for module in sorted(modules):
        top, _, rest = module.partition(".")
        if top == "labkit" and rest:
            target = rest.split(".")[0]
            if target == "resources":
                if height < RESOURCES_FROM:
                    found.append(f"{module}, which knows files")
            elif target in FLOORS and FLOORS[target] > height:
                found.append(f"{module}, a higher floor")
            elif {folder, target} == {"sim", "live"}:
                found.append(f"{module}: virtual and real time do not know each other")
        elif height < FLOORS["sim"] and top in OUTSIDE_WORLD and (name, top) not in EXCUSED:
            found.append(f"{module}, the world outside")
        elif top in CLOCKS.get(f"labkit/{folder}", ()):
            found.append(f"{module}, another time than the virtual one")
    return found


def test_every_file_keeps_to_its_floor():
    assert violations(LABKIT) == []


def test_the_excuses_are_still_needed():
    """An excuse that nobody uses hides the next breach."""
    for name, module in EXCUSED:
        tree = ast.parse((LABKIT / name).read_text(encoding="utf-8"))
        assert module in {full.partition(".")[0] for full in imported(tree)}, (name, module)


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("words/a.py", "import socket", "imports socket, the world outside"),
        ("core/a.py", "import os.path", "imports os.path, the world outside"),
        ("core/a.py", "from time import monotonic", "imports time, the world outside"),
        ("endpoints/a.py", "def f():\n    import asyncio", "imports asyncio, the world outside"),
        ("wire/a.py", "from labkit.codec.pcm import Pcm", "labkit.codec.pcm, a higher floor"),
        ("words/a.py", "from labkit import core", "labkit.core, a higher floor"),
        ("core/a.py", "import labkit.sim.world", "labkit.sim.world, a higher floor"),
        ("live/a.py", "from labkit.lab.show import x", "labkit.lab.show, a higher floor"),
        ("sim/a.py", "from labkit.live.udp import x", "do not know each other"),
        ("live/a.py", "from labkit.sim.world import World", "do not know each other"),
        ("core/a.py", "from labkit.resources import x", "labkit.resources, which knows files"),
        ("core/a.py", "def f(): return open('x')", "opens a file or asks a person"),
        ("sim/a.py", "import time", "imports time, another time than the virtual one"),
        ("attic/a.py", "", "attic has no floor"),
        (
            "codec/a.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from labkit.core.session import x",
            "labkit.core.session, a higher floor",
        ),
    ],
)
def test_a_planted_breach_is_caught(tmp_path, name, source, said):
    """The test above can fail, for each of its rules."""
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(source)
    (found,) = violations(tmp_path)
    assert found.startswith(name)
    assert said in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("words/a.py", "import math, json\nfrom labkit.words.units import ms"),
        ("core/a.py", "import numpy\nfrom labkit.wire.rtp import x\nfrom labkit import words"),
        ("sim/a.py", "from labkit.resources import x\nimport heapq"),
        ("live/a.py", "import asyncio, time, socket\nfrom labkit.core.session import x"),
        ("cli/a.py", "from labkit.sim.world import x\nfrom labkit.live.udp import y"),
    ],
)
def test_what_is_allowed_is_not_caught(tmp_path, name, source):
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(source)
    assert violations(tmp_path) == []
