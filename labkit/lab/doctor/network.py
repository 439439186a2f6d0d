"""Bad networks of the real kernel, the sandbox built from the same parts, and sockets."""

import os
import platform
import socket
from pathlib import Path
from typing import Final

from labkit.lab.doctor.remedies import distribution, this_system
from labkit.lab.doctor.trial import Capability, Ran, Subject, run
from labkit.live.link import support
from labkit.live.sockopts import receive_buffer, reuse_address

NAMESPACES: Final = Subject(
    "namespaces", "two hosts in one machine, from week 4 on; without them a relay does it"
)
TUN: Final = Subject("TUN device", "a bad link between two namespaces, from week 4 on")
NETEM: Final = Subject(
    "tc netem", "the kernel's own bad network, from week 5 on; labkit's links do the same"
)
SANDBOX: Final = Subject("bubblewrap", "the sandbox of the grader; students need none")
UDP: Final = Subject("UDP", "packets in bursts, from week 5 on")
PORT: Final = Subject("port 5000", "the examples of the README; any other port does as well")

PORT_OF_THE_EXAMPLES: Final = 5000
NOT_FOUND: Final = 127
"""The exit code of `unshare` when there is no such program to run inside."""
BURST: Final = 1 << 20
"""Bytes of receive buffer that `labkit.live.udp` asks for."""


def in_namespace(*command: str) -> Ran:
    """Run a command as root of a network of its own, which is gone when the command ends."""
    ran = run("unshare", "--user", "--map-root-user", "--net", *command)
    if ran.output.startswith("unshare:") and _is_root():
        return run("unshare", "--net", *command)
    return ran


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def namespaces() -> Capability:
    """Ubuntu grants the namespace and then no rights in it, so something must be done inside."""
    if this_system().platform != "linux":
        return NAMESPACES.missing("only Linux has them", this_system().get_linux())
    ran = in_namespace("ip", "link", "set", "lo", "up")
    if ran.code == 0:
        return NAMESPACES.ok("made one" if _is_root() else "made one, without root")
    if ran.code == NOT_FOUND:
        return NAMESPACES.missing("no program ip", this_system().install("iproute2"))
    return NAMESPACES.missing(ran.first_line, support.allow_namespaces())


def tun() -> Capability:
    """Make a TUN device where nobody sees it."""
    if this_system().platform != "linux":
        return TUN.missing("only Linux has it in a namespace", this_system().get_linux())
    ran = in_namespace("ip", "tuntap", "add", "dev", "labkit0", "mode", "tun")
    if ran.code == 0:
        return TUN.ok("made one, in a namespace")
    device = Path("/dev/net/tun")
    if not device.exists():
        return TUN.missing("no /dev/net/tun", "sudo modprobe tun")
    if not os.access(device, os.R_OK | os.W_OK):
        return TUN.missing("/dev/net/tun is closed to you", "sudo chmod 666 /dev/net/tun")
    return TUN.missing(ran.first_line, "mend the namespaces first")


def netem() -> Capability:
    """Add netem to a loopback of our own, and tell a kernel without it from missing rights."""
    if this_system().platform != "linux":
        return NETEM.missing("only Linux has it", this_system().get_linux())
    ran = in_namespace("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    if ran.code == 0:
        return NETEM.ok("added to a loopback of our own")
    if ran.code == NOT_FOUND:
        return NETEM.missing("no program tc", this_system().install("iproute2"))
    if ran.output.startswith("unshare:") or "permitted" in ran.output:
        return NETEM.missing(
            f"not without root here ({ran.first_line})", "as root (sudo), or mend the namespaces"
        )
    return NETEM.missing("this kernel has no sch_netem", _netem_remedy())


def _netem_remedy() -> str:
    release = platform.release()
    if any(Path("/lib/modules", release).glob("kernel/net/sched/sch_netem.ko*")):
        return "sudo modprobe sch_netem"
    system = this_system()
    if not system.wsl and distribution() == "ubuntu":
        return f"sudo apt-get install linux-modules-extra-{release}"
    if not system.wsl and system.manager == "dnf":
        return "sudo dnf install kernel-modules-extra"
    if distribution() == "debian" and "cloud" in release:
        return "the standard kernel: sudo apt-get install linux-image-amd64, then start again"
    return "another kernel; or labkit's own links, which read the same profiles"


def bubblewrap() -> Capability:
    """Run nothing in a sandbox as tight as the grader's."""
    if this_system().platform != "linux":
        return SANDBOX.missing("only Linux has it", this_system().get_linux())
    ran = run("bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true")
    if ran.code == 0:
        return SANDBOX.ok("ran a program without network")
    if ran.code is None:
        return SANDBOX.missing(ran.first_line, this_system().install("bubblewrap"))
    return SANDBOX.missing(ran.first_line, support.allow_namespaces())


def udp() -> Capability:
    """Send a datagram to ourselves, and see how long a burst the kernel would hold."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.bind(("127.0.0.1", 0))
        sock.sendto(b"labkit", sock.getsockname())
        try:
            sock.recv(16)
        except TimeoutError:
            return UDP.missing("a datagram to ourselves did not arrive", "look at the firewall")
        granted = receive_buffer(sock, BURST)
    if granted >= BURST:
        return UDP.ok(f"loopback works, receive buffer {granted >> 10} KiB")
    found = f"receive buffer {granted >> 10} KiB of {BURST >> 10}: bursts lose packets"
    setting = "kern.ipc.maxsockbuf" if this_system().platform == "darwin" else "net.core.rmem_max"
    return UDP.limited(found, f"sudo sysctl -w {setting}={4 * BURST}")


def port() -> Capability:
    """Bind the port of the examples, for TCP and for UDP."""
    for kind, name in ((socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                reuse_address(sock)
                sock.bind(("127.0.0.1", PORT_OF_THE_EXAMPLES))
            except OSError as error:
                remedy = "--port 5004 in both commands; on a Mac, AirPlay Receiver has 5000"
                return PORT.limited(f"{name}: {error.strerror}", remedy)
    return PORT.ok("free for TCP and UDP")
