"""The process that keeps a lab: makes the namespaces, starts programs, and ends with its maker.

    who made the lab ── control ──> keeper: PID 1 of the lab ──> programs at the hosts
                     └─ wires ────> forwarder, its child

It is started as a process of its own because a user namespace cannot be made in a process with
threads, which a notebook's has. The end of things is the kernel's business: when the keeper ends,
as PID 1 of its namespace, everything in it is killed, the forwarder too; with the last process the
namespaces go, and with them the devices. The keeper ends when it is told, when who made the lab is
gone (its socket is closed, or its process has ended), or when the forwarder is gone.
"""

import os
import pickle
import signal
import socket
import sys
from pathlib import Path

from labkit.live.link import messages
from labkit.live.link.device import open_device, prepare_host
from labkit.live.link.keeper import Keeper, said
from labkit.live.link.namespaces import (
    die_with_parent,
    isolate,
    new_network,
)
from labkit.live.link.plan import ROUTER, Plan
from labkit.words.errors import BadInput


def main() -> int:
    """`python -m labkit.live.link.helper MAKER CONTROL WIRES [CAPTURE]`: a process and files."""
    maker, control_file, wires_file = map(int, sys.argv[1:4])
    capture = int(sys.argv[4]) if len(sys.argv) > 4 else None
    control, wires = socket.socket(fileno=control_file), socket.socket(fileno=wires_file)
    maker_ended = _watch(maker)
    plan: Plan = pickle.loads(control.recv(messages.LARGEST))  # noqa: S301  (from who started us)
    try:
        isolate()
        pid = os.fork()
        if pid:
            control.close()
            wires.close()
            os.waitpid(pid, 0)
            return 0
        die_with_parent()
        _keep(plan, control, wires, capture, maker_ended)
    except OSError as error:
        messages.send(control, said(error))
    return 0


def _watch(pid: int) -> int | None:
    """A file that becomes readable when a process ends, even if a child of it lives on."""
    if os.getppid() != pid:
        raise SystemExit
    try:
        return os.pidfd_open(pid)
    except OSError:  # before Linux 5.3
        return None


def _keep(
    plan: Plan,
    control: socket.socket,
    wires: socket.socket,
    capture: int | None,
    maker_ended: int | None,
) -> None:
    networks, devices = _make_hosts(plan)
    forwarder = os.fork()
    if not forwarder:
        _be_forwarder(plan, devices, control, wires, capture)
    for file in (*devices.values(), *([] if capture is None else [capture])):
        os.close(file)
    wires.close()
    keeper = Keeper(networks, forwarder, control, maker_ended)
    # /proc is the one from outside, so this is the PID by which the world knows us.
    pid = int(Path("/proc/self").readlink().name)
    messages.send(control, {"pid": pid, "networks": networks})
    keeper.run()


def _make_hosts(plan: Plan) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """A network namespace for each host, and in it its devices."""
    networks, devices = {}, {}
    for host in plan.hosts:
        networks[host] = new_network()
        prepare_host(forwards=host == ROUTER)
        for link in plan.links:
            for end in (link.near, link.far):
                if end.host == host:
                    devices[host, end.device] = open_device(end, plan.mtu)
    return networks, devices


def _be_forwarder(
    plan: Plan,
    devices: dict[tuple[str, str], int],
    control: socket.socket,
    wires: socket.socket,
    capture: int | None,
) -> None:
    from labkit.live.link.forwarder import forward

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is the last to go
    control.close()
    try:
        forward(plan, devices, wires, capture)
    except BadInput as error:
        messages.send(wires, {"error": str(error)})
    except Exception:  # noqa: BLE001  (whatever it is, the fork must not return)
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
