"""Which libopus is used, and what happens where there is none. Each test has a fresh Python."""

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENCODE = "from labkit.codec.opus import Opus; Opus().encoder()"
WHICH = "from labkit.codec.opus import libopus_path, libopus_version; "
WHICH += "print(libopus_path(), libopus_version(), sep='\\n')"


def python(code: str, libopus: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `code` with LABKIT_LIBOPUS set; warnings are errors there too."""
    environment = {k: v for k, v in os.environ.items() if k != "LABKIT_LIBOPUS"}
    if libopus is not None:
        environment["LABKIT_LIBOPUS"] = libopus
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_library_of_the_wheel_is_preferred() -> None:
    """PyAV's wheel carries it: the same version and so the same sound on every machine."""
    path, version = python(WHICH).stdout.splitlines()
    assert "av" in Path(path).parent.name or "av" in Path(path).parent.parent.name
    assert version.startswith("libopus 1.")


def test_without_libopus_the_error_says_what_to_install() -> None:
    ended = python(ENCODE, libopus="none")
    assert "MissingCapability" in ended.stderr
    assert "unset LABKIT_LIBOPUS" in ended.stderr


def test_where_nothing_is_found_the_error_says_what_to_install() -> None:
    code = "import ctypes.util, labkit.codec.libopus as l; l._candidates = lambda: iter(())\n"
    code += "ctypes.util.find_library = lambda name: None\n"
    ended = python(code + ENCODE)
    assert "MissingCapability: there is no libopus" in ended.stderr
    assert "apt install libopus0" in ended.stderr
    assert "pip install av" in ended.stderr


@pytest.mark.parametrize("path", ["/nowhere/libopus.so", __file__])
def test_a_path_that_is_no_library_is_named(path: str) -> None:
    ended = python(ENCODE, libopus=path)
    assert "MissingCapability" in ended.stderr
    assert path in ended.stderr


def test_another_library_can_be_chosen() -> None:
    system = ctypes.util.find_library("opus")
    if system is None:
        pytest.skip("the system has no libopus beside PyAV's")
    path, version = python(WHICH, libopus=system).stdout.splitlines()
    assert path == system
    assert version.startswith("libopus ")
    assert python(ENCODE, libopus=system).returncode == 0


def test_importing_the_codec_loads_no_library() -> None:
    code = "import sys, labkit.codec.opus as o; o.Opus(dtx=True).format; "
    code += "print({'opuslib', 'av'} & set(sys.modules)); "
    code += "o.Opus().encoder(); print({'opuslib', 'av'} & set(sys.modules))"
    ended = python(code)
    assert ended.stdout.splitlines() == ["set()", "{'opuslib'}"], ended.stderr
