"""How two sessions over datagrams meet and part; what they say in between is their own affair.

    receiver                                  sender
       |------ ask ----> lost                   |
       |------ ask, 200 ms later -------------->|   Joined
       |<----- answer --------------------------|
       |            ...                         |
       |                        lost <--- bye --|   close()
       |<----------------- bye, 200 ms later ---|
       |------ bye ---------------------------->|   Closed, at both ends

Any datagram may be lost, so asking and leaving are repeated until they are confirmed; `Limits`
says how often. Any datagram may be doubled, late or from a stranger, so none is an error: what
makes no sense now is ignored. A stranger's are counted in `strangers`.

With `peer` None, a sender waits for whoever asks first, and a receiver for whoever sends first.
This module knows no header: `DatagramSession` and `RtpSession` fill in the words.
"""

from collections.abc import Sequence
from enum import Enum

from labkit.core.fanout import Header, Tally
from labkit.core.session import DEFAULT_LIMITS, Closed, Joined, Limits, Refused, Role
from labkit.words.errors import LocalProtocolError, WireError
from labkit.words.machine import Address, Datagram, Event
from labkit.words.units import to_seconds


class Phase(Enum):
    """Where the conversation is."""

    NEW = "new"
    WAITING = "waiting"  # to be answered, or to be asked
    OPEN = "open"
    CLOSING = "closing"  # we said bye, and wait for the peer's
    CLOSED = "closed"


class Conversation:
    """Meeting and parting. Subclasses say `_ask`, `_say_bye`, and what `_keep_up` takes."""

    def __init__(
        self,
        role: Role,
        description: str = "",
        *,
        peer: Address | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.role = role
        self.description = description
        self.peer = peer
        self.limits = limits
        self.phase = Phase.NEW
        self.refused = 0
        """Datagrams of the peer that could not be read."""
        self.strangers = 0
        """Datagrams that did not come from the peer."""
        self.tally = Tally()
        """Where it is counted what was sent; others may count there too (`share`)."""
        self._before = (0, 0)  # what the tally has not counted: packets and octets, both may be < 0
        self._silence: int | None = limits.silence
        self._out: list[Datagram] = []
        self._events: list[Event] = []
        self._since = 0  # when the phase began
        self._heard = 0  # when the peer was last heard
        self._due: int | None = 0  # when the next thing is to be said
        self._byes = 0
        self._confirms = False

    # What the application asks for ------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received."""
        return self.phase is Phase.CLOSED

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return self.role is Role.SENDER and self.phase is Phase.OPEN

    @property
    def wants_close(self) -> bool:
        """Everything is handed over: the driver may close the socket."""
        return self.phase is Phase.CLOSED and not self._out

    def close(self, now: int) -> None:
        """Say goodbye until the peer does. Twice does no harm."""
        met = self.phase is Phase.OPEN or (self.phase is Phase.WAITING and self._asks)
        if met:
            self._enter(Phase.CLOSING, now)
            self._part(now)
        elif self.phase in (Phase.NEW, Phase.WAITING):
            self._end(clean=True, by="us", why="closed before anybody came")

    def share(self, tally: Tally) -> None:
        """Count in `tally` from now on, with all who send the same bytes; nothing is forgotten."""
        self._before = (self._sent - tally.packets, self._sent_octets - tally.octets)
        self.tally = tally

    @property
    def reports_to(self) -> Address | None:
        """Where reports about what is sent go."""
        return self.peer

    @property
    def header(self) -> Header | None:
        """Sessions with the same header send the same bytes (`labkit.core.fanout`)."""
        return None

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Say what is due, or lose patience."""
        if self.phase is Phase.NEW:
            self._start(now)
        silence = self._silence
        if self.phase is Phase.OPEN and silence is not None and now >= self._heard + silence:
            self._end(clean=False, by="us", why=f"nothing heard for {to_seconds(silence):g} s")
        if self._due is not None and now >= self._due:
            self._speak(now)

    def deadline(self) -> int | None:
        """When `tick` has something to do: at once for a new session."""
        due = self._due
        if self.phase is Phase.OPEN and self._silence is not None:
            patience = self._heard + self._silence
            return patience if due is None or patience < due else due
        return due

    def transmits(self) -> Sequence[Datagram]:
        """The datagrams to send, and where."""
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[Event]:
        """What happened: `Joined`, `Received`, `Refused`, `Report`, `Closed`."""
        events, self._events = self._events, []
        return events

    # For subclasses ---------------------------------------------------------------------------

    def _ask(self, now: int) -> None:
        """Ask for the stream."""
        raise NotImplementedError

    def _say_bye(self, now: int) -> None:
        """Say goodbye."""
        raise NotImplementedError

    def _keep_up(self, now: int) -> int | None:
        """Say what an open conversation needs from time to time; returns when it is due again."""
        raise NotImplementedError

    @property
    def _sent(self) -> int:
        return self.tally.packets + self._before[0]

    @property
    def _sent_octets(self) -> int:
        return self.tally.octets + self._before[1]

    def _require_ready(self) -> None:
        if not self.ready:
            raise LocalProtocolError(f"a {self.role.value} in phase {self.phase.value} cannot send")

    def _join(self, now: int, due: int | None) -> None:
        """The peer is there; `_keep_up` is due then."""
        self._enter(Phase.OPEN, now)
        self._due = due
        self._events.append(Joined(self.description))

    def _refuse(self, error: WireError) -> None:
        self.refused += 1
        if self.phase is not Phase.CLOSED:  # `Closed` is the last event
            self._events.append(Refused(error))

    def _receive_bye(self, now: int) -> None:
        """The peer leaves, or confirms that we do."""
        if self.phase is Phase.CLOSING:
            self._end(clean=True, by="us", why="closed")
        elif self.phase in (Phase.WAITING, Phase.OPEN):
            self._say_bye(now)
            self._confirms = True
            self._end(clean=True, by="peer", why="BYE")
        elif self._confirms:  # ours was lost
            self._say_bye(now)

    def _end(self, *, clean: bool, by: str, why: str) -> None:
        self.phase = Phase.CLOSED
        self._due = None
        self._events.append(Closed(clean, by, why))

    # Inside -----------------------------------------------------------------------------------

    @property
    def _asks(self) -> bool:
        return self.role is Role.RECEIVER and self.peer is not None

    def _enter(self, phase: Phase, now: int) -> None:
        self.phase = phase
        self._since = self._heard = now

    def _start(self, now: int) -> None:
        self._enter(Phase.WAITING, now)
        self._due = now if self._asks else None

    def _speak(self, now: int) -> None:
        match self.phase:
            case Phase.WAITING if now >= self._since + self.limits.answer:
                why = f"no answer for {to_seconds(self.limits.answer):g} s"
                self._end(clean=False, by="us", why=why)
            case Phase.WAITING:
                self._ask(now)
                self._due = now + self.limits.join_interval
            case Phase.OPEN:
                self._due = self._keep_up(now)
            case Phase.CLOSING:
                self._part(now)

    def _part(self, now: int) -> None:
        if self._byes == self.limits.goodbyes:
            self._end(clean=True, by="us", why="closed; the peer did not confirm")
            return
        self._byes += 1
        self._say_bye(now)
        self._due = now + self.limits.join_interval
