"""Where libopus is, and its functions by ctypes.

The binding is opuslib 3.0.1: its library handle and its table of control requests. Its own
`encode` and `decode` go through Python lists, so we call the same functions of the same handle
with our own argument types and buffers.

Which libopus: the one that PyAV's wheel carries, because it is the same version on every machine
and so the same sound; else the one of the environment or the system. `LABKIT_LIBOPUS` overrides
(the path of a library, or `none` to do as if there were none).

Nothing is loaded until `load` is called. This module knows no codec settings and no payloads.
"""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from labkit.words.errors import MissingCapability

_REMEDY: Final = "pip install av (it carries one), or apt install libopus0, or brew install opus"
_IN_WHEEL: Final = ("av.libs/libopus*", "av/.dylibs/libopus*", "av.libs/*opus*.dll")
_IN_PREFIX: Final = ("lib/libopus.so.0", "lib/libopus.0.dylib", "Library/bin/opus.dll")

_STATE: Final = ctypes.c_void_p
_BUFFER: Final = ctypes.c_void_p


@dataclass(frozen=True)
class Libopus:
    """The functions of one libopus, ready to call. Each returns a negative number on error.

    A state is memory of ours, `size` bytes, that `init` fills: nothing needs to be freed.
    """

    path: str
    version: str
    ctl: ModuleType
    """opuslib's requests: `ctl.set_bitrate(encoder_ctl, state, 32_000)`."""

    encoder_size: Any
    encoder_init: Any
    encoder_ctl: Any
    encode: Any
    decoder_size: Any
    decoder_init: Any
    decoder_ctl: Any
    decode: Any


@cache
def load() -> Libopus:
    """Load libopus, once. `MissingCapability` when there is none, or no opuslib."""
    api, ctl = _import_opuslib()
    handle = api.libopus
    version = _function(handle, "opus_get_version_string", ctypes.c_char_p)
    # A control request is a variadic call. Only the fixed arguments are declared: ctypes then
    # passes the rest as variadic ones, which matters on Apple Silicon (orion-labs/opuslib#22).
    encoder_ctl = _function(handle, "opus_encoder_ctl", ctypes.c_int, _STATE, ctypes.c_int)
    decoder_ctl = _function(handle, "opus_decoder_ctl", ctypes.c_int, _STATE, ctypes.c_int)
    number, size = ctypes.c_int, ctypes.c_int32
    return Libopus(
        path=handle._name,  # noqa: SLF001
        version=version().decode(),
        ctl=ctl,
        encoder_size=_function(handle, "opus_encoder_get_size", number, number),
        encoder_init=_function(handle, "opus_encoder_init", number, _STATE, size, number, number),
        encoder_ctl=encoder_ctl,
        encode=_function(handle, "opus_encode", size, _STATE, _BUFFER, number, _BUFFER, size),
        decoder_size=_function(handle, "opus_decoder_get_size", number, number),
        decoder_init=_function(handle, "opus_decoder_init", number, _STATE, size, number),
        decoder_ctl=decoder_ctl,
        decode=_function(
            handle, "opus_decode", number, _STATE, ctypes.c_char_p, size, _BUFFER, number, number
        ),
    )


def libopus_version() -> str:
    """What the library calls itself, "libopus 1.6.1". `MissingCapability` when there is none."""
    return load().version


def libopus_path() -> str:
    """Where the library that is used lies. `MissingCapability` when there is none."""
    return load().path


def _function(handle: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A function object of our own: indexing, unlike an attribute, shares none with opuslib."""
    function = handle[name]
    function.restype = result
    function.argtypes = arguments
    return function


def _import_opuslib() -> tuple[Any, ModuleType]:
    """Import opuslib so that it loads the library that we chose.

    It asks `ctypes.util.find_library` at import, and raises a bare Exception when that finds
    nothing; so for the time of the import we answer the question. Its source compares integers
    by `is`, which makes Python warn: not our reader's concern.
    """
    import ctypes.util

    path = _find()
    ask_system = ctypes.util.find_library
    ctypes.util.find_library = lambda name: path if name == "opus" else ask_system(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import opuslib.api.ctl
    except ModuleNotFoundError as error:
        raise MissingCapability("opuslib is not installed", "pip install opuslib==3.0.1") from error
    except OSError as error:
        raise MissingCapability(f"{path} cannot be loaded: {error}", _REMEDY) from error
    finally:
        ctypes.util.find_library = ask_system
    return opuslib.api, opuslib.api.ctl


def _find() -> str:
    """The path, or the name for the loader, of the libopus to use."""
    import ctypes.util  # slow to import, so not before it is needed

    override = os.environ.get("LABKIT_LIBOPUS")
    if override == "none":
        raise MissingCapability("libopus is hidden by LABKIT_LIBOPUS=none", "unset LABKIT_LIBOPUS")
    found = override or next(_candidates(), None) or ctypes.util.find_library("opus")
    if found is None:
        raise MissingCapability("there is no libopus, the Opus codec's library", _REMEDY)
    return found


def _candidates() -> Iterator[str]:
    """Files that exist: first in PyAV's wheel (it is found, not imported), then in conda's tree."""
    from importlib.util import find_spec

    wheel = find_spec("av")
    if wheel is not None and wheel.origin is not None:
        site_packages = Path(wheel.origin).parent.parent
        for pattern in _IN_WHEEL:
            yield from sorted(map(str, site_packages.glob(pattern)))
    for name in _IN_PREFIX:
        if (Path(sys.prefix) / name).is_file():
            yield str(Path(sys.prefix) / name)
