"""`labkit net up`, `shell`, `down`: a lab network in the background, and shells at its hosts.

`up` leaves a process behind that holds the lab, and a file that says where it is. The process
keeps the file locked as long as it lives: so a file without a lock is one that was left over.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from labkit.cli import common, netlab
from labkit.words.errors import BadInput, LabError

UP_EXAMPLES: Final = """\
  labkit net up --profile wifi-busy     then, in two terminals: labkit net shell alice, … bob
  labkit net up --profile train --router --nat --capture train.pcapng
"""
SHELL_EXAMPLES: Final = """\
  labkit net shell                      a shell at alice; $ALICE and $BOB are the addresses
  labkit net shell bob
  labkit net shell bob -- ping {alice}
"""
DOWN_EXAMPLES: Final = """\
  labkit net down                       ends the lab, and every program in it
"""
PATIENCE: Final = 10.0
"""Seconds that the lab has to end."""


def add(kinds: Any) -> None:
    """The subcommands."""
    sub = common.subcommand(kinds, "up", "start a lab network in the background", UP_EXAMPLES, up)
    netlab.add_network_options(sub)
    sub = common.subcommand(kinds, "shell", "a shell at a host of it", SHELL_EXAMPLES, shell)
    sub.add_argument("host", nargs="?", help="which one (alice)")
    sub.add_argument(
        "command", nargs="*", metavar="COMMAND", help="after --, instead of your shell"
    )
    common.subcommand(kinds, "down", "end it", DOWN_EXAMPLES, down)


def up(options: argparse.Namespace) -> int:
    """Start a process that holds a lab; return when that is up."""
    from labkit.live.link.support import require_linux

    require_linux()
    net = netlab.network(options)
    if _state() is not None:
        raise BadInput("a lab network is up already", "labkit net down")
    ours, theirs = os.pipe()
    if not os.fork():
        os.close(ours)
        _hold(net, theirs)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8") as pipe:
        said = json.loads(pipe.read() or '{"error": "the lab network did not start"}')
    if "error" in said:
        raise BadInput(said["error"])
    for name, host in said["hosts"].items():
        print(f"{name:<8} {host['address']}")
    print("labkit net shell HOST goes there; labkit net down ends it")
    return 0


def _hold(net: Any, pipe: int) -> NoReturn:
    """In the background: hold a lab until a signal comes, or until it ends by itself."""
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # let go of the terminal
            os.dup2(nowhere, stream)
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
        with _lock() as file:
            with net:
                signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # not earlier: it is inherited
                _say(net, file, pipe)
                signal.sigwait(signals)
            _path().unlink()
        code = 0
    except (LabError, OSError) as error:
        os.write(pipe, json.dumps({"error": str(error)}).encode())
    finally:
        os._exit(code)


def _say(net: Any, file: IO[str], pipe: int) -> None:
    """Write down where the lab is, and tell who started us."""
    hosts = {name: {"address": h.address, "place": h.place} for name, h in net.hosts.items()}
    state = json.dumps({"pid": os.getpid(), "hosts": hosts})
    file.write(state)
    file.flush()
    os.write(pipe, state.encode())
    os.close(pipe)


def shell(options: argparse.Namespace) -> int:
    """Run a shell or a command at a host."""
    from labkit.live.link.namespaces import Place, run_at

    hosts = _need_state()["hosts"]
    name = options.host or next(iter(hosts))
    if name not in hosts:
        raise BadInput(f"there is no host {name!r} in the lab", ", ".join(hosts))
    addresses = {host: one["address"] for host, one in hosts.items()}
    command = netlab.fill_in(options.command, addresses)
    if not command:
        command = [os.environ.get("SHELL", "/bin/sh")]
        others = ", ".join(f"{host} is {one}" for host, one in addresses.items() if host != name)
        print(f"at {name}, {addresses[name]}; {others}; `exit` leaves", file=sys.stderr)
    return run_at(Place(*hosts[name]["place"]), command, netlab.surroundings(addresses))


def down(options: argparse.Namespace) -> int:
    """End the lab, and wait until it has ended."""
    del options
    os.kill(_need_state()["pid"], signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while _state() is not None:
        if time.monotonic() > deadline:
            raise BadInput("the lab network does not end", "labkit net down, once more")
        time.sleep(0.05)
    return 0


# --- the file --------------------------------------------------------------------------------


def _path() -> Path:
    """In a folder that is ours alone."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base, "labkit") if base else Path(f"/tmp/labkit-{os.getuid()}")  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise BadInput(f"{folder} belongs to somebody else", "another XDG_RUNTIME_DIR")
    return folder / "net.json"


def _lock() -> IO[str]:
    """The file, locked for as long as it is open."""
    import fcntl

    file = _path().open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BadInput("a lab network is up already", "labkit net down") from None
    file.truncate(0)
    return file


def _state() -> dict[str, Any] | None:
    """What the file says, if there is a lab that keeps it locked."""
    import fcntl

    try:
        with _path().open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return dict(json.loads(file.read() or "{}"))
    except FileNotFoundError:
        pass
    return None


def _need_state() -> dict[str, Any]:
    state = _state()
    if not state:
        raise BadInput("no lab network is up", "labkit net up")
    return state
