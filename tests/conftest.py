"""The rules of these tests.

1. Protocols are told the time: a test passes literal nanoseconds and never sleeps.
2. What a test expects comes from a document or a program that we did not write, where one exists.
3. Live tests are few, bind port 0 and wait on events; the time limit is for hangs only.
4. Loss is an explicit pattern or a seed, never chance.
5. A missing part skips a test at home and fails it in CI, whatever way it was skipped.
6. Warnings are errors.
7. Where time is real, nothing else runs: `make test` gives the tests marked live, sound or net the
   machine for themselves, and shares out all others to a worker for each core.
"""

import os
import shutil
from collections.abc import Callable, Generator
from typing import TypeVar

import pytest

pytest_plugins = ["pulse"]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true no test may be skipped: what it needs belongs into the set-up (rule 5)."""
    report = yield
    return _not_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Nor may a whole file."""
    report = yield
    return _not_skipped(report)


def _not_skipped(report: Report) -> Report:
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


LONG = (
    "notebooks/test_notebooks.py::test_it_runs",
    "endpoints/test_scenarios.py::test_a_clock",
    "grading/test_runner.py",
    "grading/test_nbgrader.py",
    "lab/test_questions.py",
    "grading/test_machines.py",
    "notebooks/test_exercises.py::test_the_",
    "captures/test_captures.py::test_every_capture",
    "endpoints/test_scenarios.py::test_three_clocks",
)
"""What takes long is begun first, so that at the end no worker waits for another. A test that is
named here goes to whoever is free. The tests of a file otherwise stay together: they share what its
fixtures made."""


def _rank(test: str) -> int:
    return next((n for n, name in enumerate(LONG) if name in test), len(LONG))


def _share(test: str) -> str:
    """What goes to one worker as a whole, by the name of one test of it."""
    apart = any(name in test for name in LONG if "::" in name)
    return test if apart else test.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of LONG; the same in every worker."""
    items.sort(key=lambda item: _rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """For `-n`: shares instead of single tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Shares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _share(nodeid)

    config.option.loadscopereorder = False
    return Shares(config, log)


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """Ask for programs by name: skip without them at home, fail without them in CI."""

    def check(*programs: str) -> None:
        missing = [p for p in programs if shutil.which(p) is None]
        if missing:
            why = f"not installed: {', '.join(missing)} (`labkit doctor` says how)"
            if os.environ.get("CI") == "true":
                pytest.fail(why)
            pytest.skip(why)

    return check
