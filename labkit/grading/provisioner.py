"""A kernel in a sandbox, for nbgrader: Jupyter's protocol goes in and out, and nothing else.

    labkit course kernel
    nbgrader autograde week06 --ExecutePreprocessor.kernel_name=labkit-sandbox

The kernel lives in bubblewrap as a grader's worker does (`labkit.grading.bubblewrap`): no network,
no home, no other submission, no second process, limits. Under nbgrader it gets a copy of the folder
that its notebook is in, half of /tmp at most. Jupyter reaches it through Unix sockets in a folder
of its own; their paths have to be short, for the system takes 107 bytes and no more (unix(7)). It
is interrupted by a message, since a signal does not reach into its namespace.

What this can promise is told in docs/nbgrader.md: nothing leaks. That nobody forges a score it
cannot, for nbgrader runs checks in the student's own process; so the checks are inside, other than
with `labkit grade`.

Jupyter finds this class by the name in `pyproject.toml`, and the kernel by what `install` writes.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Int

from labkit.grading import bubblewrap, seccomp
from labkit.grading.limits import MB

NAME: Final = "labkit-sandbox"
"""Of the kernel, and of what starts it."""
SPEC: Final = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python in labkit's sandbox",
    "language": "python",
    "interrupt_mode": "message",
    "metadata": {"kernel_provisioner": {"provisioner_name": NAME}},
}
SHORT: Final = ("/tmp", "/run")  # noqa: S108
"""Where the folder of the sockets may be."""
GIVEN, WORK = "/given", "/tmp/work"  # noqa: S108
"""Inside: the notebook's folder, and the copy that the kernel works in."""
ALONE: Final = {"JPY_PARENT_PID": "1"}
"""Tells ipykernel that it need not look after its parent: bubblewrap does."""
PASSED: Final = ("NBGRADER_EXECUTION", "NBGRADER_VALIDATING", "LABKIT_SEED")
"""Of the environment outside: that nbgrader runs the notebook, and with which inputs."""
BOOT: Final = """\
import json, os, resource, shutil, sys
said = json.loads({!r})
os.mkdir(said["work"])
os.chdir(said["work"])
room = said["room"]
for here, folders, names in os.walk(said["given"]):
    there = os.path.relpath(here, said["given"])
    os.makedirs(there, exist_ok=True)
    os.chmod(there, 0o777)
    for name in names:
        file, copy = os.path.join(here, name), os.path.join(there, name)
        if os.path.islink(file) or not os.path.isfile(file):
            continue
        room -= os.path.getsize(file) + 4096
        if room > 0:
            shutil.copyfile(file, copy)
            os.chmod(copy, 0o666)
if said["user"] is not None:
    os.setgroups([])
    os.setresgid(*[said["user"]] * 3)
    os.setresuid(*[said["user"]] * 3)
for name, most in said["resources"].items():
    resource.setrlimit(getattr(resource, name), (most, most))
sys.path += said["path"]
sys.argv = ["ipykernel_launcher", "-f", said["connection"]]
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel inside bubblewrap."""

    memory = Int(2048, help="MB of address space.").tag(config=True)
    cpu_seconds = Int(300, help="Of the processor, for the whole notebook.").tag(config=True)
    scratch = Int(64, help="MB of /tmp, the only place to write to; it is memory.").tag(config=True)
    threads = Int(64, help="The kernel itself has about twelve.").tag(config=True)

    _sockets: Path | None = None
    _user: int | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Sockets in place of ports, and bubblewrap before the command."""
        bubblewrap.require()
        manager: Any = self.parent
        if self._sockets is None:
            short = next(each for each in SHORT if os.access(each, os.W_OK))
            self._sockets = Path(tempfile.mkdtemp(prefix="k", dir=short))  # its owner's alone
            self._user = bubblewrap.stranger()
            manager.transport = "ipc"
            manager.ip = str(self._sockets / "s")
            manager.connection_file = str(self._sockets / "c.json")
        kwargs = await super().pre_launch(**kwargs)
        if self._user is not None:
            for each in (self._sockets, self._sockets / "c.json"):
                os.chown(each, self._user, self._user)
        kwargs["cmd"] = self._command(
            Path(kwargs.get("cwd") or os.getcwd()),  # noqa: PTH109
            {name: value for name, value in kwargs["env"].items() if name in PASSED},
        )
        return kwargs

    def _command(self, folder: Path, passed: dict[str, str]) -> list[str]:
        assert self._sockets is not None
        words = [*_walls(self.scratch * MB)]
        words += ["--bind", str(self._sockets), str(self._sockets)]
        nbgrader = PASSED[0] in passed  # elsewhere it may be somebody's home
        words += ["--ro-bind", str(folder), GIVEN] if nbgrader else ["--dir", GIVEN]
        words += ["--chdir", bubblewrap.SCRATCH, "--remount-ro", "/", "--clearenv"]
        for name, value in (bubblewrap.environment() | ALONE | passed).items():
            words += ["--setenv", name, value]
        said = json.dumps(
            {
                "user": self._user,
                "resources": self._resources(),
                "given": GIVEN,
                "work": WORK,
                "room": self.scratch * MB // 2,
                "path": [*map(str, bubblewrap.packages()), str(bubblewrap.KIT.parent)],
                "connection": str(self._sockets / "c.json"),
            }
        )
        return [*words, "--", *bubblewrap.python(BOOT.format(said))]

    def _resources(self) -> dict[str, int]:
        return {
            "RLIMIT_AS": self.memory * MB,
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_FSIZE": self.scratch * MB,
            "RLIMIT_NPROC": self.threads,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
        }

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start it, with the filter for its system calls."""
        reading, writing = os.pipe()
        try:
            os.write(writing, seccomp.program())
            os.close(writing)
            cmd = [cmd[0], "--seccomp", str(reading), *cmd[1:]]
            return await super().launch_kernel(cmd, pass_fds=(reading,), **kwargs)
        finally:
            os.close(reading)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets, unless it starts again."""
        await super().cleanup(restart)
        if not restart and self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None


def _walls(scratch: int) -> Iterator[str]:
    """Namespaces, and what is inside: libraries, Python, its packages, labkit."""
    yield from bubblewrap.namespaces()
    yield from ("--perms", "1777", "--size", str(scratch), "--tmpfs", bubblewrap.SCRATCH)
    yield from bubblewrap.mounts()
    yield from ("--proc", "/proc")
    for name in bubblewrap.HIDDEN:
        if (bubblewrap.KIT / name).is_dir():
            yield from bubblewrap.nothing(bubblewrap.KIT / name)


def install(prefix: str | None = None) -> Path:
    """Tell Jupyter of this kernel: in this Python's environment, or in another `prefix`."""
    bubblewrap.require()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.json").write_text(json.dumps(SPEC, indent=1), encoding="utf-8")
        manager = KernelSpecManager()
        return Path(manager.install_kernel_spec(folder, NAME, prefix=prefix or sys.prefix))
