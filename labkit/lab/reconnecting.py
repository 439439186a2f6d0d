"""A listener, a server that goes and comes back, and virtual time (week 4).

    follow(Patient(), [Outage(2.0, 3.5)], seed=7)

A studio speaks all the time; its server carries the voice in our frames over a byte stream, and
dies and is started again as the outages say. What is spoken while nobody listens is gone. The
listener is the kit's receiver, whose jitter buffer and playout outlive every connection; when to
connect again is the follower's affair (`labkit.lab.followers`).

Each attempt costs a round trip. To a server that is not there, RST is the answer. A server that is
killed sends FIN for what its kernel has taken, which may end in mid-frame, or RST. When the link is
cut there is no answer at all: what is under way comes when it is mended, all at once, unless the
listener's patience ends before (`PATIENCE`); that is told to the follower as a `rst`.

This module judges nobody.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from labkit.codec.face import Codec
from labkit.core.session import Joined, Limits, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.lab.call import Call
from labkit.lab.followers import Attempt, Death, Followed, Follower, Outage, in_seconds, waited
from labkit.lab.notes import Notes
from labkit.lab.studio import Mouth, Studio
from labkit.sim.world import World
from labkit.wire import sdp
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

PATIENCE: Final = Limits(silence=seconds(1), keep_alive=ms(400))
"""Of a listener to live sound: a second without a sign of life, and it hangs up."""
UNANSWERED: Final = ms(500)
"""How long an attempt waits for an answer."""
REST: Final = 30
"""Seconds after the last word, at most."""


def follow(
    follower: Follower,
    outages: Sequence[Outage] = (Outage(2.0, 3.5),),
    *,
    clip: Clip | None = None,
    codec: Codec | None = None,
    link: Profile | str = "lan",
    seed: int = 0,
    name: str = "",
) -> Followed:
    """One voice, one listener, and a server with these outages."""
    call = Call(clip, link=link, transport="tcp", seed=seed)
    if codec is not None:
        call = replace(call, codec=codec)
    return _Run(call, follower, tuple(outages), name or type(follower).__name__).done()


class _Run:
    """Owns the world, and what is in it now."""

    def __init__(
        self, call: Call, follower: Follower, outages: tuple[Outage, ...], name: str
    ) -> None:
        self.call = call
        self.follower = follower
        self.outages = outages
        self.world = World(call.seed)
        self.voice = Voice(call.codec, call.clip.rewound(), rng=Random(f"{call.seed} voice"))
        self.receiver = call.receiver(None)
        self.notes = Notes()
        self.attempts: list[Attempt] = []
        self.sound: list[float] = []
        self.log: list[str] = []
        self.left = False
        """The follower leaves it at that."""
        self.name = name
        self._dice = Random(f"{call.seed} draw")
        self._round_trip = call.profile.up.delay + call.profile.down.delay
        self._studio = Studio(self.voice, self.say)
        self._ear: _Ear | None = None
        self._mouth: Mouth | None = None

    def done(self) -> Followed:
        """Run to the end."""
        self.world.add(self._studio, "studio")
        self._knock()
        end = seconds(self.call.seconds + REST)
        self.world.run(until=end, stop=self._all_said)
        result = self.call.result(Sender(None, self.voice), self.receiver, self.notes)
        result.name = self.name
        return Followed(self.name, result, self.outages, self.attempts, self.sound, self.log)

    def _all_said(self) -> bool:
        """Also a studio that nobody hears speaks to its end."""
        return self.left and self.receiver.finished and self.voice.finished

    # The server -------------------------------------------------------------------------------

    @property
    def second(self) -> float:
        """Since the voice began."""
        return in_seconds(self.world.now, self.voice.started)

    def _gone(self) -> bool:
        return any(outage.begins <= self.second < outage.ends for outage in self.outages)

    def cut_until(self) -> float | None:
        """While the link is cut: when it is mended, in seconds."""
        for outage in self.outages:
            if outage.how is Death.CUT and outage.begins <= self.second < outage.ends:
                return outage.ends
        return None

    def when(self, second: float) -> int:
        """An instant of the world."""
        return (self.voice.started or 0) + seconds(second)

    def _busy(self) -> bool:
        return any(outage.ends <= self.second < outage.busy for outage in self.outages)

    def _began(self, event: Event) -> None:
        """Somebody listens, for the first time or again."""
        if not isinstance(event, Joined):
            return
        if self.voice.started is None:
            now = self.world.now
            self.voice.start(now)
            for outage in self.outages:
                self.world.at(now + seconds(outage.begins), lambda o=outage: self._kill(o))  # type: ignore[misc]
            self.world.wake(self._studio)
        elif self._studio.over:
            self.say([], True)

    def _kill(self, outage: Outage) -> None:
        mouth, ear = self._mouth, self._ear
        if mouth is None or ear is None or mouth.dead:
            return
        self._note(f"the server is gone: {outage.how.value}")
        if outage.how is Death.CUT:
            return
        mouth.die(outage.how)
        if outage.how is Death.RST:
            way = self.call.profile.down.delay
            self.world.at(self.world.now + way, lambda: ear.reset(self.world.now))
        self.world.wake(mouth)

    def say(self, packets: Sequence[Packet], last: bool) -> None:
        """What the studio says goes to whoever listens now."""
        mouth = self._mouth
        if mouth is None or mouth.dead:
            return
        mouth.sender.send(packets, self.world.now)
        if last:
            mouth.sender.close(self.world.now)
        self.world.wake(mouth)

    # The listener -----------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Nothing was heard for too long: our kernel forgets the connection."""
        if self._mouth is not None:
            self._mouth.die(Death.RST)
        self.ended("rst")

    def _knock(self) -> None:
        """The SYN leaves; a round trip later one knows."""
        open_ = not self._gone()
        self.attempts.append(Attempt(self.second, open_))
        act = self._open if open_ else lambda: self.ended("refused")
        wait = self._round_trip if self.cut_until() is None else UNANSWERED
        self.world.at(self.world.now + wait, act)

    def _open(self) -> None:
        session = StreamSession(Role.RECEIVER, limits=PATIENCE)
        if self._ear is not None:
            self._ear.retired = True
        self.receiver.resume(session)
        self._note("connected")
        ear = self._ear = _Ear(self)
        mouth = self._mouth = Mouth(
            sdp.describe(self.call.codec.format, host="10.0.0.1", port=5000)
        )
        if self._gone() or self._busy():
            mouth.die(Death.FIN)
        self.world.connect(ear, mouth, self.call.profile, stream=True)
        self.world.on_event(ear, self.notes.take)
        self.world.on_event(mouth, self._began)
        self.follower.opened()
        self.world.wake(ear)
        self.world.wake(mouth)

    def ended(self, how: str) -> None:
        """The connection, or an attempt at one, has ended: ask what now."""
        wait = waited(getattr(self.follower, how)(self._dice.random()), how)
        plan = "that was all" if wait is None else f"again in {wait / 1e6:.0f} ms"
        self._note(f"{how.upper() if how != 'refused' else how}: {plan}")
        if wait is None:
            self.left = True
        else:
            self.world.at(self.world.now + wait, self._knock)

    def _note(self, text: str) -> None:
        self.log.append(f"{self.second:7.3f} s  {text}")


class _Ear:
    """The listener's end of one connection. The newest drives the receiver, also after its end."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._receiver: Receiver = run.receiver
        self._over = False
        self._held: list[bytes] = []
        self.retired = False

    @property
    def wants_close(self) -> bool:
        """Our FIN, after theirs."""
        return self.retired or self._receiver.wants_close

    def receive_data(self, data: bytes, now: int) -> None:
        """For the receiver, and a look for the follower; behind a cut, later."""
        mended = self._run.cut_until()
        if mended is not None and not self._held:
            self._run.world.at(self._run.when(mended), self._mended)
        if mended is not None or self._held:
            self._held.append(data)
        else:
            self._take(data, now)

    def _mended(self) -> None:
        data, self._held = b"".join(self._held), []
        self._take(data, self._run.world.now)
        self._run.world.wake(self)

    def _take(self, data: bytes, now: int) -> None:
        if self._over or self.retired:
            return
        self._run.follower.received(data)
        before = self._receiver.session.stats.received
        self._receiver.receive_data(data, now)
        if self._receiver.session.stats.received > before:
            self._run.sound.append(self._run.second)

    def receive_eof(self, now: int) -> None:
        """The stream has ended; behind a cut one learns it later."""
        mended = self._run.cut_until()
        if mended is None:
            self._end("fin", now)
        else:
            run = self._run
            run.world.at(run.when(mended) + 1, lambda: self._end("fin", run.world.now))

    def reset(self, now: int) -> None:
        """The connection has."""
        self._end("rst", now)
        self._run.world.wake(self)

    def _end(self, how: str, now: int) -> None:
        if not (self._over or self.retired):
            self._over = True
            self._receiver.receive_eof(now)
            self._run.ended(how)

    def tick(self, now: int) -> None:
        """The playout goes on, whether there is a connection or not. Patience may end."""
        if self.retired:
            return
        self._receiver.tick(now)
        if self._receiver.session.closed and not self._over:
            self._over = True
            self._run.hang_up()

    def deadline(self) -> int | None:
        """The next turn."""
        return None if self.retired else self._receiver.deadline()

    def transmits(self) -> Sequence[Any]:
        """HELLO, and signs of life."""
        return () if self.retired else self._receiver.transmits()

    def events(self) -> list[Event]:
        """What is heard."""
        return [] if self.retired else self._receiver.events()

    def pause_writing(self) -> None:
        """The wire is full."""
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """It is not."""
        self._receiver.resume_writing()
