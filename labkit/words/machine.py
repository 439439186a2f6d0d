"""The one contract: a protocol is a machine that is told the time.

A machine gets bytes and the time, and answers with bytes and the time at which it wants to be
asked again. It owns no socket, no clock and no thread, so the same object can be stepped by hand
in a notebook, run through a minute of virtual time in a blink, or run on real sockets.

**After every call that changes a machine: drain `transmits` and `events`, then ask for its
`deadline`.**

The loop that drives a machine has five steps, and both drivers number them so in their comments:

1. feed it: a datagram, stream data, or `tick` when its deadline has come
2. drain `transmits()` and send what it gave
3. drain `events()` and act on them
4. ask for its `deadline()` and arm one timer
5. wait: for the network or for the timer

There are two kinds of wire and so two kinds of machine. This module says what they have in
common; it knows no protocol, no socket and no clock.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

Address = Hashable
"""Where a datagram came from or goes to: (host, port) on a socket, any name in virtual time."""


class Event:
    """Something the application should know. Each machine documents its own."""

    __slots__ = ()


class Datagram(NamedTuple):
    """Bytes for one datagram, and where to send them."""

    data: bytes
    destination: Address


class Copies(NamedTuple):
    """The same bytes for many: a datagram for each of the destinations."""

    data: bytes
    destinations: tuple[Address, ...]
    """The same tuple as long as they are the same: a driver may prepare for it once."""


@runtime_checkable
class Machine(Protocol):
    """What every machine can do, whatever wire it speaks to."""

    def tick(self, now: int) -> None:
        """Time has passed: do what is due. Calling it too early does no harm."""

    def deadline(self) -> int | None:
        """When it next wants `tick`, or None when only the network can wake it."""

    def transmits(self) -> Sequence[Any]:
        """Hand over what it wants sent; a second call returns nothing."""

    def events(self) -> Sequence[Event]:
        """Hand over what happened; a second call returns nothing."""


@runtime_checkable
class DatagramMachine(Machine, Protocol):
    """A machine on a wire that keeps boundaries but loses, doubles and reorders."""

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network. Never raises for what the bytes are."""

    def transmits(self) -> Sequence[Datagram]:
        """Hand over the datagrams it wants sent."""


@runtime_checkable
class SpreadingMachine(DatagramMachine, Protocol):
    """A datagram machine that says the same to many.

    A driver that can send many datagrams at once drains `copies` before `transmits`. For one that
    cannot, `transmits` gives a `Datagram` for every copy that was not drained.
    """

    def copies(self) -> Sequence[Copies]:
        """Hand over what is the same for many; a second call returns nothing."""


@runtime_checkable
class StreamMachine(Machine, Protocol):
    """A machine on a wire that keeps order but no boundaries."""

    def receive_data(self, data: bytes, now: int) -> None:
        """Take some bytes, cut anywhere. Never raises for what the bytes are."""

    def receive_eof(self, now: int) -> None:
        """The peer will send no more."""

    def transmits(self) -> Sequence[bytes]:
        """Hand over the bytes it wants sent, in order."""

    def pause_writing(self) -> None:
        """The wire is full: `transmits` gives nothing until `resume_writing`."""

    def resume_writing(self) -> None:
        """The wire has room again."""


def earliest(*deadlines: int | None) -> int | None:
    """The first of several deadlines; None means never."""
    first: int | None = None
    for deadline in deadlines:  # a plain loop: this is asked after everything that happens
        if deadline is not None and (first is None or deadline < first):
            first = deadline
    return first
