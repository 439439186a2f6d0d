"""A tap on the links of a world: everything that crosses, for Wireshark.

    tap = Tap()
    world = World(seed=7, tap=tap)
    ...
    with open("call.pcapng", "wb") as file:
        tap.write_pcapng(file)

A datagram is seen twice, where it is sent and where it arrives, and a capture shows one of the
two: at the sender lost packets are there, with what the link did to them as a comment, and at the
receiver the times are those of arrival, from which jitter is measured. Of a byte stream the tap
sees what came out in order; the capture shows it as the segments of a TCP without loss.

Nothing is copied: a tap holds on to the bytes that crossed. A world without one keeps nothing.

This module opens no file and does not know what is in a datagram.
"""

from ipaddress import ip_address
from typing import BinaryIO, Literal, NamedTuple

from labkit.wire.pcap import PcapngWriter
from labkit.words.machine import Address

UNKNOWN_PORT = 5004
"""The port of machines whose address is not (host, port)."""


class Crossing(NamedTuple):
    """Bytes that crossed a link. `verdict` is what the link did to them; empty: they passed."""

    now: int
    data: bytes
    source: Address
    destination: Address
    verdict: str = ""


class Tap:
    """Keeps what crosses. Give it to a `World`."""

    def __init__(self) -> None:
        self.sent: list[Crossing] = []
        """Datagrams at their sender."""
        self.arrived: list[Crossing] = []
        """Datagrams at their receiver."""
        self.streamed: list[Crossing] = []
        """Bytes of streams as they were handed over; without bytes: the end."""

    def write_pcapng(self, file: BinaryIO, at: Literal["sent", "arrived"] = "sent") -> None:
        """Write a capture, as taken at the sender or at the receiver."""
        endpoints = _Endpoints()
        datagrams = self.sent if at == "sent" else self.arrived
        streamed = [(crossing, True) for crossing in self.streamed]
        both = sorted(
            [(crossing, False) for crossing in datagrams] + streamed, key=lambda one: one[0].now
        )
        with PcapngWriter(file) as capture:
            for crossing, stream in both:
                write = capture.tcp if stream else capture.udp
                write(
                    crossing.now,
                    crossing.data,
                    endpoints.of(crossing.source),
                    endpoints.of(crossing.destination),
                    comment=crossing.verdict,
                )


class _Endpoints:
    """Addresses in virtual time may be anything; in a capture they are (IP address, port)."""

    def __init__(self) -> None:
        self._known: dict[Address, tuple[str, int]] = {}

    def of(self, address: Address) -> tuple[str, int]:
        if address not in self._known:
            self._known[address] = self._as_it_is(address) or self._invented()
        return self._known[address]

    def _invented(self) -> tuple[str, int]:
        high, low = divmod(len(self._known) + 1, 250)
        return f"10.99.{high}.{low + 1}", UNKNOWN_PORT

    @staticmethod
    def _as_it_is(address: Address) -> tuple[str, int] | None:
        match address:
            case (str(host), int(port)):
                try:
                    ip_address(host)
                except ValueError:
                    return None
                return host, port
        return None
