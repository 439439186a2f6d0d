"""Python and libopus, and the programs of others that the labs talk to."""

import getpass
import platform
import shutil
import sys
import time
from typing import Final

from labkit.codec import libopus
from labkit.lab.doctor.remedies import this_system
from labkit.lab.doctor.trial import Capability, Subject, run
from labkit.words.errors import MissingCapability

PYTHON: Final = Subject("Python", "everything")
LIBOPUS: Final = Subject("libopus", "the Opus codec, in every week")
TSHARK: Final = Subject("tshark", "reading captures in the notebooks, from week 3 on")
CAPTURE: Final = Subject(
    "capture rights", "capturing live packets, from week 3 on; in labkit's namespaces you may"
)
FFMPEG: Final = Subject("FFmpeg", "a peer that plays us and is played by us, weeks 7 and 8")
GSTREAMER: Final = Subject("GStreamer", "a peer and its jitter buffer, weeks 6 to 8")
CHROMIUM: Final = Subject("Chromium", "a browser as a peer, from week 9 on")

_ELEMENTS: Final = ("rtpopuspay", "rtpjitterbuffer", "opusdec", "netsim")
_BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
_WIRESHARK_FOLDERS: Final = (
    "/Applications/Wireshark.app/Contents/MacOS",
    r"C:\Program Files\Wireshark",
)


def python() -> Capability:
    """Which Python, and how finely its clock ticks: on Windows, before 3.13, every 15.6 ms."""
    found = f"{platform.python_version()}, {sys.executable}"
    tick = time.get_clock_info("monotonic").resolution
    if tick > 0.002:
        found += f"; its clock ticks every {tick * 1000:.0f} ms"
        return PYTHON.limited(found, "Python 3.13 or later, whose clock is finer")
    return PYTHON.ok(found)


def opus() -> Capability:
    """The library that opuslib is given."""
    try:
        library = libopus.load()
    except MissingCapability as error:
        return LIBOPUS.missing(error.what, error.remedy)
    return LIBOPUS.ok(f"{library.version.removeprefix('libopus ')}, {library.path}")


def tshark() -> Capability:
    """Wireshark's dissectors on the command line."""
    ran = run(_wireshark("tshark"), "--version")
    if ran.code != 0:
        return TSHARK.missing(ran.first_line, this_system().install("tshark"))
    versions = [line for line in ran.output.splitlines() if line.startswith("TShark")]
    return TSHARK.ok(versions[0].split(" (Git")[0].rstrip(".") if versions else ran.first_line)


def capture_rights() -> Capability:
    """Open loopback as a capture does: `dumpcap -D` lists it also to those who may not."""
    names = {"darwin": "lo0", "win32": r"\Device\NPF_Loopback"}
    loopback = names.get(this_system().platform, "lo")
    ran = run(_wireshark("dumpcap"), "-i", loopback, "-L")
    if ran.code == 0:
        return CAPTURE.ok(f"dumpcap opens {loopback}")
    if ran.code is None and shutil.which(_wireshark("dumpcap")) is None:
        return CAPTURE.missing(ran.first_line, this_system().install("tshark"))
    return CAPTURE.missing(f"dumpcap may not open {loopback}", _capture_remedy())


def _capture_remedy() -> str:
    system = this_system()
    if system.platform == "win32":
        return "install Wireshark again, with Npcap"
    if system.platform == "darwin":
        return "install ChmodBPF from Wireshark's disk image"
    if _in_group("wireshark"):
        return "you are in the group wireshark already: log out and in again"
    allow = "sudo dpkg-reconfigure wireshark-common && " if system.manager == "apt" else ""
    return f"{allow}sudo usermod -aG wireshark $USER, then log out and in again"


def _in_group(name: str) -> bool:
    """By the book; this session may not know it yet."""
    import grp  # not on Windows

    try:
        return getpass.getuser() in grp.getgrnam(name).gr_mem
    except (KeyError, OSError):
        return False


def _wireshark(program: str) -> str:
    """Where it is: Wireshark's installers for Windows and macOS leave the path alone."""
    elsewhere = (shutil.which(program, path=folder) for folder in _WIRESHARK_FOLDERS)
    return shutil.which(program) or next(filter(None, elsewhere), program)


def ffmpeg() -> Capability:
    """FFmpeg, and whether it was built with libopus."""
    ran = run("ffmpeg", "-version")
    if ran.code != 0:
        return FFMPEG.missing(ran.first_line, this_system().install("ffmpeg"))
    version = ran.first_line.removeprefix("ffmpeg version ").split(" ")[0]
    if "--enable-libopus" not in ran.output:
        return FFMPEG.limited(f"{version}, built without libopus", "another build of FFmpeg")
    return FFMPEG.ok(version)


def gstreamer() -> Capability:
    """GStreamer, and those of its elements that the labs and tests use."""
    ran = run("gst-launch-1.0", "--version")
    if ran.code != 0:
        return GSTREAMER.missing(ran.first_line, this_system().install("gstreamer"))
    version = ran.first_line.removeprefix("gst-launch-1.0 version ")
    lacking = [e for e in _ELEMENTS if run("gst-inspect-1.0", "--exists", e).code != 0]
    if lacking:
        found = f"{version}, without {', '.join(lacking)}"
        return GSTREAMER.limited(found, this_system().install("gstreamer"))
    return GSTREAMER.ok(version)


def chromium() -> Capability:
    """Only whether it is here: starting a browser takes longer than all the rest."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        return CHROMIUM.missing("no Chromium or Chrome", this_system().install("chromium"))
    return CHROMIUM.ok(found)
