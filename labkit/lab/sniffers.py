"""What sniffs: scapy, tshark, or a program of ours at a host of a lab network; and who may.

Each sniffer hands over packets in a thread of its own, says at once what is wrong with a device or
a filter, and ends when it is told to. `python -m labkit.lab.sniffers DEVICE FILTER` is what runs
at a host: it prints every packet.

This module keeps no packet: `labkit.lab.sniff` does.
"""

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, Protocol

from labkit.lab.captures import offer
from labkit.lab.doctor.programs import capture_rights
from labkit.lab.doctor.remedies import this_system
from labkit.lab.doctor.trial import Status
from labkit.live.link.host import Host
from labkit.words.errors import BadInput, MissingCapability

START: Final = 10.0
"""Seconds that a sniffer has to begin: tshark takes half of one."""

Take = Callable[[Any], None]


class Source(Protocol):
    """Where packets come from. `start` returns when it listens, `stop` when it has ended."""

    settle: float
    """Seconds that a packet may take from the wire to us; before `stop` we wait as long."""

    def start(self, take: Take) -> None:
        """Listen, and give every packet to `take`, in another thread."""

    def stop(self) -> None:
        """Listen no more."""


# Rights --------------------------------------------------------------------------------------


def require_rights(of: str) -> None:
    """Raise `MissingCapability` unless we may capture: by a raw "socket", or by "dumpcap"."""
    if of == "socket":
        if _may_open_raw_socket():
            return
        raise _not_allowed("capturing with scapy needs the right to open raw sockets")
    if shutil.which("tshark") is None:
        raise MissingCapability("tshark is not installed", this_system().install("tshark"))
    capability = capture_rights()
    if capability.status is Status.MISSING:
        raise _not_allowed(capability.found, capability.remedy)


def _may_open_raw_socket() -> bool:
    if not hasattr(socket, "AF_PACKET"):
        return capture_rights().status is not Status.MISSING  # libpcap's rights, as Wireshark's
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return False
    return True


def _not_allowed(what: str, also: str = "") -> MissingCapability:
    ways = [
        "a lab network, where everybody may: with LabNetwork(…) as net: sniff(…, at=net.bob)",
        *([also] if also else ["start Jupyter with rights: sudo -E jupyter lab --allow-root"]),
        f"without any rights {offer()}",
    ]
    return MissingCapability(what, "\n       ".join(ways))


# Sources -------------------------------------------------------------------------------------


class Scapy:
    """scapy's own sniffer. Good for a thousand packets a second, not for bursts."""

    settle = 0.2

    def __init__(self, device: str, filter_: str) -> None:
        if sys.platform == "linux" and device == "lo":
            # Loopback shows each packet going out and coming in (secdev/scapy issue 1702).
            filter_ = f"inbound and ({filter_})" if filter_ else "inbound"
        self._device = device
        self._filter = filter_
        self._sniffer: Any = None

    def start(self, take: Take) -> None:
        """Begin, and wait until it listens: a device that is not there shows only now."""
        from scapy.sendrecv import AsyncSniffer

        begun = threading.Event()
        self._sniffer = AsyncSniffer(
            iface=self._device,
            filter=self._filter or None,
            prn=take,
            store=False,
            started_callback=begun.set,
        )
        self._sniffer.start()
        end = time.monotonic() + START
        while not begun.wait(0.02):
            failure = self._sniffer.exception
            if failure is not None or time.monotonic() > end:
                raise BadInput(f"cannot sniff on {self._device}: {failure}", "device='lo'")

    def stop(self) -> None:
        """End it."""
        if self._sniffer is not None and self._sniffer.running:
            self._sniffer.stop()


class Tshark:
    """tshark captures and dissects, pyshark makes packets of what it says."""

    settle = 1.0  # the kernel, dumpcap and tshark each hand packets on in batches

    def __init__(self, device: str, filter_: str, rtp: int | None) -> None:
        self._command = ["tshark", "-i", device, "-l", "-n", "-T", "ek", "-f", filter_]
        if rtp is not None:
            self._command += ["-d", f"udp.port=={rtp},rtp"]
        self._program: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._complaints: list[str] = []

    def start(self, take: Take) -> None:
        """Begin, and wait until tshark says that it captures."""
        from pyshark.ek_field_mapping import MAPPING
        from pyshark.tshark.tshark import get_tshark_version

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # pyshark leaves its file open
            MAPPING.load_mapping(str(get_tshark_version()))  # which fields are numbers
        begun = threading.Event()
        self._program = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._read(lambda: self._packets(take))
        self._read(lambda: self._listen(begun))
        begun.wait(START)
        if not any("Capture started" in line for line in self._complaints) and self._ended():
            self.stop()
            why = next((line for line in self._complaints[::-1] if line), "no reason given")
            raise BadInput(f"tshark does not capture: {why}", "another filter, another device")

    def _ended(self) -> bool:
        """Whether it gives up. Before version 4 it does not say that it started."""
        assert self._program is not None
        try:
            self._program.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._readers.append(thread)

    def _packets(self, take: Take) -> None:
        from pyshark.tshark.output_parser.tshark_ek import packet_from_ek_packet

        assert self._program is not None
        assert self._program.stdout is not None
        for line in self._program.stdout:
            if line.startswith('{"timestamp"'):
                take(packet_from_ek_packet(line.encode()))

    def _listen(self, begun: threading.Event) -> None:
        """Until it says that it has started, or ends."""
        assert self._program is not None
        assert self._program.stderr is not None
        for line in self._program.stderr:
            self._complaints.append(line.strip())
            if "Capture started" in line:
                begun.set()
        begun.set()

    def stop(self) -> None:
        """Ctrl-C, and wait for what it still has to say."""
        assert self._program is not None
        if self._program.poll() is None:
            self._program.send_signal(signal.SIGINT)
        for reader in self._readers:
            reader.join(START)
        self._program.wait(START)
        for pipe in (self._program.stdout, self._program.stderr):
            if pipe is not None:
                pipe.close()


class AtHost:
    """A sniffer that runs at a host of a lab network; packets come as lines of hex digits."""

    settle = 0.2

    def __init__(self, host: Host, filter_: str) -> None:
        self._host = host
        self._filter = filter_
        self._program: Any = None
        self._take: Take = lambda packet: None

    def start(self, take: Take) -> None:
        """Begin, and wait until it listens."""
        self._take = take
        command = [sys.executable, "-m", "labkit.lab.sniffers", "lab0", self._filter]
        self._program = self._host.start(command)
        try:
            self._program.stdout.wait_for(BEGUN, START)
        except TimeoutError as error:
            said = self._program.stderr.text.strip().rpartition("\n")[2]
            raise BadInput(f"cannot sniff at {self._host.name}: {said}") from error

    def stop(self) -> None:
        """End it, and take what it saw."""
        from scapy.layers.inet import IP

        self._program.terminate()
        self._program.wait(START)
        for line in self._program.stdout.lines:
            if match := re.fullmatch(r"([\d.]+) ([0-9a-f]+)", line):
                packet = IP(bytes.fromhex(match[2]))
                packet.time = float(match[1])
                self._take(packet)


BEGUN: Final = "sniffing"


def main(device: str, filter_: str) -> None:
    """What runs at a host: print every packet until it is ended."""
    begun = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: begun.set())

    def say(packet: Any) -> None:
        print(f"{float(packet.time):.9f} {bytes(packet).hex()}", flush=True)

    source = Scapy(device, filter_)
    source.start(say)
    print(BEGUN, flush=True)
    begun.wait()
    source.stop()


if __name__ == "__main__":
    main(*sys.argv[1:3])
