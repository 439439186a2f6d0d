"""A layer: a session whose bytes pass through something on their way (week 9).

    Sender ─ StreamSession ─ WebSocket ─ Tls ═══ TCP ═══ Tls ─ WebSocket ─ StreamSession ─ Receiver

    session = Tls(WebSocket(StreamSession(Role.SENDER, sdp), gate=gate), context)

A layer stands between a session and its wire, and looks like the session to whoever stands above
and like a stream machine to whoever drives it. What the session wants sent it wraps, what the wire
brings it unwraps, and what it does not understand it passes on. So endpoints, drivers and the
world take a session with layers as they take one without.

A conversation through a layer has three more parts than one without:

    NEW ─ first tick ─► OPENING ─ both agree ─► OPEN ─ the session has ended ─► LEAVING ─► DONE
                           └─────────── refused, or patience ends ─────────────────────────┘

The session behind a layer sleeps until the layer is open, so no patience is counted twice. Each
layer waits `limits.answer` for the other end to open, and again for its goodbye. A refusal is
counted, and told by `Refused` and `Closed`; the session behind is closed with it.

A wire that is full holds the session back, which knows what may be dropped; the layer itself keeps
at most `MAX_HELD` bytes meanwhile, and hangs up on a peer that makes it answer and never reads.

This module knows no protocol: what a layer says is written by its subclasses.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from labkit.core.session import Closed, Limits, Refused, Role, Stats
from labkit.words.errors import AuthenticationError, RemoteProtocolError
from labkit.words.machine import Event, earliest
from labkit.words.packet import Packet
from labkit.words.units import to_seconds

MAX_HELD: Final = 64 * 1024
"""Bytes of its own that a layer keeps while the wire is full: answers to what the peer asks."""


class Stage(Enum):
    """Where a layer is."""

    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    LEAVING = "leaving"  # its goodbye is said, and not yet answered
    DONE = "done"


class Layer:
    """What WebSocket and TLS have in common. `inner` is a `StreamSession` or another layer.

    `name` is what an error calls it.
    """

    name = "layer"

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.stage = Stage.NEW
        self._out: list[bytes] = []
        self._held = 0
        self._paused = False
        self._own_refused = 0
        self._events: list[Event] = []
        self._since = self._now = 0
        """When the stage was entered, and when somebody last told the time."""

    # The face of a session --------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """The end that the session plays: the sender is the server."""
        role: Role = self.inner.role
        return role

    @property
    def description(self) -> str:
        """The session's SDP."""
        return str(self.inner.description)

    @property
    def limits(self) -> Limits:
        """The session's patience, which is the layer's too."""
        limits: Limits = self.inner.limits
        return limits

    @property
    def queue(self) -> Any:
        """The session's queue of media, for when the wire is full."""
        return self.inner.queue

    @property
    def refused(self) -> int:
        """What was refused, here or behind."""
        return self._own_refused + int(self.inner.refused)

    @property
    def stats(self) -> Stats:
        """What the session has counted."""
        stats: Stats = self.inner.stats
        return stats

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return bool(self.inner.ready)

    @property
    def closed(self) -> bool:
        """The conversation is over; goodbyes of layers may still be under way."""
        return bool(self.inner.closed)

    @property
    def wants_close(self) -> bool:
        """Everything is said and handed over: the driver may end the connection."""
        return self.stage is Stage.DONE and not self._out

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet. `LocalProtocolError` before the peer joined and after the end."""
        self._now = now
        self.inner.send(packet, now)

    def close(self, now: int) -> None:
        """Say goodbye, the session first. Twice does no harm."""
        self._now = now
        self.inner.close(now)

    # From the network -------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: int) -> None:
        """Take some bytes, cut anywhere."""
        self._now = now
        if self.stage is Stage.NEW:
            self._start(now)
        if self.stage is not Stage.DONE:
            self._receive(data, now)
            if self._paused and self._held > MAX_HELD:
                why = f"the peer asks and asks, and does not read {self._held} bytes of answers"
                self._fail(RemoteProtocolError(why), now)

    def receive_eof(self, now: int) -> None:
        """The peer will send no more."""
        self._now = now
        if self.stage in (Stage.NEW, Stage.OPENING):
            self._end(now, why=f"the connection ended in mid-handshake of {self.name}")
        elif self.stage is Stage.OPEN:
            self._cut_off(now)
        self._enter(Stage.DONE, now)

    def pause_writing(self) -> None:
        """The wire is full: the session holds its media back."""
        self._paused = True
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """The wire has room again."""
        self._paused = False
        self.inner.resume_writing()

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Begin, let the session do what is due, or lose patience."""
        self._now = now
        if self.stage is Stage.NEW:
            self._start(now)
        elif self.stage is Stage.OPEN:
            self.inner.tick(now)
            self._keep_alive(now)
        elif self.stage is not Stage.DONE and now >= self._since + self.limits.answer:
            self._lose_patience(now)

    def deadline(self) -> int | None:
        """When `tick` has something to do: at once for a new layer."""
        match self.stage:
            case Stage.OPEN:
                return earliest(self.inner.deadline(), self._keeps_alive())
            case Stage.NEW:
                return 0
            case Stage.DONE:
                return None
            case _:
                return self._since + self.limits.answer

    def transmits(self) -> Sequence[bytes]:
        """What the session wants sent, wrapped, and what the layer says itself."""
        if self._paused and not self.closed:
            return ()
        if self.stage is Stage.OPEN:
            if wanted := self.inner.transmits():
                self._wrap(wanted)
            if self.inner.wants_close:
                self._enter(self._goodbye(), self._now)
        elif self.closed and self.stage in (Stage.NEW, Stage.OPENING):
            self._enter(Stage.DONE, self._now)  # closed before it began: there is nobody to greet
        out, self._out, self._held = self._out, [], 0
        return out

    def events(self) -> Sequence[Event]:
        """What happened, here and behind."""
        events: Sequence[Event] = self.inner.events()
        if self._events:
            events, self._events = [*self._events, *events], []
        return events

    # For subclasses ---------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        """Say the first word of the handshake, if it is ours."""
        raise NotImplementedError

    def _receive(self, data: bytes, now: int) -> None:
        """Take bytes from the wire, in any stage between NEW and DONE."""
        raise NotImplementedError

    def _wrap(self, wanted: Sequence[bytes]) -> None:
        """Put what the session wants sent on the wire, with `_give`."""
        raise NotImplementedError

    def _goodbye(self) -> Stage:
        """Say it, and tell whether an answer is waited for: LEAVING, or else DONE."""
        raise NotImplementedError

    def _cut_off(self, now: int) -> None:
        """The wire ended without a goodbye of this layer."""
        raise NotImplementedError

    def _keep_alive(self, now: int) -> None:
        """Do what is due while the layer is open."""

    def _keeps_alive(self) -> int | None:
        """When `_keep_alive` has something to do."""
        return None

    # What they call ---------------------------------------------------------------------------

    def _give(self, data: bytes) -> None:
        """Bytes for the wire."""
        self._out.append(data)
        self._held += len(data)

    def _opened(self, now: int) -> None:
        """Both ends agree: wake the session."""
        self._enter(Stage.OPEN, now)
        self.inner.tick(now)

    def _end(self, now: int, *, why: str = "", clean: bool = False, by: str = "peer") -> None:
        """End the session as the end of its wire does; `why` is for an end that it cannot name."""
        self._events += self.inner.events()
        self.inner.receive_eof(now)
        for event in self.inner.events():
            if isinstance(event, Closed) and not event.clean and why:
                self._events.append(Closed(clean, by, why))
            elif isinstance(event, Closed):
                self._events.append(event)

    def _fail(
        self, error: RemoteProtocolError | AuthenticationError, now: int, *, by: str = "us"
    ) -> None:
        """Refuse, or be refused: count it, say so, and end. While we leave it is no matter."""
        if not self.closed:
            self._own_refused += 1
            self._events += self.inner.events()
            self._events.append(Refused(error))
            self._end(now, why=str(error), by=by)
        self._enter(Stage.DONE, now)

    # Inside -----------------------------------------------------------------------------------

    def _enter(self, stage: Stage, now: int) -> None:
        if stage is not self.stage:
            self.stage = stage
            self._since = now

    def _start(self, now: int) -> None:
        self._enter(Stage.OPENING, now)
        self._begin(now)

    def _lose_patience(self, now: int) -> None:
        if self.stage is Stage.OPENING:
            waited = to_seconds(self.limits.answer)
            error = RemoteProtocolError(f"no handshake of {self.name} for {waited:g} s")
            self._fail(error, now)
        self._enter(Stage.DONE, now)
