"""Linux namespaces, as an ordinary user: a network of one's own, and root's rights in it only.

    user namespace      who we are: the same user, but with every capability inside
    └── PID namespace   our children: the kernel kills them all when the first one ends
    └── network namespaces, one for each host: devices, addresses, routes, ports

The calls are made through ctypes, since `os.unshare` and `os.setns` came with Python 3.12. A
process with threads may not make a user namespace (unshare(2)): this is for a process of its own,
never for a notebook's.

This module knows no device and no packet.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

PR_SET_PDEATHSIG: Final = 1
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
CAPABILITY_VERSION_3: Final = 0x20080522


class Place(NamedTuple):
    """Where a host is: the process that keeps the lab, and its file of the host's network."""

    pid: int
    network: int


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    """Leave some namespaces for new ones. A new PID namespace is for our children only."""
    _check(_libc().unshare(flags), "unshare")


def enter(namespace: int, kind: int) -> None:
    """Go into the namespace that an open file stands for."""
    _check(_libc().setns(namespace, kind), "setns")


def die_with_parent() -> None:
    """Be killed when the process that forked us ends. It must have no threads."""
    _check(_libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def isolate() -> None:
    """A PID namespace for our children, and if we are not root a user namespace around it.

    In a container root often lacks the rights of root, and then does as an ordinary user does.
    """
    if os.geteuid() == 0:
        try:
            unshare(CLONE_NEWPID)
        except PermissionError:
            pass
        else:
            return
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWPID)
    # We stay who we are, not root: sound servers and tcpdump care. Without "deny" no groups.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    keep_capabilities()


def keep_capabilities() -> None:
    """Pass our capabilities on to the programs we start: capabilities(7), "ambient"."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    all_of_them = (1 << last + 1) - 1
    low, high = all_of_them & 0xFFFFFFFF, all_of_them >> 32
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; first the low 32 of each, then the high ones
    sets = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    _check(_libc().capset(header, sets), "capset")
    for capability in range(last + 1):
        _check(_libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl")


def new_network() -> int:
    """Move into a new network namespace; an open file that stands for it."""
    unshare(CLONE_NEWNET)
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def run_at(place: Place, command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a program at a host in the foreground, on our terminal; its exit code, as in a shell.

    It is a child of ours and in the lab's PID namespace, so it ends when the lab does.
    """
    pid = os.fork()
    if not pid:
        _child(lambda: _go_and_run(place, command, env))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGINT, before)


def _go_and_run(place: Place, command: Sequence[str], env: Mapping[str, str]) -> int:
    """In a child: enter the namespaces, and let a child of the child be the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    root = f"/proc/{place.pid}"
    names = [f"{root}/ns/user", f"{root}/fd/{place.network}", f"{root}/ns/pid"]
    user, network, pids = (os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in names)
    foreign = not os.path.samestat(os.fstat(user), Path("/proc/self/ns/user").stat())
    if foreign:
        enter(user, CLONE_NEWUSER)
    enter(network, CLONE_NEWNET)
    enter(pids, CLONE_NEWPID)
    pid = os.fork()
    if not pid:
        _child(lambda: _become(command, env, foreign))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _become(command: Sequence[str], env: Mapping[str, str], foreign: bool) -> NoReturn:
    die_with_parent()
    if foreign:
        keep_capabilities()
    for ignored in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), env)  # noqa: S606  (no shell, which is the point)
    except FileNotFoundError as error:  # which names the last directory of PATH, not the mistake
        text = f"{command[0]}: no such program\n  try: install it, or give its whole path"
        raise OSError(text) from error


def _child(work: Callable[[], int]) -> NoReturn:
    """In a forked child: end without running what the parent has prepared for its own end."""
    code = 127
    try:
        code = work()
    except OSError as error:
        os.write(2, f"labkit: {error}\n".encode())
    finally:
        os._exit(code)
