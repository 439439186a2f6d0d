"""Live packets, in a notebook: through scapy or pyshark, on loopback or in a lab network.

    with sniff("udp port 5004") as packets:          while the block runs
        ...
    packets[0].show()                                scapy's packets, in a list
    packets.traffic                                  the same for our pictures: ladder, sequence

    packets = await sniff("udp port 5004", count=10)          until there are ten
    with sniff("tcp", at=net.bob) as packets: ...             at a host of a LabNetwork
    with sniff("udp", rtp=5004, using="pyshark") as packets:  dissected by Wireshark

Capturing needs rights, and not to have them shows late or never: scapy's sniffer says so when it is
stopped, pyshark's `LiveCapture` waits for ever. So they are looked at before, and what is raised,
`MissingCapability`, says how to get them and which shipped capture does instead. In a lab network
everybody has them.

pyshark's own captures want an event loop to themselves, and a notebook has one already. Here a
thread reads tshark's output and pyshark only dissects (in its quick form, `use_ek`).
"""

import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Final, Protocol, Self

from labkit.lab.captures import offer
from labkit.lab.doctor.programs import capture_rights
from labkit.lab.doctor.remedies import this_system
from labkit.lab.doctor.trial import Status
from labkit.lab.headers import LINKTYPE_IP
from labkit.lab.traffic import Seen, Traffic
from labkit.live.link.host import Host
from labkit.wire.linklayer import ETHERNET
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.units import NS_PER_S

START: Final = 10.0
"""Seconds that a sniffer has to begin: tshark takes half of one."""
LOOPBACK: Final = {"darwin": "lo0", "win32": r"\Device\NPF_Loopback"}.get(sys.platform, "lo")

Take = Callable[[Any], None]


class Source(Protocol):
    """Where packets come from. `start` returns when it listens, `stop` when it has ended."""

    settle: float
    """Seconds that a packet may take from the wire to us; before `stop` we wait as long."""

    def start(self, take: Take) -> None:
        """Listen, and give every packet to `take`, in another thread."""

    def stop(self) -> None:
        """Listen no more."""


class Sniff:
    """Packets as they come. Made by `sniff`; used with `with`, `async with` or `await`."""

    def __init__(self, source: Source, count: int | None, limit: float) -> None:
        self._source = source
        self._count = count
        self._limit = limit
        self._packets: list[Any] = []
        self._news = threading.Condition()

    def wait(self, count: int = 1, timeout: float = 10) -> int:
        """Until there are so many packets, or the time is up; how many there are."""
        with self._news:
            self._news.wait_for(lambda: len(self._packets) >= count, timeout)
            return len(self._packets)

    @property
    def traffic(self) -> Traffic:
        """The packets for `ladder`, `sequence`, `delays` and `bytemap`."""
        return Traffic(
            (
                Seen(number, int(float(p.time) * NS_PER_S), bytes(p), len(p), link=_link(p))
                for number, p in enumerate(self._scapy_packets(), 1)
            ),
            "live",
        )

    def _scapy_packets(self) -> list[Any]:
        if self._packets and not hasattr(self._packets[0], "haslayer"):
            raise BadInput("pyshark's packets have no bytes", 'sniff(…, using="scapy")')
        return self._packets

    # With, async with, await

    def __enter__(self) -> Self:
        self._source.start(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            time.sleep(self._source.settle)
        self._source.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._collect().__await__()

    async def _collect(self) -> Self:
        """Until `count` or `seconds` is reached; the notebook's event loop goes on meanwhile."""
        async with self:
            await asyncio.to_thread(self.wait, self._count or sys.maxsize, self._limit)
        return self

    def _take(self, packet: Any) -> None:
        with self._news:
            self._packets.append(packet)
            self._news.notify_all()

    # A list

    def __len__(self) -> int:
        return len(self._packets)

    def __getitem__(self, index: int) -> Any:
        return self._packets[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._packets))

    def __repr__(self) -> str:
        return f"<{len(self)} packets sniffed>"


def sniff(
    filter: str = "",  # noqa: A002  (the name that scapy has for it)
    *,
    device: str = LOOPBACK,
    at: Host | None = None,
    using: str = "scapy",
    rtp: int | None = None,
    count: int | None = None,
    seconds: float | None = None,
) -> Sniff:
    """Packets that pass a filter in tcpdump's words, from now on.

    `device` is a network card, loopback if not said, and `at` a host of a `LabNetwork` instead.
    `using` is "scapy" or "pyshark". `rtp` is a port whose datagrams are to be dissected as RTP.
    `count` and `seconds` are for `await`. `MissingCapability` where capturing is not allowed.
    """
    if using not in ("scapy", "pyshark"):
        raise BadInput(f"no library is called {using!r} here", "scapy or pyshark")
    source: Source
    if at is not None:
        if using != "scapy":
            raise BadInput("at a host of a lab scapy sniffs", 'sniff(…, at=…, using="scapy")')
        source = AtHost(at, filter)
    elif using == "pyshark":
        require_rights("dumpcap")
        source = Tshark(device, filter, rtp)
    else:
        require_rights("socket")
        source = Scapy(device, filter)
    if rtp is not None and using == "scapy":
        _teach_scapy(rtp)
    return Sniff(source, count, seconds if seconds is not None else 60.0)


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
        command = [sys.executable, "-m", "labkit.lab.sniff", "lab0", self._filter]
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


# What scapy says -----------------------------------------------------------------------------


def _teach_scapy(port: int) -> None:
    """Scapy binds RTP to no port by itself."""
    from scapy.layers.inet import UDP
    from scapy.layers.rtp import RTP
    from scapy.packet import bind_layers

    bind_layers(UDP, RTP, dport=port)
    bind_layers(UDP, RTP, sport=port)


def _link(packet: Any) -> int:
    """The LINKTYPE of what a scapy packet begins with."""
    return ETHERNET if packet.name == "Ethernet" else LINKTYPE_IP


if __name__ == "__main__":
    main(*sys.argv[1:3])
