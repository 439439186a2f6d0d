"""What a learner has done is written into an empty folder, never into the home of who tests."""

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where progress is kept."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LABKIT_SEED", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return tmp_path / "home"
