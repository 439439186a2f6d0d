"""What to type on this machine so that a part is there.

Systems differ in their package manager and in its names for things. This file is the table; it
finds out which column holds here, and probes nothing else.
"""

import platform
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final

_INSTALL: Final = {
    "apt": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "brew": "brew install",
    "winget": "winget install",
}

PACKAGES: Final[dict[str, dict[str, str]]] = {
    "portaudio": {"apt": "libportaudio2", "dnf": "portaudio", "pacman": "portaudio"},
    "alsa plug-in": {
        "apt": "libasound2-plugins",
        "dnf": "alsa-plugins-pulseaudio",
        "pacman": "alsa-plugins",
    },
    "pulseaudio": {"apt": "pulseaudio", "dnf": "pulseaudio", "pacman": "pulseaudio"},
    "tshark": {
        "apt": "tshark",
        "dnf": "wireshark-cli",
        "pacman": "wireshark-cli",
        "brew": "wireshark",
        "winget": "WiresharkFoundation.Wireshark",
    },
    "ffmpeg": {
        "apt": "ffmpeg",
        "dnf": "ffmpeg-free",
        "pacman": "ffmpeg",
        "brew": "ffmpeg",
        "winget": "Gyan.FFmpeg",
    },
    "gstreamer": {
        "apt": "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
        "gstreamer1.0-plugins-bad",
        "dnf": "gstreamer1 gstreamer1-plugins-base gstreamer1-plugins-good "
        "gstreamer1-plugins-bad-free",
        "pacman": "gstreamer gst-plugins-base gst-plugins-good gst-plugins-bad",
        "brew": "gstreamer",
        "winget": "gstreamerproject.gstreamer",
    },
    "iproute2": {"apt": "iproute2", "dnf": "iproute iproute-tc", "pacman": "iproute2"},
    "bubblewrap": {"apt": "bubblewrap", "dnf": "bubblewrap", "pacman": "bubblewrap"},
    "chromium": {
        "apt": "chromium",
        "dnf": "chromium",
        "pacman": "chromium",
        "brew": "--cask google-chrome",
        "winget": "Google.Chrome",
    },
}


@dataclass(frozen=True, slots=True)
class System:
    """Which column of the table holds here."""

    platform: str
    """As `sys.platform` has it: linux, darwin, win32."""
    manager: str
    """The package manager, or empty when it is none of ours."""
    wsl: bool = False
    """Linux inside Windows."""

    def install(self, part: str) -> str:
        """The command that brings `part`."""
        package = PACKAGES[part].get(self.manager)
        if package is None:
            return f"install {part} with the package manager of this system"
        return f"{_INSTALL[self.manager]} {package}"

    def get_linux(self) -> str:
        """How a system that is no Linux gets one."""
        if self.platform == "win32":
            return "run the labs in WSL: wsl --install -d Debian"
        return "run the labs in a Linux virtual machine: brew install lima && limactl start"


@cache
def this_system() -> System:
    """The machine that runs this."""
    if sys.platform == "win32":
        return System("win32", "winget")
    if sys.platform == "darwin":
        return System("darwin", "brew")
    commands = {"apt": "apt-get", "dnf": "dnf", "pacman": "pacman"}
    manager = next((name for name, command in commands.items() if shutil.which(command)), "")
    return System(sys.platform, manager, wsl="microsoft" in platform.release().lower())


def distribution() -> str:
    """Which Linux, as os-release has it: debian, ubuntu, fedora; empty elsewhere."""
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


def describe() -> str:
    """This machine in one line."""
    kernel = f"{platform.system()} {platform.release()}, {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel
