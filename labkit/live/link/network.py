"""A lab network: hosts on one machine, a bad link between them, and no rights needed.

    with LabNetwork("voip-10", seed=7, capture="call.pcapng") as net:
        server = net.bob.start(["streamer", "serve", "--proto", "udp", "--host", net.bob.address])
        result = net.alice.run(["ping", "-c", "3", net.bob.address])
        net.cut()
        ...
        net.restore()

The hosts are network namespaces of Linux, with the kernel's own TCP and UDP; what the profile
says is done to their real packets by a process of ours. `up` and `down` make and end it without a
`with`, for a notebook whose cells share it.

Everything that cannot be done in a process with threads is done in another one, see
`labkit.live.link.helper`. When this process ends, however it ends, so does the lab.
"""

import errno
import os
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from labkit.live.link import messages, support
from labkit.live.link.host import Host
from labkit.live.link.namespaces import Place
from labkit.live.link.plan import make_plan, with_rate
from labkit.live.link.ways import Counts
from labkit.resources import load_profile
from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.profile import Profile
from labkit.words.tc import read_rate

PATIENCE: Final = 10.0
"""Seconds for an answer that takes milliseconds, before we call the lab dead."""
PACKAGE: Final = Path(__file__).parents[3]
"""What the helper must have on its path to find us."""


class LabNetwork:
    """Hosts and their links. Made with `with`, or by `up` and ended by `down`.

    `profile` is the name of a shipped profile, the path of a file, or a `Profile`; `seed` decides
    its dice. `hosts` are named as you like; with more than two there is a router. `nat` puts a NAT
    before the first host, or before those named. `bottleneck` ("2mbit") is a rate instead of the
    profile's own, and with `dscp` the voice (EF) goes first there; `police` ("200kbit") is how much
    of it may, so that it cannot starve the rest. `mtu` holds for all links.

    `capture` is a file for what crosses the link, as pcapng, with the link's verdicts as comments.
    `capture_at` says what is in it: "sent" is every packet when it was sent, the lost ones too;
    the name of a host is what that host sent and got, as tcpdump there would have it.
    """

    def __init__(
        self,
        profile: str | os.PathLike[str] | Profile = "clear",
        *,
        seed: int = 0,
        hosts: Sequence[str] = ("alice", "bob"),
        router: bool = False,
        nat: bool | Sequence[str] = False,
        bottleneck: str | int | None = None,
        dscp: bool = False,
        police: str | int = 0,
        mtu: int = 1500,
        capture: str | os.PathLike[str] | None = None,
        capture_at: str = "sent",
    ) -> None:
        if not isinstance(profile, Profile):
            profile = load_profile(os.fspath(profile))
        if bottleneck is not None:
            profile = with_rate(profile, _rate(bottleneck))
        if isinstance(nat, bool):
            nat = hosts[:1] if nat else ()
        self.profile = profile
        self.hosts: dict[str, Host] = {}
        self._plan = make_plan(
            profile,
            seed=seed,
            hosts=hosts,
            router=router,
            nat=nat,
            mtu=mtu,
            dscp=dscp,
            police=_rate(police),
            record="" if capture is None else capture_at,
        )
        self._capture = None if capture is None else Path(capture)
        self._lab: _Lab | None = None

    def up(self) -> Self:
        """Start the lab, in some tenths of a second. `MissingCapability` where that cannot be."""
        if self._lab is not None:
            raise LocalProtocolError("this lab network is up already")
        support.require_linux()
        lab = _Lab()
        try:
            ready = lab.start(pickle.dumps(self._plan), self._capture)
        except BaseException:
            lab.end()
            raise
        for name in self._plan.hosts:
            end = self._plan.interface(name)
            place = Place(ready["pid"], ready["networks"][name])
            outside = end.outside or end.address
            self.hosts[name] = Host(name, end.address, outside, place, lab.ask)
        self._lab = lab
        return self

    def down(self) -> None:
        """End every program, and the lab. Nothing happens if it is not up."""
        lab, self._lab = self._lab, None
        self.hosts = {}
        if lab is not None:
            lab.end()

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    def cut(self) -> None:
        """From now on nothing gets through; what is under way still arrives."""
        self._wires({"cut": True})

    def restore(self) -> None:
        """Mend what `cut` has cut."""
        self._wires({"cut": False})

    def counts(self) -> dict[str, Counts]:
        """What became of the packets so far, for each direction: "alice → bob".

        After this the capture on disk holds everything until now.
        """
        return {way: Counts(**counts) for way, counts in self._wires({}).items()}

    @property
    def dscp(self) -> bool:
        """Whether EF goes first at the bottleneck."""
        return self._plan.dscp

    def _wires(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._lab is None:
            raise LocalProtocolError("this lab network is not up: with LabNetwork(…) as net: …")
        return self._lab.ask_wires(message)

    def __getitem__(self, name: str) -> Host:
        if self._lab is None:
            raise LocalProtocolError("this lab network is not up: with LabNetwork(…) as net: …")
        if name not in self.hosts:
            raise BadInput(f"there is no host {name!r} here", ", ".join(self.hosts))
        return self.hosts[name]

    def __getattr__(self, name: str) -> Host:
        """`net.alice` is `net["alice"]`."""
        plan = self.__dict__.get("_plan")
        if plan is None or name not in plan.hosts:
            raise AttributeError(f"a LabNetwork has no {name!r}")
        return self[name]

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *self.hosts])

    def __repr__(self) -> str:
        state = "up" if self._lab is not None else "down"
        links = ", ".join(f"{link.near.host} ═ {link.far.host}" for link in self._plan.links)
        return f"<LabNetwork {self.profile.name}: {links}, {state}>"


class _Lab:
    """Our ends of the helper's sockets, and the helper."""

    def __init__(self) -> None:
        self._control, self._their_control = messages.pair()
        self._wires, self._their_wires = messages.pair()
        self._lock = threading.Lock()
        self.end: Callable[[], object] = self._close_sockets

    def start(self, plan: bytes, capture: Path | None) -> dict[str, Any]:
        """Start the helper; what it says when all is made."""
        for sock in (self._control, self._wires):
            sock.settimeout(PATIENCE)
        with ExitStack() as stack:
            stack.callback(self._their_control.close)
            stack.callback(self._their_wires.close)
            files = [self._their_control.fileno(), self._their_wires.fileno()]
            if capture is not None:
                files.append(stack.enter_context(_opened(capture)).fileno())
            helper = _start_helper(files)
        # Also if nobody calls `down`: when the object goes, and at the end of Python.
        self.end = weakref.finalize(self, _end, self._control, self._wires, helper)
        self._control.send(plan)
        made, _ = messages.receive(self._control)
        if made and "error" in made:
            raise support.explain(made["errno"], made["error"], made["file"])
        forwards, _ = messages.receive(self._wires)
        if forwards and "error" in forwards:
            raise BadInput(forwards["error"])
        if made is None or forwards is None:
            raise support.missing("the lab network did not start", "labkit doctor")
        return dict(made)

    def ask(self, message: object, files: Sequence[int] = ()) -> dict[str, Any]:
        """Ask the keeper. `BadInput` when it cannot do that."""
        answer = self._ask(self._control, message, files)
        if "error" in answer:
            raise BadInput(answer["error"], "`labkit doctor` says how to install what is missing")
        return answer

    def ask_wires(self, message: object) -> dict[str, Any]:
        """Ask the forwarder."""
        return self._ask(self._wires, message, ())

    def _ask(self, sock: socket.socket, message: object, files: Sequence[int]) -> dict[str, Any]:
        with self._lock:
            try:
                messages.send(sock, message, files)
                answer, _ = messages.receive(sock)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    raise BadInput("the command and its environment are too long") from error
                answer = None
        if answer is None:
            raise LocalProtocolError("this lab network has ended")
        return dict(answer)

    def _close_sockets(self) -> None:
        for sock in (self._control, self._their_control, self._wires, self._their_wires):
            sock.close()


def _rate(words: str | int) -> int:
    return words if isinstance(words, int) else read_rate(words)


def _opened(path: Path) -> BinaryIO:
    """The capture, opened by us: so it is our folder and our rights that count."""
    try:
        return path.open("wb")
    except OSError as error:
        raise BadInput(f"cannot write the capture {path}: {error.strerror}") from error


def _start_helper(files: list[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "labkit.live.link.helper", str(os.getpid())]
    path = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(  # noqa: S603  (ourselves)
        [*command, *map(str, files)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=files,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        start_new_session=True,  # Ctrl-C is for us; the helper sees us go
    )


def _end(control: socket.socket, wires: socket.socket, helper: subprocess.Popen[bytes]) -> None:
    """End the lab in order: programs first, then the wires with the capture, then the keeper."""
    with suppress(OSError):
        messages.send(control, {"end": True})
        messages.receive(control)
        messages.send(wires, {})
        messages.receive(wires)
    control.close()
    wires.close()
    try:
        helper.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
