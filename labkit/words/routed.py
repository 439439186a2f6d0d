"""A machine through which datagrams pass: it sees where each comes from and where it goes.

A `DatagramMachine` has one address and is told the other one. A router, a NAT, or a server with
several addresses needs both: a `RoutedMachine` is told source and destination of what comes, and
says both of what it sends. The rest of the contract is that of `labkit.words.machine`.

This module knows no NAT: it says how one is driven.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from labkit.words.machine import Address, Machine


class Routed(NamedTuple):
    """Bytes for one datagram, whom to send it as, and where to."""

    data: bytes
    source: Address
    destination: Address


@runtime_checkable
class RoutedMachine(Machine, Protocol):
    """A machine that stands between others, or has several addresses."""

    def receive_routed(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """Take one datagram on its way. Never raises for what the bytes are."""

    def transmits(self) -> Sequence[Routed]:
        """Hand over the datagrams it wants sent."""
