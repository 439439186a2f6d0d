"""A whole receiver: session, jitter buffer, decoder, concealment, playout.

Packets go into the jitter buffer as they come. One frame comes out at a time, when its turn has
come: it is decoded, or recovered from the redundancy of its successor (FEC), or concealed (PLC),
then stretched or squeezed to the instant at which the next frame is due. What comes out is one
unbroken stretch of sound, one `Heard` event for each turn.

Any object with `push(packet, now)` and `pull(now) -> Packet | None` can be the jitter buffer; it
is then asked once a frame, from the first packet on. Four more things are used where it has
them: `peek()` (the packet next in turn, for FEC), `holding` (this None means "wait", not "lost"),
`deadline()` (when the next frame is due), and its length (0: at the end, nothing is left to play).
What a buffer raises is not caught; what it must not return is a `BadInput` that names its class.

A `DecodeLoop` can decide instead of us what each turn plays: it is asked at every turn but those
at which the buffer says "wait".

This module knows neither the wire, nor the codec, nor the sound card.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from labkit.codec.face import Codec, Decoder
from labkit.core.concealment import Concealer
from labkit.core.delays import DelayMeter
from labkit.core.jitterbuffer import JitterBuffer
from labkit.core.meters import RateMeter
from labkit.core.session import Closed, Joined, Received, Refused, Stats
from labkit.core.timescale import TimeScaler
from labkit.endpoints.endpoint import Endpoint
from labkit.words.errors import BadInput, WireError
from labkit.words.format import Samples
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.seqnum import Unwrapper, ahead16
from labkit.words.trace import Did, Trace
from labkit.words.units import ms, ns_to_ticks, seconds, ticks_to_ns

FEC, PLC, SILENCE = 1, 2, 3
"""How a missing frame was concealed, in the trace."""

DECODE = 0
CHOICES = {"decode": DECODE, "fec": FEC, "plc": PLC, "silence": SILENCE}
"""What a decode loop can answer."""

PATIENCE = seconds(1)
"""How long a buffer that cannot say whether it is empty is asked for more after the end."""


class Buffer(Protocol):
    """What a jitter buffer must be able to do."""

    def push(self, packet: Packet, now: int) -> None:
        """Take a packet that arrived now."""

    def pull(self, now: int) -> Packet | None:
        """The frame whose turn it is, or None."""


class DecodeLoop(Protocol):
    """What decides at each turn how its frame is made."""

    def turn(self, packet: Packet | None, following: Packet | None) -> str:
        """One of `CHOICES`: `packet` is what this turn plays, `following` what the next one will.

        None is a packet that is not here. "fec" plays the copy in `following`, "plc" what the
        codec makes up; where there is nothing to decode or no copy, it is made up as well.
        """


@dataclass(slots=True)
class Heard(Event):
    """One turn of the playout. Not frozen, because one is made for every frame."""

    now: int
    """When it is played."""
    timestamp: int | None
    """Unwrapped media time of its first sample; None while the stream waits."""
    samples: Samples
    """The sound of the frame, before it is stretched."""
    played: Samples
    """The sound as it is heard."""


class Finished(Event):
    """The last frame was played."""


class Receiver(Endpoint):
    """Plays what `session` receives.

    `codec` may be None until the session's description or a payload type tells; `choose` then
    makes one from them. `buffer` may be None: a `JitterBuffer` is made from `policy` when the
    length of a packet is known. Without `fec` redundancy is not used, without `conceal` what is
    missing is silence: to hear what each is worth. With a `loop` neither counts: it decides.
    """

    def __init__(
        self,
        session: Any,
        codec: Codec | None = None,
        *,
        buffer: Buffer | None = None,
        policy: Any = None,
        choose: Callable[[str, Packet], Codec] | None = None,
        trace: Trace | None = None,
        fec: bool = True,
        conceal: bool = True,
        loop: DecodeLoop | None = None,
    ) -> None:
        super().__init__(session)
        self.codec = codec
        self.buffer = buffer
        self.trace = trace if trace is not None else Trace()
        self.description = ""
        self.closed: Closed | None = None
        self.finished = False
        self.undecodable = 0
        """Packets whose payload the codec could not read; they were concealed."""
        self.played = 0
        """Frames played as they were sent."""
        self.concealed = 0
        """Frames made up for packets that were missing: by FEC, PLC or silence."""
        self.held = 0
        """Frames made up because the stream had not moved."""
        self.refused = 0
        """Datagrams or frames that a session could not read or did not trust."""
        self.received_rate = RateMeter()
        self.delays = DelayMeter()
        self.earlier = Stats()
        """What the sessions before this one counted."""
        self._policy = policy
        self._choose = choose
        self._fec = fec
        self._conceal = conceal
        self._loop = loop
        self._decoder: Decoder | None = None
        self._concealer: Concealer | None = None
        self._scaler: TimeScaler | None = None
        self._ask: Any = None
        self._peek: Any = None
        self._unwrap_seq = Unwrapper(16)
        self._unwrap_timestamp = Unwrapper(32)
        self._next: int | None = None  # the next turn, of a buffer that does not tell
        self._quiet_since: int | None = None
        self._last: Packet | None = None
        self._last_seq = self._last_timestamp = self._missing = 0
        self._packet_ticks = 0
        self._packet_ns = ms(20)

    def resume(self, session: Any) -> None:
        """Go on with a new session after the old one broke: what was buffered is kept.

        The turns that have passed since then are concealed, so time is not cut out of the sound.
        """
        self.earlier = self.earlier.followed_by(self.session.stats)
        self.session = session
        self.closed = None
        self.finished = False
        self._quiet_since = None

    @property
    def waiting(self) -> int:
        """Nanoseconds of sound in the packets of a jitter buffer that has a length."""
        return len(self.buffer) * self._packet_ns if hasattr(self.buffer, "__len__") else 0  # type: ignore[arg-type]

    # Reactions --------------------------------------------------------------------------------

    def _handle(self, event: Event, now: int) -> bool:
        if isinstance(event, Received):
            self._receive(event.packet, event.now)
            return True
        if isinstance(event, Joined):
            self.description = event.description
        elif isinstance(event, Refused):
            self.refused += 1
        elif isinstance(event, Closed):
            self.closed = event
            self._quiet_since = now
            self._events.append(event)
            if self._last is None and self._decoder is None:
                self._finish()
            return True
        return False

    def _receive(self, packet: Packet, now: int) -> None:
        self.received_rate.add(len(packet.payload), now)
        self.delays.arrived(packet, now)
        self.trace.add((now, Did.ARRIVED, self._unwrap_seq(packet.seq), len(packet.payload)))
        if self._decoder is None and not self._prepare(packet, now):
            return
        assert self.buffer is not None
        self.buffer.push(packet, now)

    def _prepare(self, packet: Packet, now: int) -> bool:
        """Now the first packet is here: choose codec and buffer. False if it cannot be read."""
        try:
            if self.codec is None:
                assert self._choose is not None, "a receiver needs a codec or a way to choose one"
                self.codec = self._choose(self.description, packet)
            ticks = self.codec.duration(packet.payload)
        except WireError:
            self.undecodable += 1
            return False
        clock_rate = self.codec.format.clock_rate
        self._packet_ticks = ticks
        self._packet_ns = ticks_to_ns(ticks, clock_rate)
        self._decoder = self.codec.decoder()
        self._scaler = TimeScaler(self.codec.sample_rate, self.codec.channels)
        if not self.codec.has_plc:
            self._concealer = Concealer(self.codec.sample_rate, self.codec.channels)
        if self.buffer is None:
            self.buffer = JitterBuffer(
                self._policy, frame=self._packet_ns, clock_rate=clock_rate, trace=self.trace
            )
        self._ask = getattr(self.buffer, "deadline", None)
        self._peek = getattr(self.buffer, "peek", None)
        self._next = now
        return True

    # Turns ------------------------------------------------------------------------------------

    def _due(self) -> int | None:
        if self._decoder is None or self.finished:
            return None
        due: int | None = self._ask() if self._ask else self._next
        if due is None and self.closed is not None:
            return self._quiet_since  # it never wants to be asked again: that was all
        return due

    def _work(self, now: int) -> None:
        due = self._due()
        while due is not None and due <= now:
            if self.closed is not None and self._ask and self._ask() is None:
                self._finish()
                return
            packet = self._turn(due)
            following = self._due()
            if following == due and packet is None:
                self._complain(f"deadline() is still {due} after pull({due}) gave None", "move it")
            due = following

    def _turn(self, now: int) -> Packet | None:
        assert self.buffer is not None
        packet = self.buffer.pull(now)
        if not (packet is None or isinstance(packet, Packet)):
            self._complain(
                f"pull gave {packet!r:.60}", "return the packet that was pushed, or None"
            )
        if self._next is not None:
            self._next += self._packet_ns
        if packet is not None:
            self._play(packet, now)
        elif self._last is not None:
            self._fill(now)
        if self.closed is not None and packet is None:
            self._end(now)
        return packet

    def _complain(self, what: str, remedy: str) -> NoReturn:
        raise BadInput(f"the jitter buffer {type(self.buffer).__name__}: {what}", remedy)

    def _play(self, packet: Packet, now: int) -> None:
        assert self._decoder is not None
        self._last = packet
        self._missing = 0
        self._quiet_since = now
        self._last_seq = self._unwrap_seq(packet.seq)
        self._last_timestamp = self._unwrap_timestamp(packet.timestamp)
        if self._loop is not None and (choice := self._ask_loop(packet)) != DECODE:
            self._conceal_as(choice, self._last_seq, self._last_timestamp, now)
            return
        try:
            samples = self._decoder.decode(packet.payload)
        except WireError:
            self.undecodable += 1
            self.concealed += 1
            samples = self._substitute()
        else:
            self.played += 1
        if self._concealer is not None:
            samples = self._concealer.good(samples)
        self.trace.add((now, Did.PLAYED, self._last_seq, 0))
        self._time(packet, now)
        self._hear(now, self._last_timestamp, samples)

    def _time(self, packet: Packet, now: int) -> None:
        """How old its sound is. Not every session knows when it was spoken."""
        assert self.codec is not None
        spoken = getattr(self.session, "spoken", None)
        self.delays.played(
            packet,
            now,
            sound=self._packet_ns,
            lookahead=ticks_to_ns(self.codec.lookahead, self.codec.sample_rate),
            spoken=None if spoken is None else spoken(packet.timestamp),
            round_trip=lambda: self.session.stats.round_trip,
        )

    def _fill(self, now: int) -> None:
        """No packet: wait, recover it from its successor, or conceal it."""
        if getattr(self.buffer, "holding", False):
            self.held += 1
            self.trace.add((now, Did.HELD, -1, 0))
            self._hear(now, None, self._substitute())
            return
        self._missing += 1
        seq = self._last_seq + self._missing
        timestamp = self._last_timestamp + self._missing * self._packet_ticks
        choice = FEC if self._loop is None else self._ask_loop(None)
        self._conceal_as(choice, seq, timestamp, now)

    def _conceal_as(self, choice: int, seq: int, timestamp: int, now: int) -> None:
        """Make a frame up: from its copy if that is the choice and one is here, else as we can."""
        self.concealed += 1
        samples = self._recover() if choice == FEC else None
        if samples is None and not self._makes_up:
            choice = SILENCE
        how = choice if choice == SILENCE else PLC if samples is None else FEC
        if samples is None:
            samples = self._silence() if choice == SILENCE else self._substitute()
        self.trace.add((now, Did.CONCEALED, seq, how))
        self._hear(now, timestamp, samples)

    def _ask_loop(self, packet: Packet | None) -> int:
        """What the decode loop says."""
        assert self._loop is not None
        said = self._loop.turn(packet, self._peek() if self._peek is not None else None)
        if not isinstance(said, str) or said not in CHOICES:
            raise BadInput(
                f"the decode loop {type(self._loop).__name__}: turn gave {said!r:.60}",
                "one of " + ", ".join(CHOICES),
            )
        return CHOICES[said]

    def _substitute(self) -> Samples:
        """A packet's length of sound for what is not here."""
        if not self._makes_up:
            return self._silence()
        assert self._decoder is not None
        length = self._length()
        if self._concealer is not None:
            return self._concealer.lost(length)
        return self._decoder.conceal(length)

    @property
    def _makes_up(self) -> bool:
        """Whether the decoder may invent a sound; a decode loop says so itself, turn by turn."""
        return self._conceal or self._loop is not None

    def _silence(self) -> Samples:
        assert self.codec is not None
        return np.zeros((self._length(), self.codec.channels), np.int16)

    def _length(self) -> int:
        """Samples in a packet."""
        assert self.codec is not None
        return self._packet_ticks * self.codec.sample_rate // self.codec.format.clock_rate

    def _recover(self) -> Samples | None:
        """The missing frame, if its very successor is here and carries it."""
        if self._peek is None or not (self._fec or self._loop is not None):
            return None
        following: Packet | None = self._peek()
        if not (following is None or isinstance(following, Packet)):
            self._complain(f"peek gave {following!r:.60}", "return the next packet, or None")
        assert self._last is not None
        if following is None or ahead16(following.seq, self._last.seq) != self._missing + 1:
            return None
        assert self._decoder is not None
        try:
            return self._decoder.recover(following.payload)
        except WireError:
            return None

    def _hear(self, now: int, timestamp: int | None, samples: Samples) -> None:
        due = self._due()
        played = samples
        if due is not None and due > now and self.codec is not None:
            assert self._scaler is not None
            rate = self.codec.sample_rate
            # The difference of two positions, not a length rounded each time: nothing adds up.
            wanted = ns_to_ticks(due, rate) - ns_to_ticks(now, rate)
            played = self._scaler.process(samples, wanted)
        self._events.append(Heard(now, timestamp, samples, played))

    # The end ----------------------------------------------------------------------------------

    def _end(self, now: int) -> None:
        """The session is closed and a turn found nothing: perhaps that was all."""
        waiting: int | None = len(self.buffer) if hasattr(self.buffer, "__len__") else None  # type: ignore[arg-type]
        quiet = now - self._quiet_since if self._quiet_since is not None else 0
        if waiting == 0 or (waiting is None and quiet >= PATIENCE):
            self._finish()

    def _finish(self) -> None:
        self.finished = True
        self._events.append(Finished())
