"""Why there can be no lab here, and what to do about it.

Each way to fail becomes a `MissingCapability` that names one command, and the way out that needs
none: the relay, which does the same to one port on any system.

This module changes nothing.
"""

import errno
import sys
from pathlib import Path
from typing import Final

from labkit.words.errors import MissingCapability

TUN: Final = Path("/dev/net/tun")
WITHOUT: Final = "or, without any of this: labkit net relay --listen … --to … --profile …"
SWITCHES: Final = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu 23.10 and later
    ("kernel/unprivileged_userns_clone", "0", "1"),  # older Debian
    ("user/max_user_namespaces", "0", "10000"),  # older Red Hat
)
"""What an administrator may have set so that ordinary users have no namespaces."""
SYSCTL: Final = Path("/proc/sys")


def missing(what: str, remedy: str) -> MissingCapability:
    """The error, with the way out that always is."""
    return MissingCapability(what, f"{remedy}\n  {WITHOUT}")


def require_linux() -> None:
    """Namespaces and TUN devices are Linux's."""
    if sys.platform != "linux":
        raise missing(
            "a lab network needs Linux", "a virtual machine, or WSL 2 on Windows, with Linux"
        )


def explain(error: int, text: str, file: str) -> MissingCapability:
    """What an error of the helper means to who has to mend it."""
    if file == str(TUN):
        return _no_tun(error, text)
    if error in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL):
        return missing(f"no namespaces for ordinary users here ({text})", allow_namespaces())
    if error == errno.EROFS:
        return missing(f"/proc/sys cannot be written ({text})", "docker run --privileged")
    return missing(f"the lab network did not start: {text}", "labkit doctor")


def _no_tun(error: int, text: str) -> MissingCapability:
    if error in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        remedy = f"sudo modprobe tun; in a container: docker run --device {TUN}"
        return missing(f"there is no {TUN}", remedy)
    if error in (errno.EPERM, errno.EACCES):
        return missing(f"{TUN} is closed to you ({text})", f"sudo chmod 666 {TUN}")
    return missing(f"{TUN} does not work ({text})", "sudo modprobe tun")


def allow_namespaces() -> str:
    """What gives ordinary users namespaces on this machine."""
    for setting, bad, good in SWITCHES:
        file = SYSCTL / setting
        if file.exists() and file.read_text().strip() == bad:
            name = setting.replace("/", ".")
            return f"sudo sysctl -w {name}={good}  (until the next start; it lowers a guard)"
    return "in a container: docker run --privileged"
