"""What a sender and a receiver have in common: a session, and something behind it.

An endpoint is a machine made of machines in a row. It passes on what the network brings to its
session, reacts to what the session reports, and wants to be woken when any of its parts does.
This module knows no header and no codec; which wire the session speaks to is the session's affair.
"""

from collections.abc import Sequence
from typing import Any

from labkit.words.machine import Address, Event, earliest


class Endpoint:
    """One session and its owner, driven as one machine on either kind of wire."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._events: list[Event] = []

    # From the network -------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Pass one datagram to the session."""
        self.session.receive_datagram(data, source, now)
        self._react(now)

    def receive_data(self, data: bytes, now: int) -> None:
        """Pass bytes of a stream to the session."""
        self.session.receive_data(data, now)
        self._react(now)

    def receive_eof(self, now: int) -> None:
        """The stream has ended."""
        self.session.receive_eof(now)
        self._react(now)

    def pause_writing(self) -> None:
        """The wire is full."""
        self.session.pause_writing()

    def resume_writing(self) -> None:
        """The wire has room again."""
        self.session.resume_writing()

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Do what is due, here and in the session."""
        self.session.tick(now)
        self._react(now)
        self._work(now)

    def deadline(self) -> int | None:
        """The first deadline of the session and of the work behind it."""
        return earliest(self.session.deadline(), self._due())

    def transmits(self) -> Sequence[Any]:
        """What the session wants sent."""
        transmits: Sequence[Any] = self.session.transmits()
        return transmits

    def events(self) -> list[Event]:
        """What the application should know."""
        events, self._events = self._events, []
        return events

    def close(self, now: int) -> None:
        """End the session in order."""
        self.session.close(now)
        self._react(now)

    @property
    def wants_close(self) -> bool:
        """Over a stream: everything is sent, the connection may be ended."""
        return bool(self.session.wants_close)

    # For subclasses ---------------------------------------------------------------------------

    def _react(self, now: int) -> None:
        for event in self.session.events():
            if not self._handle(event, now):
                self._events.append(event)

    def _handle(self, event: Event, now: int) -> bool:
        """Act on an event of the session; True when the application need not see it."""
        raise NotImplementedError

    def _work(self, now: int) -> None:
        raise NotImplementedError

    def _due(self) -> int | None:
        raise NotImplementedError
