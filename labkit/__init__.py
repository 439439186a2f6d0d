"""Real-time networking by ear: a voice that crosses a bad network and is still understood.

Importing `labkit` is cheap. Public names load when they are first used:

>>> from labkit import Call, Opus, speech
>>> Call(speech(), codec=Opus(32_000, fec=True), link="wifi-busy").simulate()   # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"
_HOME: dict[str, str] = {}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"labkit has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
