"""One voice and everybody who listens to it.

Each frame is encoded and packed once; every listener has a session of its own. Over datagrams a
server is one machine: who a datagram comes from tells whose session it belongs to. Over streams
each listener's `Sender` is driven by its own connection, and the server only speaks to all:
`admit`, `dismiss`, `speak`, `speaks`, `close`.

This module knows neither the wire nor the codec.
"""

from collections.abc import Callable
from typing import Any

from labkit.core.session import Closed, Joined
from labkit.endpoints.sender import LINGER, Sender
from labkit.endpoints.voice import Voice
from labkit.words.format import Samples
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.packet import Packet

MAX_CLIENTS = 64
"""Listeners at a time, unless somebody says otherwise: an open port must not cost memory."""


class Server:
    """Sends `voice` to whoever joins. `make_session(address)` makes the session of a listener."""

    def __init__(
        self,
        voice: Voice,
        make_session: Callable[[Address], Any],
        *,
        max_clients: int = MAX_CLIENTS,
    ) -> None:
        self.voice = voice
        self.clients: dict[Address, Sender] = {}
        self.refused_clients = 0
        """Who came when everybody was already here."""
        self.closing = False
        self._make_session = make_session
        self._max_clients = max_clients
        self._closes: int | None = None
        self._events: list[Event] = []
        self._last_words: list[Datagram] = []

    # Listeners --------------------------------------------------------------------------------

    def admit(self, address: Address) -> Sender | None:
        """The sender's end for a new listener; None when there is no room."""
        if len(self.clients) >= self._max_clients or self.closing:
            self.refused_clients += 1
            return None
        sender = Sender(self._make_session(address), None)
        self.clients[address] = sender
        return sender

    def dismiss(self, address: Address) -> None:
        """Forget a listener."""
        self.clients.pop(address, None)

    def listening(self) -> int:
        """How many listeners have joined."""
        return sum(c.session.ready for c in self.clients.values())

    @property
    def closed(self) -> bool:
        """It was closed, and every listener knows or was given up."""
        return self.closing and all(c.session.closed for c in self.clients.values())

    # Sound ------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Begin to read a paced source. Called when the first listener joins."""
        self.voice.start(now)

    def push_audio(self, samples: Samples, now: int) -> None:
        """Take captured samples from a live source."""
        self._speak(self.voice.push_audio(samples, now), now)

    def speak(self, now: int) -> None:
        """Say what is due to everybody; some time after the last word, goodbye."""
        due = self.voice.deadline()
        if due is not None and due <= now:
            self._speak(self.voice.tick(now), now)
            if self.voice.finished:
                self._closes = now + LINGER
        if self._closes is not None and self._closes <= now:
            self._closes = None
            self.close(now)

    def speaks(self) -> int | None:
        """When `speak` has something to do."""
        return earliest(self.voice.deadline(), self._closes)

    def _speak(self, packets: list[Packet], now: int) -> None:
        for sender in self.clients.values():
            sender.send(packets, now)

    def close(self, now: int) -> None:
        """End every session in order."""
        self.closing = True
        for sender in self.clients.values():
            sender.close(now)

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Pass a datagram to the session of its sender.

        A stranger gets a session if there is room, and keeps it if the datagram asked for one:
        noise costs no memory.
        """
        known = source in self.clients
        sender = self.clients[source] if known else self.admit(source)
        if sender is not None:
            sender.receive_datagram(data, source, now)
            if not known and not sender.joined:
                self._let_go(source)
            self._collect(now)

    def tick(self, now: int) -> None:
        """Speak, and let every session do what is due."""
        self.speak(now)
        for sender in self.clients.values():
            sender.tick(now)
        self._collect(now)

    def deadline(self) -> int | None:
        """The first deadline of the voice and of every session."""
        clients = (c.deadline() for c in self.clients.values())
        return earliest(self.speaks(), *clients)

    def transmits(self) -> list[Datagram]:
        """What every session wants sent."""
        words, self._last_words = self._last_words, []
        return words + [d for sender in self.clients.values() for d in sender.transmits()]

    def events(self) -> list[Event]:
        """What happened to any listener."""
        events, self._events = self._events, []
        return events

    def _collect(self, now: int) -> None:
        gone: list[Address] = []
        for address, sender in self.clients.items():
            for event in sender.events():
                if isinstance(event, Joined):
                    self.start(now)
                elif isinstance(event, Closed) and not self.closing:
                    gone.append(address)
                self._events.append(event)
        for address in gone:
            self._let_go(address)

    def _let_go(self, address: Address) -> None:
        """Forget a listener; its last words are still sent."""
        self._last_words += self.clients[address].transmits()
        self.dismiss(address)
