"""Two hosts behind NATs reach each other: UDP hole punching, RFC 5128 section 3.3 (week 9).

    alice            her NAT         servers        his NAT            bob
      |-- who am I? ----|------------> STUN            |                |   LEARNING
      |-- room, and that I am a -----> rendezvous <----|-- room, b -----|   MEETING
      |-- check to b ---|--------------------------> X |                |   PUNCHING
      |                 |  <---------------------------|-- check to a --|
      |<-- check -------|                              |                |
      |-- answer -------|----------------------------->|--------------->|   OPEN, for bob

Alice's first check is in vain: bob's NAT does not know her. But it has made a hole in her own NAT,
through which bob's check comes in. Both send checks again and again, so nobody has to be first.

A check is a Binding request signed with a secret that both know (as in ICE, RFC 8445): nobody else
can be taken for the peer. A check that comes from an address that nobody has named is answered,
and checked in its turn: so a NAT that uses a new port for each peer can be reached. The hole is
open when an answer has come *from where we have sent to*; then everything else can go that way.

This module does not know what the NATs are like: it tries. `labkit.core.punchable` knows in
advance.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random, SystemRandom
from typing import Final

from labkit.core.automaton import follow
from labkit.core.stunclient import DEFAULT_RETRY, Answered, Retry, StunClient
from labkit.wire.stun import Attribute, Class, Endpoint, Message, pack, unpack, verify
from labkit.words.errors import LocalProtocolError, WireError
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.units import ms, seconds


class Phase(Enum):
    """Where the punching is."""

    LEARNING = "learning"  # how we look from outside
    MEETING = "meeting"  # waiting for the other one at the rendezvous
    PUNCHING = "punching"
    OPEN = "open"
    FAILED = "failed"


class Cause(Enum):
    """What moves it on."""

    MAPPED = "mapped address known"
    MET = "peer's address known"
    ANSWERED = "check answered"
    GAVE_UP = "patience at its end"


TRANSITIONS: Final = {
    Phase.LEARNING: {Cause.MAPPED: Phase.MEETING, Cause.GAVE_UP: Phase.FAILED},
    Phase.MEETING: {Cause.MET: Phase.PUNCHING, Cause.GAVE_UP: Phase.FAILED},
    Phase.PUNCHING: {Cause.ANSWERED: Phase.OPEN, Cause.GAVE_UP: Phase.FAILED},
    Phase.OPEN: {},
    Phase.FAILED: {},
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and how long, in nanoseconds."""

    ask: int = ms(500)
    """Between two questions at the rendezvous."""
    meet: int = seconds(60)
    """How long the other one is waited for there."""
    check: int = ms(200)
    """Between two checks of one address."""
    punch: int = seconds(10)
    """How long checks are sent. The other one may come half a second later, and any may be lost."""
    keep_alive: int = seconds(15)
    """Between two signs of life through the hole: RFC 8445 section 11."""
    retry: Retry = DEFAULT_RETRY
    """How the STUN server is asked."""


DEFAULT_PATIENCE: Final = Patience()
MOST_CANDIDATES: Final = 8
"""Addresses at which we look for the peer. Two NATs that use a new port for each check would give
us new ones for ever."""


@dataclass(frozen=True, slots=True)
class Learned(Event):
    """How the STUN server sees us."""

    mapped: Endpoint


@dataclass(frozen=True, slots=True)
class Met(Event):
    """The other one has come; how the STUN server sees it."""

    peer: Endpoint


@dataclass(frozen=True, slots=True)
class Punched(Event):
    """What is sent to `peer` from this port arrives, and its answers too."""

    peer: Address


@dataclass(frozen=True, slots=True)
class Unreachable(Event):
    """There is no way. `why` is what can be seen from here."""

    why: str


class HolePuncher:
    """One of the two. Its first tick begins; `secret` and `room` are what both have agreed upon."""

    def __init__(
        self,
        server: Address,
        rendezvous: Address,
        room: str,
        secret: bytes,
        *,
        rng: Random | None = None,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        if not secret:
            raise LocalProtocolError("without a secret anybody could be taken for the peer")
        self.phase = Phase.LEARNING
        self.mapped: Endpoint | None = None
        """How we look from outside."""
        self.peer: Address | None = None
        """Where the peer is reached, when the hole is open."""
        self.refused = 0
        """Datagrams that meant nothing, or were not signed with the secret."""
        self._server = server
        self._rendezvous = rendezvous
        self._room = room
        self._secret = secret
        self._rng = rng if rng is not None else SystemRandom()
        self._patience = patience
        self._client = StunClient(rng=self._rng, retry=patience.retry)
        self._candidates: dict[Address, bytes] = {}  # and the transaction of their checks
        self._meeting = b""  # the transaction at the rendezvous
        self._heard = False
        self._started = False
        self._due: int | None = None  # when to ask, check or keep alive again
        self._ends: int | None = None  # when patience ends
        self._out: list[Datagram] = []
        self._events: list[Event] = []

    # Learning and meeting ---------------------------------------------------------------------

    def _learn(self, now: int) -> None:
        """What the client has found out."""
        for event in self._client.events():
            if isinstance(event, Answered) and event.mapped is not None:
                self.mapped = event.mapped
                self._move(Cause.MAPPED, now, self._patience.meet)
                self._meeting = self._rng.randbytes(12)
                self._events.append(Learned(event.mapped))
            else:
                self._fail("the STUN server did not say how we look from outside")

    def _ask(self) -> None:
        """Tell the rendezvous how we look, and ask how the other one does."""
        said = ((Attribute.USERNAME, self._room), (Attribute.XOR_PEER_ADDRESS, self.mapped))
        request = Message(Class.REQUEST, self._meeting, said)
        self._out.append(Datagram(pack(request), self._rendezvous))

    def _meet(self, message: Message, now: int) -> None:
        peer = message.get(Attribute.XOR_PEER_ADDRESS)
        if message.kind is Class.ERROR:
            self._fail(f"the rendezvous refused: {message.get(Attribute.ERROR_CODE)}")
        elif peer is not None:
            self._consider(peer)
            self._move(Cause.MET, now, self._patience.punch)
            self._events.append(Met(peer))

    # Checking ---------------------------------------------------------------------------------

    def _consider(self, address: Address) -> None:
        """An address where the peer may be; from now on it is checked."""
        if address not in self._candidates and len(self._candidates) < MOST_CANDIDATES:
            self._candidates[address] = self._rng.randbytes(12)
            if self.phase is Phase.PUNCHING:
                self._check(address)

    def _check(self, address: Address) -> None:
        said = ((Attribute.USERNAME, self._room),)
        request = Message(Class.REQUEST, self._candidates[address], said, fingerprint=True)
        self._out.append(Datagram(pack(request, key=self._secret), address))

    def _answer(self, message: Message, source: Address) -> None:
        """The peer checks us: tell it where its check came from."""
        self._heard = True
        said = ((Attribute.XOR_MAPPED_ADDRESS, source),)
        response = Message(Class.SUCCESS, message.transaction, said, fingerprint=True)
        try:
            self._out.append(Datagram(pack(response, key=self._secret), source))
        except LocalProtocolError:  # an address that STUN cannot write
            self.refused += 1
            return
        if self.phase in (Phase.MEETING, Phase.PUNCHING):
            self._consider(source)

    def _confirm(self, source: Address, now: int) -> None:
        """Our check was answered from where it was sent to."""
        if self.phase is Phase.PUNCHING:
            self._move(Cause.ANSWERED, now, None)
            self._due = now + self._patience.keep_alive
            self.peer = source
            self._events.append(Punched(source))

    # Ends -------------------------------------------------------------------------------------

    def _move(self, cause: Cause, now: int, patience: int | None) -> None:
        self.phase = follow(TRANSITIONS, self.phase, cause, error=LocalProtocolError)
        self._due = now
        self._ends = None if patience is None else now + patience

    def _fail(self, why: str) -> None:
        self.phase = follow(TRANSITIONS, self.phase, Cause.GAVE_UP, error=LocalProtocolError)
        self._due = self._ends = None
        self._events.append(Unreachable(why))

    def _give_up(self) -> None:
        if self.phase is Phase.MEETING:
            self._fail("nobody came to the rendezvous")
        elif self._heard:
            self._fail(
                "the peer's checks came in, but none of ours was answered from where it went"
            )
        else:
            self._fail("no check came in, and none was answered")

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """An answer, or a check of the peer. All else is counted in `refused`."""
        try:
            message = unpack(data)
            if not self._receive(message, data, source, now):
                self.refused += 1
        except WireError:
            self.refused += 1

    def _receive(self, message: Message, data: bytes, source: Address, now: int) -> bool:
        """Whether it meant anything."""
        transaction = message.transaction
        answers = message.kind in (Class.SUCCESS, Class.ERROR)
        if self.phase is Phase.LEARNING and answers:
            self._client.receive_datagram(data, source, now)
            self._learn(now)
        elif self.phase is Phase.MEETING and answers and transaction == self._meeting:
            self._meet(message, now)
        elif self.phase is Phase.FAILED or not verify(data, self._secret):
            return False
        elif message.kind is Class.SUCCESS and self._candidates.get(source) == transaction:
            self._confirm(source, now)
        elif message.kind is Class.REQUEST and transaction not in self._candidates.values():
            self._answer(message, source)
        else:
            return message.kind is Class.INDICATION  # a sign of life
        return True

    def tick(self, now: int) -> None:
        """Ask, check or keep alive, when it is time; give up, when it is enough."""
        if not self._started:
            self._started = True
            self._client.ask(self._server, now)
        if self.phase is Phase.LEARNING:
            self._client.tick(now)
            self._learn(now)
        elif self._ends is not None and now >= self._ends:
            self._give_up()
        if self._due is not None and now >= self._due:
            self._act(now)

    def _act(self, now: int) -> None:
        if self.phase is Phase.MEETING:
            self._ask()
            self._due = now + self._patience.ask
        elif self.phase is Phase.PUNCHING:
            for address in self._candidates:
                self._check(address)
            self._due = now + self._patience.check
        else:
            sign = Message(Class.INDICATION, self._rng.randbytes(12), fingerprint=True)
            self._out.append(Datagram(pack(sign, key=self._secret), self.peer))
            self._due = now + self._patience.keep_alive

    def deadline(self) -> int | None:
        """The next question, check or sign of life, or the end of patience."""
        return earliest(self._client.deadline(), self._due, self._ends)

    def transmits(self) -> list[Datagram]:
        """Questions, checks and answers."""
        out, self._out = self._client.transmits() + self._out, []
        return out

    def events(self) -> list[Event]:
        """`Learned`, `Met`, and at the end `Punched` or `Unreachable`."""
        events, self._events = self._events, []
        return events
