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
import sys
import threading
import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Final, Self

from labkit.lab.dissection import LINKTYPE_IP
from labkit.lab.seen import Seen
from labkit.lab.sniffers import AtHost, Scapy, Source, Tshark, require_rights
from labkit.lab.traffic import Traffic
from labkit.live.link.host import Host
from labkit.wire.linklayer import ETHERNET
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_S

LOOPBACK: Final = {"darwin": "lo0", "win32": r"\Device\NPF_Loopback"}.get(sys.platform, "lo")


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
