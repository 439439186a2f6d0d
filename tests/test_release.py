"""What people get: a wheel that carries its data, and an sdist that makes the same wheel.

`make dist` installs both into clean environments; here the libraries are those of the tests, and
only `labkit` is the built one.
"""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import labkit

ROOT = Path(__file__).parents[1]
RUN = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import labkit; print(labkit.__file__)
from labkit.cli.labkit import main; sys.exit(main())
"""


def build(where, target, out):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        cwd=where,
        check=True,
        capture_output=True,
    )
    return next(out.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_version_is_one_everywhere():
    """In the package, in pyproject.toml, and in the newest entry of the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = [x for x in (ROOT / "CHANGELOG.md").read_text().splitlines() if x.startswith("## ")]
    released = next(x for x in entries if x != "## Unreleased")
    assert project["version"] == labkit.__version__
    assert released.split()[1] == labkit.__version__


def test_the_wheel_runs_the_demo(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    told = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            RUN,
            str(tmp_path / "site"),
            "demo",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith(str(tmp_path / "site"))
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"good.wav", "naive.wav"}


def test_the_sdist_makes_the_same_wheel(wheel, tmp_path):
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build(next(tmp_path.glob("labkit-*")), "wheel", tmp_path / "again")
    assert _contents(again) == _contents(wheel)


def _contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.CRC for item in archive.infolist()}
