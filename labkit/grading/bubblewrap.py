"""What is inside a sandbox: the command line of bubblewrap, mount by mount.

Nothing is inside but what is put there: the shared libraries of the system, Python, its packages
and `labkit`, all of them for reading, at the places where they are outside. There is no home, no
/proc, no /sys, no other submission. Of `labkit` these are not inside: the checks and the graders,
but for the files that run beside a student's code; the commands; the solutions; and every module
that the exercises ask for, over which `withheld` is laid. One folder can be written to, /tmp, of
limited size and in memory.

Run by an ordinary user, a user namespace gives the rights that mounting needs. Run by root there is
none: the worker becomes a user that nobody is, because the kernel does not count root's threads,
and because whoever breaks out should not be root.

This module starts nothing but a trial (`require`).
"""

import itertools
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import labkit
from labkit.grading.limits import Limits
from labkit.live.link.support import allow_namespaces
from labkit.resources import captures_folder, profile_path
from labkit.words.errors import BadInput, MissingCapability

KIT: Final = Path(labkit.__file__).parent
HERE: Final = Path(__file__).parent
BESIDE: Final = {
    "checks": ("__init__", "subject", "plain", "limit", "blame", "pipe", "notebook", "trying"),
    "grading": ("__init__", "worker", "pipe"),
}
"""The files of the two upper floors that are inside. They know nothing of what is right."""
HIDDEN: Final = ("cli", "data/solutions")
LIBRARIES: Final = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib")
LINKS: Final = ("/lib", "/lib64", "/lib32")
FILES: Final = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo")
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
SCRATCH: Final = "/tmp"  # noqa: S108  (inside it is nobody else's)
NOBODY: Final = 65_534
STRANGERS: Final = range(1_000_000_000, 2_000_000_000)
"""Users that nobody is, when root grades."""
OUTSIDE: Final = "or, for your own notebook, without a sandbox: --trust"
_numbers: Final = itertools.count()


def packages() -> list[Path]:
    """The folders in which this Python finds its packages."""
    return [
        Path(entry)
        for entry in sys.path
        if Path(entry).name in ("site-packages", "dist-packages") and Path(entry).is_dir()
    ]


def interpreter() -> Path:
    """Python itself, not the link in a virtual environment."""
    return Path(sys.executable).resolve()


def files_of(module: str) -> list[Path]:
    """A module's source, or a package's folder, and what is compiled from it."""
    path = KIT.parent.joinpath(*module.split("."))
    if path.is_dir():
        return [path]
    source = path.with_suffix(".py")
    if not module.startswith("labkit.") or not source.is_file():
        raise BadInput(f"there is no module {module!r} to withhold", "a module of labkit")
    stem = f"{source.stem}.cpython-*.pyc"
    return [source, *sorted((source.parent / "__pycache__").glob(stem))]


@cache
def mounts() -> tuple[str, ...]:
    """What is inside every sandbox: libraries, devices, Python, its packages, all of `labkit`."""
    words: list[str] = []
    wanted = [*LIBRARIES, *FILES, str(interpreter())]
    for folder in {sys.base_prefix, sys.base_exec_prefix}:
        wanted += [f"{folder}/lib", f"{folder}/lib64"]
    wanted += [*map(str, packages()), str(KIT), str(captures_folder())]
    wanted.append(str(profile_path("lan").parents[1]))
    places = _outermost(Path(each) for each in wanted if Path(each).exists())
    for parent in sorted({parent for path in places for parent in path.parents[:-1]}):
        words += ["--dir", str(parent)]  # open to all; those that a mount makes are not
    for path in places:
        words += ["--ro-bind", str(path), str(path)]
    for link in map(Path, LINKS):
        if link.is_symlink():
            words += ["--symlink", str(link.readlink()), str(link)]
        elif link.is_dir():
            words += ["--ro-bind", str(link), str(link)]
    for device in DEVICES:
        words += ["--dev-bind", device, device]
    return tuple(words)


@cache
def _system() -> tuple[str, ...]:
    """Mounts that are the same for every sandbox of a grader: most of `labkit` is not inside."""
    words = list(mounts())
    for floor, names in BESIDE.items():
        sources = [KIT / floor / f"{name}.py" for name in names]
        words += _only(KIT / floor, {source: source for source in _compiled(sources)})
    words += ["--ro-bind", str(HERE / "nocheck.py"), str(KIT / "checks" / "check.py")]
    for name in HIDDEN:
        if (KIT / name).is_dir():
            words += nothing(KIT / name)
    words += _sealed(KIT / floor for floor in BESIDE)
    return tuple(words)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie in another one."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _compiled(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        yield source
        bytecode = Path(cache_from_source(str(source)))
        if bytecode.is_file():
            yield bytecode


def nothing(folder: Path) -> list[str]:
    """An empty folder over this one."""
    return _only(folder, {})


def _only(folder: Path, files: dict[Path, Path]) -> list[str]:
    """An empty folder over this one, and these files in it. Still to be sealed, if there are."""
    words = ["--size", "4096", "--tmpfs", str(folder)]
    for inside, outside in files.items():
        words += ["--ro-bind", str(outside), str(inside)]
    return words if files else [*words, *_sealed([folder])]


def _sealed(folders: Iterable[Path]) -> list[str]:
    return [word for folder in folders for word in ("--remount-ro", str(folder))]


def _withheld(modules: Iterable[str]) -> list[str]:
    """Over each module what says that it is withheld; over what was compiled from it, nothing."""
    stand_in = HERE / "withheld.py"
    words: list[str] = []
    for module in sorted(modules):
        source, *bytecode = files_of(module)
        if source.is_dir():
            words += [*_only(source, {source / "__init__.py": stand_in}), *_sealed([source])]
            continue
        words += ["--ro-bind", str(stand_in), str(source)]
        for each in bytecode:
            words += ["--ro-bind", "/dev/null", str(each)]
    return words


@cache
def _strangers() -> range:
    """The users that nobody is and that root can become: none for others than root.

    Where he is root in a namespace only, he can become those that it maps (user_namespaces(7)).
    """
    if os.geteuid() != 0:
        return range(0)
    ends = []
    for kind in ("uid", "gid"):
        rows = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").splitlines()
        ends.append(max(int(first) + int(count) for first, _, count in map(str.split, rows)))
    end = min(*ends, STRANGERS.stop)
    return range(STRANGERS.start, end) if end > STRANGERS.start else range(end // 2, end)


def stranger() -> int | None:
    """The user that the worker becomes: None when bubblewrap sees to it."""
    if not _alone():
        return None
    users = _strangers()
    return users[(os.getpid() * 1000 + next(_numbers) % 1000) % len(users)]


def _alone() -> bool:
    """Whether the rights for mounting are here, and no user namespace is needed to have them."""
    return len(_strangers()) > 1


def command(limits: Limits, withheld: Iterable[str], filter_end: int, info_end: int) -> list[str]:
    """The command with all its options; the program to be run inside comes behind them.

    It reads the seccomp program from the file descriptor `filter_end`, and writes to `info_end` the
    number of the first process inside.
    """
    words = namespaces()
    # First, because what follows may lie in it.
    words += ["--perms", "1777", "--size", str(limits.scratch), "--tmpfs", SCRATCH]
    words += [*_system(), *_withheld(withheld), "--remount-ro", "/", "--chdir", SCRATCH]
    return [*words, "--seccomp", str(filter_end), "--info-fd", str(info_end), "--"]


def namespaces() -> list[str]:
    """The command, and its options that decide who and where the program inside is."""
    words = [_bwrap(), "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    words += ["--hostname", "sandbox"]
    if _alone():
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    return words


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if sys.platform != "linux":
        what = "the sandbox needs Linux"
        raise MissingCapability(what, f"a virtual machine, or WSL 2, with Linux\n  {OUTSIDE}")
    if found is None:
        from labkit.lab.doctor.remedies import this_system

        what, remedy = "there is no bubblewrap here", this_system().install("bubblewrap")
        raise MissingCapability(what, f"{remedy}\n  {OUTSIDE}")
    return found


@cache
def require() -> None:
    """Try whether there can be a sandbox here. `MissingCapability` says what to do."""
    bwrap = _bwrap()
    if _alone():
        _open_to_others([interpreter(), KIT, *packages()])
    words = ["--ro-bind", "/", "/", "--size", "4096", "--perms", "755", "--tmpfs", "/dev"]
    spaces = ["--unshare-pid", "--unshare-net"] + ["--unshare-user"] * (not _alone())
    true = shutil.which("true") or "true"
    tried = subprocess.run(  # noqa: S603
        [bwrap, *spaces, *words, "--", true], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return
    said = tried.stderr.strip().splitlines()[-1:] or [f"bwrap ended with {tried.returncode}"]
    if "nknown option" in said[0]:
        remedy = "bubblewrap 0.7 or later: that of Debian 12, of Ubuntu 24.04"
        raise MissingCapability("this bubblewrap is too old", f"{remedy}\n  {OUTSIDE}")
    what = f"bubblewrap may make no namespaces here ({said[0]})"
    raise MissingCapability(what, f"{allow_namespaces()}\n  {OUTSIDE}")


def _open_to_others(paths: Iterable[Path]) -> None:
    """Root's worker becomes somebody else, who must be able to read all this."""
    for path in paths:
        if not path.stat().st_mode & stat.S_IROTH:
            what = f"root grades as a user that nobody is, and he may not read {path}"
            raise MissingCapability(what, f"chmod -R o+rX {path}; or grade as an ordinary user")


def environment() -> dict[str, str]:
    """All that is in the environment of the worker.

    Libraries that start a thread a core are told not to; the order of sets is always the same, so
    that grading twice gives the same twice.
    """
    one = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    fixed = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "LANG": "C.UTF-8", "MPLBACKEND": "Agg"}
    return dict.fromkeys(one, "1") | fixed | {"PYTHONHASHSEED": "0"}


def python(boot: str) -> list[str]:
    """Python, without site, user packages and the current folder, running this line."""
    return [str(interpreter()), "-S", "-s", "-P", "-B", "-c", boot]
