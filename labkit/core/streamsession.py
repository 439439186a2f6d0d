"""A conversation over a byte stream, in our own frames (weeks 3 and 4).

    receiver                              sender
       |------------- HELLO -------------->|     give me the stream
       |<--------- DESCRIPTION ------------|     this is what it is (SDP)
       |<------------ MEDIA ---------------|
       |<------------ MEDIA ---------------|
       |<------------- BYE ----------------|     that was all
       |<--------- end of stream ----------|

What may happen in which state is the table `TRANSITIONS`; the rest of the file does what the
table allows. Three ends are told apart. BYE and then the end of the stream: the peer finished.
The end between two frames without BYE: the peer vanished. The end in mid-frame: it was cut off.

A stream that is full must not fill memory. From `pause_writing` to `resume_writing` media frames
wait in a queue of `limits.queue` frames; when that is full `limits.drop` says which go: the oldest,
unless told otherwise, since the newest sound is the one still worth hearing.

Bytes that cannot be read end the conversation: after the first wrong frame there is no telling
where the next one starts.

This module knows no socket, no clock and no codec, and not how a frame is laid out.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, Protocol

from labkit.core.automaton import follow
from labkit.core.flowcontrol import SendQueue
from labkit.core.session import (
    DEFAULT_LIMITS,
    Closed,
    Joined,
    Limits,
    Received,
    Refused,
    Role,
    Stats,
)
from labkit.wire.framing import FrameDecoder, Kind, pack
from labkit.words.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, WireError
from labkit.words.machine import Event, earliest
from labkit.words.packet import Packet
from labkit.words.units import to_seconds


class State(Enum):
    """Where the conversation is."""

    NEW = "new"
    WAITING = "waiting"  # the receiver for an answer, the sender for a question
    OPEN = "open"
    PEER_DONE = "peer done"  # it said BYE; its end of stream is still to come
    CLOSING = "closing"  # we are leaving; the wire is full
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is slow, and asked for with every packet


class Cause(Enum):
    """What can happen."""

    START = "start"
    HELLO = "receive HELLO"
    DESCRIPTION = "receive DESCRIPTION"
    MEDIA = "receive MEDIA"
    BYE = "receive BYE"
    END = "receive end of stream"
    FAILURE = "failure"  # bytes that cannot be read, or patience at its end
    SEND = "send MEDIA"
    CLOSE = "close"
    SENT_ALL = "sent all"

    __hash__ = object.__hash__


_ANY_TIME: Final = {
    Cause.BYE: State.PEER_DONE,
    Cause.END: State.CLOSED,
    Cause.FAILURE: State.CLOSED,
    Cause.CLOSE: State.CLOSING,
}
_ENDING: Final = {
    # What still comes in while we leave is no error, and changes nothing.
    State.CLOSING: {
        Cause.HELLO: State.CLOSING,
        Cause.DESCRIPTION: State.CLOSING,
        Cause.MEDIA: State.CLOSING,
        Cause.BYE: State.CLOSING,
        Cause.CLOSE: State.CLOSING,
        Cause.SENT_ALL: State.CLOSED,
        Cause.END: State.CLOSED,
        Cause.FAILURE: State.CLOSED,
    },
    State.PEER_DONE: {
        Cause.END: State.CLOSED,
        Cause.FAILURE: State.CLOSED,
        Cause.CLOSE: State.CLOSED,
    },
    State.CLOSED: {Cause.CLOSE: State.CLOSED, Cause.END: State.CLOSED},
}

TRANSITIONS: Final[dict[Role, dict[State, dict[Cause, State]]]] = {
    Role.RECEIVER: {
        State.NEW: {Cause.START: State.WAITING, Cause.CLOSE: State.CLOSED},
        State.WAITING: {Cause.DESCRIPTION: State.OPEN, **_ANY_TIME},
        State.OPEN: {Cause.MEDIA: State.OPEN, Cause.DESCRIPTION: State.OPEN, **_ANY_TIME},
        **_ENDING,
    },
    Role.SENDER: {
        State.NEW: {Cause.START: State.WAITING, Cause.CLOSE: State.CLOSED},
        State.WAITING: {Cause.HELLO: State.OPEN, **_ANY_TIME},
        State.OPEN: {Cause.SEND: State.OPEN, Cause.HELLO: State.OPEN, **_ANY_TIME},
        **_ENDING,
    },
}

_CAUSE_OF: Final = tuple(Cause[kind.name] for kind in Kind)
"""By the number of the kind."""


_pack_once: Final = lru_cache(maxsize=8)(pack)
"""The listeners of one voice get the same packet, one after the other: it is packed for the first.
Eight, because a voice may speak at several bitrates."""


class Decoder(Protocol):
    """What gives the frames of a byte stream back: `FrameDecoder`, or one of your own."""

    @property
    def error(self) -> WireError | None:
        """Why it reads no more, or None."""

    def receive(self, data: bytes) -> Sequence[tuple[Kind, Packet]]:
        """Take bytes, give the frames that are now complete. `WireError` when they are wrong."""

    def receive_eof(self) -> None:
        """The stream has ended. `WireError` when that was in mid-frame."""


class StreamSession:
    """One end of the conversation; `description` is the SDP that a sender answers with.

    `decoder` reads what comes, in the place of a `FrameDecoder`.
    """

    def __init__(
        self,
        role: Role,
        description: str = "",
        *,
        limits: Limits = DEFAULT_LIMITS,
        decoder: Decoder | None = None,
    ) -> None:
        self.role = role
        self.description = description
        self.limits = limits
        self.state = State.NEW
        self.refused = 0
        """Frames that could not be read, or came at a forbidden moment: none or one."""
        self.queue: SendQueue[bytes] = SendQueue(limits.queue, limits.drop)
        """Media frames that wait while the wire is full; it counts what it drops."""
        self._answer = pack(Packet(0, 0, description.encode()), Kind.DESCRIPTION)
        self._table = TRANSITIONS[role]
        self._decoder: Decoder = FrameDecoder() if decoder is None else decoder
        self._out: list[bytes] = []
        self._paused = False
        self._sent = self._sent_octets = self._received = 0
        self._events: list[Event] = []
        self._since = self._heard = self._asked = 0
        """When the state was entered, when the peer was last heard, when we last asked."""

    # What the application asks for ------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received."""
        return self.state is State.CLOSED

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return self.role is Role.SENDER and self.state is State.OPEN

    @property
    def wants_close(self) -> bool:
        """Everything is handed over: the driver may end the connection."""
        return self.state is State.CLOSED and not self._out

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return Stats(
            sent=self._sent,
            sent_octets=self._sent_octets,
            dropped=self.queue.dropped,
            received=self._received,
            expected=self._received,
        )

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet. `LocalProtocolError` before the peer joined and after the end."""
        self._step(Cause.SEND, now, LocalProtocolError)
        frame = _pack_once(packet)
        if self._paused:
            self.queue.put(frame, now, key_point=packet.marker)
        else:
            self._out.append(frame)
        self._sent += 1
        self._sent_octets += len(packet.payload)

    def close(self, now: int) -> None:
        """Say goodbye after what is queued. Twice does no harm."""
        if self.closed:
            return
        by = "peer" if self.state is State.PEER_DONE else "us"
        self._step(Cause.CLOSE, now, LocalProtocolError)
        if self.state is State.CLOSED:
            self._report_end(clean=True, by=by, why="closed")
        elif not self._paused:
            self._say_goodbye()

    # From the network -------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: int) -> None:
        """Take some bytes, cut anywhere."""
        if self.state is State.NEW:
            self._start(now)
        if self.closed:
            return
        self._heard = now
        try:
            for kind, packet in self._decoder.receive(data):
                self._receive(kind, packet, now)
            if self._decoder.error is not None:
                raise self._decoder.error
        except (WireError, RemoteProtocolError) as error:
            self.refused += 1
            self._events.append(Refused(error))
            self._fail(str(error), now)

    def receive_eof(self, now: int) -> None:
        """The peer will send no more: why, is told by what came before."""
        if self.state is State.NEW:
            self._start(now)
        if self.closed:
            return
        finished = self.state is State.PEER_DONE
        leaving = self.state is State.CLOSING
        self._step(Cause.END, now, RemoteProtocolError)
        try:
            self._decoder.receive_eof()
            why = "BYE, and the stream ended" if finished else "the stream ended without BYE"
        except WireError as error:
            finished, why = False, error.why
        if leaving:
            why = f"the stream ended with {len(self.queue)} frames unsent"
        self._report_end(clean=finished, by="peer", why=why)

    def pause_writing(self) -> None:
        """The wire is full: frames wait from now on."""
        self._paused = True

    def resume_writing(self) -> None:
        """The wire has room again."""
        self._paused = False
        while (frame := self.queue.get()) is not None:
            self._out.append(frame)
        if self.state is State.CLOSING:
            self._say_goodbye()

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Begin, show that we are still there, or lose patience."""
        if self.state is State.NEW:
            self._start(now)
        due = self._patience_ends()
        if due is not None and now >= due:
            self._lose_patience(now)
        elif self._keeps_alive and now >= self._asked + self.limits.keep_alive:
            self._ask(now)

    def deadline(self) -> int | None:
        """When `tick` has something to do: at once for a new session."""
        due = self._patience_ends()
        return earliest(due, self._asked + self.limits.keep_alive if self._keeps_alive else None)

    def transmits(self) -> Sequence[bytes]:
        """The bytes to send, a frame each; none while the wire is full."""
        if self._paused and not self.closed:
            return ()
        out, self._out = self._out, []
        return out

    def events(self) -> Sequence[Event]:
        """What happened: `Joined`, `Received`, `Refused`, `Closed`."""
        events, self._events = self._events, []
        return events

    @property
    def _keeps_alive(self) -> bool:
        return self.role is Role.RECEIVER and self.state is State.OPEN

    # Inside -----------------------------------------------------------------------------------

    def _step(self, cause: Cause, now: int, error: type[ProtocolError]) -> None:
        state = follow(self._table, self.state, cause, error=error)
        if state is not self.state:
            self.state = state
            self._since = now

    def _start(self, now: int) -> None:
        self._step(Cause.START, now, LocalProtocolError)
        self._heard = now
        if self.role is Role.RECEIVER:
            self._ask(now)

    def _receive(self, kind: Kind, packet: Packet, now: int) -> None:
        joining = self.state is State.WAITING
        self._step(_CAUSE_OF[kind], now, RemoteProtocolError)
        if self.state is not State.OPEN:
            return
        if kind is Kind.MEDIA:
            self._received += 1
            self._events.append(Received(packet, now))
            return
        if kind is Kind.DESCRIPTION:
            self.description = packet.payload.decode(errors="replace")
        elif joining or not self._paused:  # a sign of life needs no answer while others wait
            self._out.append(self._answer)
        if joining:
            self._events.append(Joined(self.description))

    def _ask(self, now: int) -> None:
        self._asked = now
        if not self._out:  # else the wire is full, and has our sign of life
            self._out.append(pack(Packet(0, 0, b""), Kind.HELLO))

    def _say_goodbye(self) -> None:
        self._out.append(pack(Packet(0, 0, b""), Kind.BYE))
        self._step(Cause.SENT_ALL, self._since, LocalProtocolError)
        self._report_end(clean=True, by="us", why="closed")

    def _patience_ends(self) -> int | None:
        match self.state:
            case State.NEW:
                return 0
            case State.OPEN:
                return self._heard + self.limits.silence
            case State.CLOSED:
                return None
            case _:
                return self._since + self.limits.answer

    def _lose_patience(self, now: int) -> None:
        waited = to_seconds(self.limits.silence if self.state is State.OPEN else self.limits.answer)
        match self.state:
            case State.WAITING if self.role is Role.RECEIVER:
                self._fail(f"no answer for {waited:g} s", now)
            case State.WAITING:
                self._fail(f"nobody asked for the stream for {waited:g} s", now)
            case State.OPEN:
                self._fail(f"nothing heard for {waited:g} s", now)
            case State.PEER_DONE:
                self._step(Cause.FAILURE, now, RemoteProtocolError)
                self._report_end(clean=True, by="peer", why="BYE, but the stream stayed open")
            case _:
                self._fail(f"{len(self.queue)} frames could not be sent for {waited:g} s", now)

    def _fail(self, why: str, now: int) -> None:
        self._step(Cause.FAILURE, now, RemoteProtocolError)
        self._out.clear()
        self._report_end(clean=False, by="us", why=why)

    def _report_end(self, *, clean: bool, by: str, why: str) -> None:
        self._events.append(Closed(clean, by, why))
