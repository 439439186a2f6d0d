"""Samples to payload and back. Names load when they are first used, libraries later still."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.codec.blank import Blank
    from labkit.codec.formats import codec_for, default_format
    from labkit.codec.g711 import Pcma, Pcmu
    from labkit.codec.opus import Opus
    from labkit.codec.pcm import Pcm

__all__ = ["Blank", "Opus", "Pcm", "Pcma", "Pcmu", "codec_for", "default_format"]

_HOME = {
    "Blank": "blank",
    "Opus": "opus",
    "Pcm": "pcm",
    "Pcma": "g711",
    "Pcmu": "g711",
    "codec_for": "formats",
    "default_format": "formats",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"labkit.codec.{_HOME[name]}"), name)
    raise AttributeError(f"labkit.codec has no {name!r}")
