"""The system calls that are refused inside a sandbox, as a program for the kernel.

seccomp(2) hands every system call of a process to a small program for the machine of bpf(4), which
sees this, and says what becomes of the call:

     0        4        8                 16                24
     ├─ number┼─ arch ─┼─ instruction p. ┼─ argument 0 (8) ─┼─ argument 1 … 5

Two things are asked of it. There is no second process: `fork` is refused and only threads can be
made, so that what the kernel counts for a process it counts for the submission, and nothing stays
behind. And what coursework never needs, and attackers like, is refused: namespaces, mounts, other
processes' memory, keys, memory that no limit counts, sockets other than those of the internet.

An error is the answer, not the end, so that a student's traceback says on which line it was.
The numbers are those of <asm/unistd.h>. This module starts nothing and asks for nothing.
"""

import errno
import platform
import struct
from collections.abc import Mapping
from typing import Final

from labkit.words.errors import MissingCapability

# Instructions of the BPF machine, <linux/bpf_common.h>: load a word; jump if equal, if greater or
# equal, if a bit is set; end.
LOAD, EQUAL, AT_LEAST, BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
KILL, REFUSE, ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
NUMBER, ARCH, ARGUMENT_0 = 0, 4, 16
"""Where they are."""

CLONE_THREAD: Final = 0x0001_0000
FAMILIES: Final = (1, 2, 10, 16)
"""Sockets: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Not AF_VSOCK, which no namespace holds."""
X32: Final = 0x4000_0000
"""On x86-64: the first number of a second table of the same calls."""

COMMON: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "memfd_secret": 447,
}  # fmt: skip
"""Calls so young that they have one number everywhere."""
TABLES: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = {
    "x86_64": (0xC000_003E, {
        "socket": 41, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58,
        "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "memfd_create": 319,
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
        "personality": 135, "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166,
        "unshare": 272, "setns": 308, "add_key": 248, "request_key": 249, "keyctl": 250,
        "perf_event_open": 298, "bpf": 321, "userfaultfd": 323, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "vmsplice": 278, "quotactl": 179, "modify_ldt": 154,
    }),
    "aarch64": (0xC000_00B7, {
        "socket": 198, "socketpair": 199, "clone": 220,
        "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180, "memfd_create": 279,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "personality": 92, "pivot_root": 41, "chroot": 51, "mount": 40, "umount2": 39,
        "unshare": 97, "setns": 268, "add_key": 217, "request_key": 218, "keyctl": 219,
        "perf_event_open": 241, "bpf": 280, "userfaultfd": 282, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "vmsplice": 75, "quotactl": 60,
    }),
}  # fmt: skip
ABSENT: Final = frozenset({"clone3", "memfd_create", "io_uring_setup"})
"""Of these it is said that the kernel lacks them: then libraries do it in the old way."""


def program(machine: str = "") -> bytes:
    """The filter for this machine, as an array of `struct sock_filter`."""
    machine = machine or platform.machine()
    if machine not in TABLES:
        raise MissingCapability(
            f"the sandbox does not know the system calls of {machine}",
            "a machine with x86-64 or arm64; or, for your own notebook: --trust",
        )
    arch, table = TABLES[machine]
    calls = {**table, **COMMON}
    clone, sockets = calls.pop("clone"), [calls.pop("socket"), calls.pop("socketpair")]
    # `_at(code, value, yes, no)`: when it holds go `yes` instructions further, else `no`.
    rows = [
        _at(LOAD, ARCH),
        _at(EQUAL, arch, 1, 0),
        _at(RETURN, KILL),
        _at(LOAD, NUMBER),
    ]
    if machine == "x86_64":
        rows += [_at(AT_LEAST, X32, 0, 1), _at(RETURN, KILL)]
    for name, number in sorted(calls.items()):
        reason = errno.ENOSYS if name in ABSENT else errno.EPERM
        rows += [_at(EQUAL, number, 0, 1), _at(RETURN, REFUSE | reason)]
    rows += [
        _at(EQUAL, clone, 0, 4),
        _at(LOAD, ARGUMENT_0),
        _at(BIT, CLONE_THREAD, 1, 0),
        _at(RETURN, REFUSE | errno.EPERM),
        _at(RETURN, ALLOW),
        _at(EQUAL, sockets[0], 1, 0),
        _at(EQUAL, sockets[1], 0, 2 + len(FAMILIES)),
        _at(LOAD, ARGUMENT_0),
    ]
    rows += [_at(EQUAL, family, len(FAMILIES) - i, 0) for i, family in enumerate(FAMILIES)]
    rows += [_at(RETURN, REFUSE | errno.EAFNOSUPPORT), _at(RETURN, ALLOW)]
    return b"".join(rows)


def _at(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """`struct sock_filter`, in the byte order of the machine."""
    return struct.pack("=HBBI", code, yes, no, value)
