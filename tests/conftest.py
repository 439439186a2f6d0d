"""The rules of these tests.

1. Protocols are told the time: a test passes literal nanoseconds and never sleeps.
2. What a test expects comes from a document or a program that we did not write, where one exists.
3. Live tests are few, bind port 0 and wait on events; the time limit is for hangs only.
4. Loss is an explicit pattern or a seed, never chance.
5. A missing part skips a test at home and fails it in CI, whatever way it was skipped.
6. Warnings are errors.
"""

import os
import shutil
from collections.abc import Callable, Generator

import pytest

pytest_plugins = ["pulse"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true no test may be skipped: what it needs belongs into the set-up (rule 5)."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


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
