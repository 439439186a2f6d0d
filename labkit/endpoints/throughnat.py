"""A machine that talks through a hole, as soon as there is one (week 9).

    listener = ThroughNat(puncher, lambda peer: Receiver(RtpSession(Role.RECEIVER, peer=peer)))

Puncher and machine share one port, since the hole is that port's. STUN belongs to the puncher,
which keeps the hole open, and all else to the machine (RFC 7983). One of two peers knows earlier
that the hole is open, and may speak at once: what it says is kept for the machine to come.

This module knows neither the NATs nor what the machine says.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from labkit.core.holepunch import HolePuncher, Punched
from labkit.wire.stun import is_stun
from labkit.words.machine import Address, Datagram, DatagramMachine, Event, earliest

MOST_EARLY: Final = 50
"""Datagrams kept before there is a machine: one second of 20 ms frames."""


class ThroughNat:
    """Punches, then lets `make(peer)` speak. A datagram machine."""

    def __init__(self, puncher: HolePuncher, make: Callable[[Address], DatagramMachine]) -> None:
        self.puncher = puncher
        self.machine: DatagramMachine | None = None
        self._make = make
        self._early: deque[tuple[bytes, Address]] = deque(maxlen=MOST_EARLY)
        self._events: list[Event] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Pass it to whom it belongs."""
        if is_stun(data):
            self.puncher.receive_datagram(data, source, now)
            self._look(now)
        elif self.machine is not None:
            self.machine.receive_datagram(data, source, now)
        else:
            self._early.append((data, source))

    def tick(self, now: int) -> None:
        """For both."""
        self.puncher.tick(now)
        self._look(now)
        if self.machine is not None:
            self.machine.tick(now)

    def _look(self, now: int) -> None:
        """Whether the hole is open now: then the machine may speak."""
        for event in self.puncher.events():
            self._events.append(event)
            if isinstance(event, Punched):
                self.machine = self._make(event.peer)
                self.machine.tick(now)
                for data, source in self._early:
                    if source == event.peer:
                        self.machine.receive_datagram(data, source, now)
                self._early.clear()

    def deadline(self) -> int | None:
        """The earlier of both."""
        machine = None if self.machine is None else self.machine.deadline()
        return earliest(self.puncher.deadline(), machine)

    def transmits(self) -> list[Datagram]:
        """Of both."""
        machine = [] if self.machine is None else self.machine.transmits()
        return [*self.puncher.transmits(), *machine]

    def events(self) -> list[Event]:
        """Of both."""
        events, self._events = self._events, []
        return events if self.machine is None else [*events, *self.machine.events()]
