"""The repository as a whole: what lies where, what must not be said, and what must agree.

What is tracked counts, not what lies around: a clone is what people get.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labkit.lab.doctor.remedies import PACKAGES

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "labkit").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

TOP_LEVEL = {
    # what the course fixes
    *("notebooks", "labkit", "netem", "captures", "exercises", "solutions", "environment.yml"),
    *("tests", "README.md"),
    # what makes it a project
    *("pyproject.toml", "requirements.txt", "Makefile", "LICENSE", "CONTRIBUTING.md"),
    *("CHANGELOG.md", "docs", "benchmarks", ".ci", ".gitignore", ".gitattributes"),
}
# Written so that these lines do not match themselves.
UNSPEAKABLE = re.compile(
    r"(py[p]i|python[h]osted|npm[j]s|deb[i]an)\.org|/(home|Users)/\w|/roo[t]/|/wor[k]/|/tm[p]/w/"
)


@pytest.fixture(scope="module")
def tracked(need):
    """The paths of a clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    need("git")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in map(Path, listed.stdout.splitlines()) if (ROOT / path).is_file()]


def test_the_top_level_holds_only_what_is_fixed(tracked):
    """A newcomer sees few things, and each has its place in README.md."""
    assert {path.parts[0] for path in tracked} <= TOP_LEVEL


def test_no_file_names_a_package_host_or_a_machine(tracked):
    """Not even the lock: who installs decides where from."""
    found = []
    for path in tracked:
        text = (ROOT / path).read_bytes().decode("utf-8", "replace")
        if "\0" not in text:
            found += [f"{path}: {hit[0]}" for hit in UNSPEAKABLE.finditer(text)]
    assert not found


def pins(file):
    """What a lock holds: name to the versions in it (one for each range of Pythons)."""
    held = {}
    for line in (ROOT / file).read_text().splitlines():
        if match := re.match(r"([\w.-]+)==([\w.]+)", line):
            held.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return held


def wanted():
    """Everything that pyproject.toml asks for, with all extras."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = PROJECT["project"]["dependencies"] + [line for extra in extras for line in extra]
    return [r for r in map(Requirement, lines) if r.name != "labkit"]


@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("requirements.txt", wanted()),
        (".ci/build-requirements.txt", PROJECT["build-system"]["requires"]),
        (".ci/build-requirements.txt", PROJECT["dependency-groups"]["build"]),
        (".ci/fuzz-requirements.txt", PROJECT["dependency-groups"]["fuzz"]),
    ],
)
def test_a_lock_is_in_step_with_the_project(file, asked):
    """Each wish is pinned to a version that fulfils it: else `make lock` was forgotten."""
    held = pins(file)
    for wish in map(Requirement, map(str, asked)):
        versions = held.get(canonicalize_name(wish.name), [])
        assert versions, f"{wish.name} is not in {file}: make lock"
        assert all(wish.specifier.contains(v) for v in versions), f"{wish}: make lock"


def test_every_pin_has_a_hash():
    """Or pip would refuse the whole file."""
    for file in ("requirements.txt", ".ci/build-requirements.txt", ".ci/fuzz-requirements.txt"):
        entries = re.split(r"\n(?=\S)", (ROOT / file).read_text())
        unhashed = [e for e in entries if not e.startswith("#") and "--hash=sha256:" not in e]
        assert not [e for e in unhashed if e.strip()]


def test_the_build_tools_are_pinned_once():
    """Both locks are installed into one environment, one after the other."""
    build, all_else = pins(".ci/build-requirements.txt"), pins("requirements.txt")
    assert all(build[name] == all_else[name] for name in build.keys() & all_else.keys())


def test_conda_gets_the_same():
    """The same lowest Python, and everything else from pyproject.toml."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    parts = conda["dependencies"]
    assert f"python {PROJECT['project']['requires-python']}" in parts
    assert {"pip": ["-e .[lab]"]} in parts
    assert "lab" in PROJECT["project"]["optional-dependencies"]


def test_what_the_doctor_recommends_is_what_make_installs():
    """One name for one package. Only the browser is left to people."""
    setup = (ROOT / ".ci" / "setup").read_text()
    for part, names in PACKAGES.items():
        for package in names["apt"].split():
            assert part == "chromium" or re.search(rf"\s{re.escape(package)}\s", setup), package


def test_make_help_lists_every_verb(need):
    """The verbs that people are promised, each with a line."""
    need("make")
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for verb in [
        "lab",
        "test",
        "demo",
        "pages",
        "book",
        "links",
        "style",
        "types",
        "bench",
        "fuzz",
        "lock",
        "clean",
        "help",
    ]:
        assert re.search(rf"^  make {verb} +\S", said.stdout, re.MULTILINE), verb


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_every_module_says_what_it_is(module):
    """The docstring's first line is a sentence."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "?"))


def fresh_python(*arguments):
    """Run a fresh Python and return what it said on both outputs."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("COV")},
    )
    return done.stdout + done.stderr


def test_import_labkit_is_cheap():
    """Under 60 ms in the best of five (`benchmarks/startup.py` has the figure), without numpy.

    The best, because other programs can only make it slower.
    """
    times = []
    for _ in range(5):
        table = fresh_python("-X", "importtime", "-c", "import labkit")
        times.append(int(re.search(r"\| +(\d+) \| labkit$", table, re.MULTILINE)[1]))
    assert min(times) < 60_000  # microseconds
    loaded = fresh_python("-c", "import labkit, sys; print(*sys.modules)").split()
    assert not {"numpy", "asyncio", "matplotlib", "sounddevice"} & set(loaded)
