"""What conftest.py promises, tried on a few tests of their own: skips in CI, and workers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LONG

HERE = Path(__file__).parent
SKIPPING = {
    "in_the_test": "import pytest\ndef test_it():\n    pytest.skip('gone')",
    "by_a_mark": "import pytest\n@pytest.mark.skipif(True, reason='gone')\ndef test_it(): pass",
    "by_a_fixture": "def test_it(need):\n    need('there-is-no-such-program')",
    "a_whole_file": "import pytest\npytest.importorskip('no_such_module')\ndef test_it(): pass",
}
SHARING = """
import os, pathlib, pytest
@pytest.fixture(scope="module")
def shared(): return os.getpid()
@pytest.mark.parametrize("n", range(8))
def test_it(shared, n): note(n, shared)
def test_it_runs(): note("long", os.getpid())
def note(*what):
    with (pathlib.Path(__file__).parent / "made").open("a") as file: print(*what, file=file)
"""
WORKERS = ["-n", "2"]


def pytest_in(folder: Path, ci: str, *words: str) -> tuple[int, str]:
    """Exit code and text of a run with the rules of this project."""
    (folder / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {HERE}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder, env=os.environ | {"CI": ci}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [[], WORKERS], ids=["alone", "workers"])
def test_in_ci_no_way_to_skip_is_left(tmp_path, words):
    """With workers too: a skip is counted where it happens."""
    for name, text in SKIPPING.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    code, said = pytest_in(tmp_path, "true", *words, "--continue-on-collection-errors")
    assert code == 1
    assert "2 failed, 2 errors in" in said
    for name in SKIPPING:
        assert re.search(rf"test_{name}.py.* - .*(CI does not allow|not installed)", said), name
    code, said = pytest_in(tmp_path, "", *words)
    assert code == 0
    assert re.search("3 skipped|4 skipped", said), said  # a whole file may count as nothing


def test_workers_share_out_files_and_begin_with_what_takes_long(tmp_path):
    """What a fixture of a file made is made once; a test that is named goes to anybody."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "test_notebooks.py").write_text(SHARING)
    code, said = pytest_in(tmp_path, "true", *WORKERS)
    assert code == 0, said
    rows = [line.split() for line in (folder / "made").read_text().splitlines()]
    assert len(rows) == 9
    (long,) = (process for what, process in rows if what == "long")
    (other,) = {process for what, process in rows if what != "long"}
    assert long != other


@pytest.mark.parametrize("name", LONG)
def test_what_is_called_long_exists(name):
    file, _, test = name.partition("::")
    assert f"def {test}" in (HERE / file).read_text(encoding="utf-8")
