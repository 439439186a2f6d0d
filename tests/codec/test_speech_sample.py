"""The spoken sample is what its README says, and its command makes it again."""

import hashlib
import platform
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labkit.resources import speech_path
from labkit.words.format import Samples

FOLDER = speech_path().parent


def test_rate_length_and_level(speech: Samples) -> None:
    with wave.open(str(speech_path())) as file:
        assert file.getparams()[:3] == (1, 2, 48_000)
    assert 10 <= len(speech) / 48_000 <= 20
    peak = np.abs(speech.astype(int)).max() / 32768
    assert 20 * np.log10(peak) == pytest.approx(-3, abs=0.1)
    assert abs(speech.mean()) < 1, "no direct current"


def test_it_has_pauses_for_dtx_and_adaptive_playout(speech: Samples) -> None:
    """At least three of half a second or more, and speech most of the time."""
    blocks = speech[: len(speech) // 960 * 960].reshape(-1, 960).astype(int)
    quiet = np.abs(blocks).max(axis=1) < 100
    runs = [len(run) for run in "".join("-" if q else " " for q in quiet).split()]
    assert sum(run >= 25 for run in runs) >= 3
    assert quiet.mean() < 0.3


def test_the_readme_has_its_sha256() -> None:
    digest = hashlib.sha256(speech_path().read_bytes()).hexdigest()
    assert digest in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.peer
def test_the_command_makes_it_again(
    speech: Samples, tmp_path: Path, need: Callable[..., None]
) -> None:
    """Twice the same bytes anywhere; the shipped ones on the system that made them.

    Other versions speak a little differently, and other processors round differently: there only
    the length is held.
    """
    need("flite", "sox")
    made = [tmp_path / "first.wav", tmp_path / "second.wav"]
    for path in made:
        subprocess.run(["sh", str(FOLDER / "make_speech.sh"), str(path)], check=True)
    first, second = (path.read_bytes() for path in made)
    assert first == second
    if made_here():
        assert first == speech_path().read_bytes()
    assert len(first) == pytest.approx(2 * len(speech), rel=0.1)


def made_here() -> bool:
    """Whether this is the system that the README names, and so these are its programs."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return False
    release = platform.freedesktop_os_release()
    return (release["ID"], release.get("VERSION_ID")) == ("debian", "12")
