"""Calls of packets without sound, for checks: they cost nothing but the protocol."""

from typing import Any


def silent_call(length: float, **words: Any) -> Any:
    """A call of so many seconds, not yet made; `words` are those of `Call`."""
    import numpy as np

    from labkit.codec.blank import Blank
    from labkit.core.source import Clip
    from labkit.lab.call import Call

    return Call(Clip(np.zeros(round(48_000 * length), np.int16)), Blank(), **words)


def call(link: str, seed: int, length: float = 6) -> Any:
    """What came of one over a shipped network."""
    return silent_call(length, link=link, seed=seed).simulate()
