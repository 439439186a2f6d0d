"""One voice and everybody who listens to it.

Each frame is encoded once. Listeners who get the same bytes are an `Audience` and get them from one
packing, and so do those for each of whom the same is encrypted (`labkit.core.fanout`); all others
have the packet sent through their own session. Over
datagrams a server is one machine: who a datagram comes from tells whose session it belongs to.
Over streams each listener's `Client` is driven by its own connection, and the server only speaks to
all: `admit`, `receive_event`, `dismiss`, `speak`, `speaks`, `close`.

Who may come is bounded twice. There are `max_clients` seats, for those who have asked for the
stream. Whoever is still on the way, in a handshake or silent, stands at the door and takes no seat;
`max_waiting` of them have room there, and when one more comes the oldest goes. So connections that
are opened and left cost little memory, and keep no listener out.

With a `Simulcast` for a voice, each listener gets the rendition that its path carries. Those who
get the same one are an audience, and who moves to another goes over to the other audience.

The work for one event is that of the clients it is about: of all others it is known when they want
to be woken (`Alarms`).

This module knows neither the wire nor the codec.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from labkit.core.alarms import Alarms
from labkit.core.fanout import AnyHeader, Audience, SealedAudience, audience_of
from labkit.core.figures import ServerFigures
from labkit.core.meters import RateMeter
from labkit.core.ratecontrol import LOOK
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.endpoints.client import Client, Reason, reason_of
from labkit.endpoints.sender import LINGER
from labkit.endpoints.simulcast import Simulcast
from labkit.endpoints.voice import Voice
from labkit.words.format import Samples
from labkit.words.machine import Address, Copies, Datagram, Event, earliest
from labkit.words.packet import Packet

MAX_CLIENTS = 64
"""Listeners at a time, unless somebody says otherwise: an open port must not cost memory."""
MAX_WAITING = 64
"""Connections that have not asked for the stream yet. A flood of a thousand a second leaves each
64 ms for its handshake; the longest that any may take is `Limits.answer`."""


class Server:
    """Sends `voice` to whoever joins. `make_session(address)` makes the session of a listener."""

    def __init__(
        self,
        voice: Voice,
        make_session: Callable[[Address], Any],
        *,
        max_clients: int = MAX_CLIENTS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.voice = voice
        self.max_clients = max_clients
        self.max_waiting = max_waiting
        self.clients: dict[Address, Client] = {}
        """All of them, those at the door too."""
        self.refused: Counter[str] = Counter()
        """How often, by `Reason`."""
        self.hang_up: Callable[[Address], None] = lambda address: None
        """Called with a client that had to go; whoever drives connections sets it."""
        self.closing = False
        self._make_session = make_session
        self._simulcast = voice if isinstance(voice, Simulcast) else None
        self._looked = 0
        self._waiting: dict[Address, None] = {}  # at the door, the oldest first
        self._audiences: dict[tuple[AnyHeader, int | None], Audience | SealedAudience] = {}
        """By what makes their bytes equal: the header, and the rendition if there are several."""
        self._alone: dict[Address, Client] = {}
        self._closes: int | None = None
        self._rate = RateMeter()
        self._copies: list[Copies] = []
        self._sealed: list[Datagram] = []
        self._events: list[Event] = []
        self._last_words: list[Datagram] = []
        self._alarms: Alarms[Address] = Alarms()
        self._touched: dict[Address, None] = {}  # may have something to send
        self._unsettled: dict[Address, None] = {}  # may have another deadline

    # Listeners --------------------------------------------------------------------------------

    @property
    def refused_clients(self) -> int:
        """Who came when everybody was already here, or nobody is let in any more."""
        return self.refused[Reason.FULL] + self.refused[Reason.CLOSING]

    def admit(self, address: Address) -> Client | None:
        """The sender's end for a new listener, first at the door; None when there is no room."""
        if self.closing or self._full:
            self.refused[Reason.CLOSING if self.closing else Reason.FULL] += 1
            return None
        if len(self._waiting) >= self.max_waiting:
            self._send_away(next(iter(self._waiting)), Reason.NEVER_ASKED)
        client = self.clients[address] = self._alone[address] = Client(self._make_session(address))
        if not client.session.ready:
            self._waiting[address] = None
        self._touch(address)
        return client

    def dismiss(self, address: Address) -> None:
        """Forget a listener."""
        client = self.clients.pop(address, None)
        if client is None:
            return
        self._leave_audience(address, client)
        del self._alone[address]
        for place in (self._waiting, self._touched, self._unsettled):
            place.pop(address, None)
        self._alarms.set(address, None)
        if self._simulcast is not None:
            self._simulcast.forget(address)

    def listening(self) -> int:
        """How many listeners have joined."""
        return sum(c.session.ready for c in self.clients.values())

    @property
    def closed(self) -> bool:
        """It was closed, and every listener knows or was given up."""
        return self.closing and all(c.session.closed for c in self.clients.values())

    @property
    def _full(self) -> bool:
        return len(self.clients) - len(self._waiting) >= self.max_clients

    def _seat(self, address: Address, now: int) -> None:
        """It has asked for the stream. Others may have taken the last seat since it came."""
        if address in self._waiting and self._full:
            self._send_away(address, Reason.FULL)
            return
        self._waiting.pop(address, None)
        if self._simulcast is not None:
            self._simulcast.welcome(address)
        self.start(now)

    def _send_away(self, address: Address, reason: Reason) -> None:
        self.refused[reason] += 1
        self.dismiss(address)
        self.hang_up(address)

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
        if self._simulcast is not None:
            self._adapt(self._simulcast, now)
        for packet in packets:
            self._rate.add(len(packet.payload), now)
            for audience in self._audiences.values():
                said = audience.say(self._version(packet, audience.rendition), now)
                if isinstance(said, Copies):
                    self._copies.append(said)
                else:
                    self._sealed += said
        for audience in self._audiences.values():
            if isinstance(audience, Audience) and (report := audience.report(now)) is not None:
                self._copies.append(report)
        for address, client in self._alone.items():
            if client.session.ready:
                client.send([self._version(p, client.rendition) for p in packets], now)
                self._touch(address)

    def _version(self, packet: Packet, rendition: int | None) -> Packet:
        return packet if self._simulcast is None else self._simulcast.version(packet, rendition)

    def _adapt(self, simulcast: Simulcast, now: int) -> None:
        """Move whoever gets another rendition from now on, and look at the queues of streams."""
        for address in simulcast.moved():
            self.clients[address].rendition = simulcast.rendition_of(address)
            self._settle(address)
        if now >= self._looked + LOOK:
            self._looked = now
            for address, client in self._alone.items():
                if hasattr(client.session, "queue"):
                    simulcast.hear_queue(address, client.figures(address, now), now)

    def close(self, now: int) -> None:
        """End every session in order."""
        self.closing = True
        for address, client in list(self.clients.items()):
            client.close(now)
            self._settle(address)

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Pass a datagram to the session of its sender.

        A stranger gets a session if there is room, and keeps it if the datagram asked for one:
        noise costs no memory.
        """
        known = source in self.clients
        client = self.clients[source] if known else self.admit(source)
        if client is None:
            return
        client.receive_datagram(data, source, now)
        if not (known or client.keeps_its_place):
            self.refused[Reason.STRANGE] += 1
            self._let_go(source)
        self.settle(source, now)

    def settle(self, address: Address, now: int) -> None:
        """After somebody else has fed a client: take what happened, and note what it wants."""
        client = self.clients.get(address)
        if client is None:
            return
        for event in client.events():
            self._events.append(event)
            self.receive_event(address, event, now)
            if isinstance(event, Closed) and not self.closing:
                self._let_go(address)
        if address in self.clients:
            self._settle(address)

    def receive_event(self, address: Address, event: Event, now: int) -> None:
        """Something happened to a client. Whoever drives its connection passes it on."""
        client = self.clients.get(address)
        if client is None:
            return
        match event:
            case Joined():
                self._seat(address, now)
            case Report(ours=False):
                client.report = event
                if self._simulcast is not None:
                    self._simulcast.hear_report(address, event, client.session.stats, now)
            case Refused(error=error):
                self.refused[reason_of(error)] += 1

    def tick(self, now: int) -> None:
        """Speak, and let every session do what is due."""
        self.speak(now)
        for address in list(self._unsettled):
            self.settle(address, now)
        self._set_alarms()
        for address in self._alarms.pop(now):
            self.clients[address].tick(now)
            self.settle(address, now)

    def deadline(self) -> int | None:
        """The first deadline of the voice and of every session."""
        self._set_alarms()
        return earliest(self.speaks(), self._alarms.first())

    def _set_alarms(self) -> None:
        for address in self._unsettled:
            self._alarms.set(address, self.clients[address].deadline())
        self._unsettled.clear()

    def copies(self) -> list[Copies]:
        """What all of an audience get."""
        copies, self._copies = self._copies, []
        return copies

    def transmits(self) -> list[Datagram]:
        """What every session wants sent, and the copies that were not taken."""
        out = [Datagram(data, to) for data, everybody in self.copies() for to in everybody]
        out += self._sealed
        out += self._last_words
        self._sealed, self._last_words = [], []
        touched, self._touched = self._touched, {}
        for address in touched:
            out += self.clients[address].transmits()
            self._unsettled[address] = None  # what a session waits for may begin when it has sent
        return out

    def events(self) -> list[Event]:
        """What happened to any listener."""
        events, self._events = self._events, []
        return events

    def _touch(self, address: Address) -> None:
        self._touched[address] = self._unsettled[address] = None

    def _settle(self, address: Address) -> None:
        """A client has changed: it may send, have another deadline, or another audience."""
        self._touch(address)
        client = self.clients[address]
        header, rendition, audience = client.header, client.rendition, client.audience
        if audience is None and header is None:
            return
        if audience is not None and audience.key == (header, rendition):
            return
        self._leave_audience(address, client)
        if header is not None:
            audience = self._audiences.get((header, rendition))
            if audience is None:
                audience = self._audiences[header, rendition] = audience_of(header, rendition)
            client.audience = audience
            audience.join(address, client.session)
            del self._alone[address]

    def _leave_audience(self, address: Address, client: Client) -> None:
        if client.audience is not None:
            client.audience.leave(address)
            if not client.audience.members:
                del self._audiences[client.audience.key]
            client.audience = None
            self._alone[address] = client

    def _let_go(self, address: Address) -> None:
        """Forget a listener; its last words are still sent."""
        self._last_words += self.clients[address].transmits()
        self.dismiss(address)

    # Figures ----------------------------------------------------------------------------------

    def figures(self, now: int) -> ServerFigures:
        """What is known of everybody who has a seat.

        Who only connects has no name here, and makes no series of its own in anybody's metrics.
        """
        return ServerFigures(
            listening=self.listening(),
            max_clients=self.max_clients,
            bitrate=round(self._rate.rate(now)),
            refused_clients=self.refused_clients,
            refused=dict(self.refused),
            clients=tuple(
                each.figures(name, now)
                for name, each in self.clients.items()
                if name not in self._waiting
            ),
        )
