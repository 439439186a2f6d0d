"""Where the shipped files are: the spoken sample, network profiles, delay traces, captures.

In a checkout the profiles lie in `netem/` and the captures in `captures/`, where people look for
them; in an installed wheel they lie beside this file. Nothing here is read before it is asked for.
"""

from collections.abc import Sequence
from pathlib import Path

from labkit.words.delaytrace import parse_delay_trace
from labkit.words.errors import BadInput
from labkit.words.profile import Profile, parse_profile

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent


def _netem() -> Path:
    installed = _PACKAGE / "data" / "netem"
    return installed if installed.is_dir() else _CHECKOUT / "netem"


def captures_folder() -> Path:
    """Where the shipped captures and their manifest are."""
    installed = _PACKAGE / "data" / "captures"
    return installed if installed.is_dir() else _CHECKOUT / "captures"


def solution_path(week: int) -> Path:
    """The solved notebook of a week's exercises."""
    installed = _PACKAGE / "data" / "solutions"
    folder = installed if installed.is_dir() else _CHECKOUT / "solutions"
    found = sorted(folder.glob(f"week{week:02}_*.ipynb"))
    if not found:
        raise BadInput(f"there is no solved notebook of week {week}", "another week")
    return found[0]


def speech_path() -> Path:
    """The spoken sample: 48 kHz, 16 bit, one channel."""
    return _PACKAGE / "data" / "speech.wav"


def operations_folder() -> Path:
    """Where the alert rules and the Grafana dashboard are."""
    return _PACKAGE / "data" / "operations"


def _find(folder: Path, name: str, suffix: str, kind: str) -> Path:
    given = Path(name)
    if given.suffix == suffix and given.is_file():
        return given
    path = folder / f"{name}{suffix}"
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in folder.glob(f"*{suffix}")))
    raise BadInput(f"there is no {kind} called {name!r}", f"one of {known}; or the path of a file")


def profile_names() -> list[str]:
    """The shipped network profiles, sorted."""
    return sorted(p.stem for p in (_netem() / "profiles").glob("*.toml"))


def profile_path(name: str) -> Path:
    """The file of a shipped profile, or of one given by its path."""
    return _find(_netem() / "profiles", name, ".toml", "network profile")


def trace_names() -> list[str]:
    """The shipped delay traces, sorted."""
    return sorted(p.stem for p in (_netem() / "traces").glob("*.txt"))


def trace_path(name: str) -> Path:
    """The file of a shipped delay trace, or of one given by its path."""
    return _find(_netem() / "traces", name, ".txt", "delay trace")


def load_profile(name: str) -> Profile:
    """A shipped network profile by its name, or one given by its path."""
    path = profile_path(name)
    return parse_profile(path.read_text(encoding="utf-8"), path.stem)


def load_delays(name: str) -> Sequence[int | None]:
    """The delays of a shipped trace, in nanoseconds, one a packet; None for a lost packet."""
    return parse_delay_trace(trace_path(name).read_text(encoding="utf-8"))
