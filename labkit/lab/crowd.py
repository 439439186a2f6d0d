"""One voice and many listeners, each behind a line of its own (week 10).

    crowd = Crowd({"ann": "lan", "ben": "wifi", "dora": link(rate="40kbit")})
    result = crowd.simulate()                 virtual time: the same on every machine
    result = await crowd.run()                real sockets, real time
    result["ann"].listen(); print(result); result.show()

The parts are those of a call, with a `Server` in the place of the sender: a real session, a real
queue and a real receiver for each listener. Over `tcp` what does not leave waits in that listener's
queue, and `queue` makes it: your own too, with the face of `labkit.core.flowcontrol.SendQueue`.
Over `rtp` nothing waits, and with `bitrates` each listener gets what `make_controller` says that
its line carries.

The voice begins when everybody has come. Who `NEVER_READS` asks for the stream and takes nothing.

In virtual time the two systems hold `WINDOW` and `UNSENT` bytes of a stream; real ones hold more,
which is so much more old sound. This module only puts parts together; what comes of it is a
`CrowdResult`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from labkit.codec.opus import Opus
from labkit.core import timeline
from labkit.core.figures import ClientFigures
from labkit.core.ratecontrol import LOOK, RateController, adaptive
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.sender import LINGER
from labkit.endpoints.server import MAX_CLIENTS, Server
from labkit.endpoints.simulcast import Simulcast, renditions
from labkit.endpoints.voice import Voice
from labkit.lab.crowdresult import CrowdResult, Sample
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.lab.sources import converted, speech
from labkit.resources import load_profile
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import sdp
from labkit.wire.framing import Kind, pack
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Address, Event, earliest
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

SERVER: Final = ("10.0.0.1", 5004)
TRANSPORTS: Final = ("tcp", "rtp")
NEVER_READS: Final = "never reads"
WINDOW: Final = 4096
"""Bytes of a stream that are under way in virtual time, at most; see `World.connect`."""
UNSENT: Final = 2048
"""Bytes more that its sender's system takes before it says that the wire is full."""
WAIT: Final = ms(60)
"""How long a receiver of a stream waits before its first frame."""
SAMPLED: Final = ms(100)
"""How often the figures of the server are written down."""
HELLO: Final = pack(Packet(0, 0, b""), Kind.HELLO)
DEAF: Final = Profile("never reads", "nothing is taken", "", LinkSpec(), LinkSpec(loss=1.0))


class OwnQueues(Server):
    """A server that waits for its guests: the voice begins when `expected` listeners are there."""

    expected = 1

    def start(self, now: int) -> None:
        """Somebody has come; the last of those expected begins it."""
        if self.listening() >= self.expected:
            super().start(now)


class OneQueue(OwnQueues):
    """What one would write first: no packet is sent before everybody has taken the one before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.backlog: deque[Packet] = deque()
        self._again = 0

    def speak(self, now: int) -> None:
        """As ever, and then go on with what has waited."""
        super().speak(now)
        self._speak([], now)

    def _speak(self, packets: list[Packet], now: int) -> None:
        self.backlog += packets
        self._again = now + ms(5)
        while self.backlog and not any(len(c.session.queue) for c in self.clients.values()):
            super()._speak([self.backlog.popleft()], now)

    def speaks(self) -> int | None:
        """Also soon, while something waits."""
        return earliest(super().speaks(), self._again if self.backlog else None)

    def close(self, now: int) -> None:
        """Not before everything is said."""
        if self.backlog:
            self._closes = now + LINGER
        else:
            super().close(now)


class InOrder:
    """A receiver's buffer for a stream: everything comes, and in order, so it plays what is there.

    It waits before the first frame, and when there is nothing; it never gives anything up.
    """

    def __init__(self, wait: int = WAIT) -> None:
        self.holding = True
        """An empty turn is a wait, not a loss."""
        self._wait = wait
        self._packets: deque[Packet] = deque()
        self._starts: int | None = None

    def __len__(self) -> int:
        return len(self._packets)

    def push(self, packet: Packet, now: int) -> None:
        """Take a packet."""
        if self._starts is None:
            self._starts = now + self._wait
        self._packets.append(packet)

    def pull(self, now: int) -> Packet | None:
        """The next one that is there."""
        if not self._packets or self._starts is None or now < self._starts:
            return None
        return self._packets.popleft()


class NeverReads:
    """A stream machine that asks for the stream, says that it is there, and takes nothing."""

    def __init__(self) -> None:
        self._due = 0
        self._out: list[bytes] = []

    def tick(self, now: int) -> None:
        """A sign of life each two seconds."""
        if now >= self._due:
            self._due = now + seconds(2)
            self._out.append(HELLO)

    def receive_data(self, data: bytes, now: int) -> None:
        """It does not."""

    def receive_eof(self, now: int) -> None:
        """It does not notice."""

    def pause_writing(self) -> None:
        """It says next to nothing."""

    def resume_writing(self) -> None:
        """As before."""

    def deadline(self) -> int:
        """The next sign of life."""
        return self._due

    def transmits(self) -> list[bytes]:
        """It."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """Nothing ever happens to it."""
        return []


@dataclass
class Crowd:
    """One voice over many lines: profiles, their names, or `NEVER_READS`, by listener.

    A line is the listener's network: voice comes `down` it. `queue` makes what waits for a listener
    over a stream; None: 50 packets, of which the oldest go. `server` is `OwnQueues`, or `OneQueue`
    to hear why not. `bitrates` in bits a second, of a codec that can choose. `seed` decides
    everything random.
    """

    lines: Mapping[str, Profile | str]
    source: Clip | None = None
    codec: Any = field(default_factory=lambda: Opus(32_000))
    transport: str = "tcp"
    queue: Callable[[], Any] | None = None
    server: type[OwnQueues] = OwnQueues
    bitrates: Sequence[int] = ()
    make_controller: Callable[[], RateController] = adaptive
    policy: Any = None
    max_clients: int = MAX_CLIENTS
    seed: int = 0
    profiles: dict[str, Profile] = field(init=False)

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise BadInput(f"a crowd over {self.transport!r}", " or ".join(TRANSPORTS))
        deaf = [name for name, line in self.lines.items() if line == NEVER_READS]
        if deaf and self.transport != "tcp":
            raise BadInput("who never reads, over datagrams", "tcp: there a sender would wait")
        self.profiles = {
            name: line
            if isinstance(line, Profile)
            else DEAF
            if name in deaf
            else load_profile(line)
            for name, line in self.lines.items()
        }
        self.source = converted(
            self.source or speech(), self.codec.sample_rate, self.codec.channels
        )

    def reads(self, name: str) -> bool:
        """Whether this listener takes what comes."""
        return self.lines[name] != NEVER_READS

    # Parts ------------------------------------------------------------------------------------

    def voice(self) -> Voice:
        """The voice, in one or several bitrates."""
        assert self.source is not None
        clip, rng = self.source.rewound(), Random(f"{self.seed} voice")
        if not self.bitrates:
            return Voice(self.codec, clip, rng=rng)
        each = renditions(self.codec, self.bitrates)
        return Simulcast(each, clip, make_controller=self.make_controller, rng=rng)

    def make_server(self, voice: Voice) -> OwnQueues:
        """The server, to which nobody listens yet."""
        text = sdp.describe(self.codec.format, host=SERVER[0], port=SERVER[1])

        def session(address: Address) -> Any:
            if self.transport == "rtp":
                rng = Random(f"{self.seed} to {address}")
                return RtpSession(Role.SENDER, text, ssrc=voice.ssrc, rtcp_interval=LOOK, rng=rng)
            stream = StreamSession(Role.SENDER, text)
            if self.queue is not None:
                stream.queue = self.queue()
            return stream

        server = self.server(voice, session, max_clients=self.max_clients)
        server.expected = min(len(self.lines), self.max_clients)
        return server

    def receiver(self, name: str, peer: Any) -> Receiver:
        """A listener's end."""
        session: Any = StreamSession(Role.RECEIVER)
        if self.transport == "rtp":
            session = RtpSession(
                Role.RECEIVER,
                peer=peer,
                clock_rate=self.codec.format.clock_rate,
                rtcp_interval=LOOK,
                rng=Random(f"{self.seed} {name}"),
            )
        buffer = InOrder() if self.transport == "tcp" and self.policy is None else None
        return Receiver(session, self.codec, buffer=buffer, policy=deepcopy(self.policy))

    # In virtual time and in real time ----------------------------------------------------------

    def simulate(self, *, capture: bool = False) -> CrowdResult:
        """Run in virtual time. With `capture` every datagram is kept, for `save_pcapng`."""
        tap = Tap() if capture else None
        world, voice = World(self.seed, tap=tap), self.voice()
        server = self.make_server(voice)
        ends: dict[str, Any] = {}
        notes = {name: Notes() for name in self.lines}
        known: dict[str, Address] = {}
        if self.transport == "rtp":
            world.add(server, SERVER)
        for number, (name, profile) in enumerate(self.profiles.items(), 1):
            known[name] = (f"10.0.1.{number}", 6000)
            ends[name] = self.receiver(name, SERVER) if self.reads(name) else NeverReads()
            world.add(ends[name], known[name])
            world.on_event(ends[name], notes[name].take)
            if self.transport == "rtp":
                world.connect(ends[name], server, profile)
            elif (client := server.admit(known[name])) is not None:
                world.connect(
                    ends[name], client, profile, stream=True, window=WINDOW, unsent=UNSENT
                )
                world.on_event(client, _Heeds(server, known[name], world))
        if self.transport == "tcp":
            _Speaker(server, world).go_on()
        samples = _sampled(server, world, known)
        waited = [notes[name] for name in self.lines if self.reads(name)]
        limit = len(self.clip) * 3 // self.codec.sample_rate + 30
        world.run(until=seconds(limit), stop=lambda: all(note.finished for note in waited))
        return self.result(server, ends, notes, samples, tap)

    async def run(self) -> CrowdResult:
        """Run on real sockets on this machine, in real time: `await crowd.run()`."""
        from labkit.lab.livecrowd import run

        return await run(self)

    @property
    def clip(self) -> Clip:
        """What is said."""
        assert self.source is not None
        return self.source

    def result(
        self,
        server: OwnQueues,
        ends: Mapping[str, Any],
        notes: Mapping[str, Notes],
        samples: dict[str, list[Sample]],
        tap: Tap | None = None,
    ) -> CrowdResult:
        """Everything about a crowd that has gone home."""
        voice = server.voice
        results = {
            name: Result(
                name=name,
                link=self.profiles[name],
                codec=self.codec,
                seed=self.seed,
                transport=self.transport,
                reference=self.clip.samples,
                heard=notes[name].heard,
                first_timestamp=voice.first_timestamp,
                timeline=timeline.build(voice.trace, end.trace),
                sent_trace=voice.trace,
                received_trace=end.trace,
                reports=notes[name].reports,
                tap=tap,
            )
            for name, end in ends.items()
            if isinstance(end, Receiver)
        }
        return CrowdResult(results, samples, dict(server.refused), self.profiles, tap)


class _Heeds:
    """Passes on to a server what happens to one of its clients."""

    def __init__(self, server: Server, address: Address, world: World) -> None:
        self.told = server, address, world

    def __call__(self, event: Event) -> None:
        server, address, world = self.told
        server.receive_event(address, event, world.now)


class _Speaker:
    """Over streams somebody must let the server speak: in real time `TcpBroadcast` does."""

    def __init__(self, server: OwnQueues, world: World) -> None:
        self.server, self.world = server, world

    def go_on(self) -> None:
        """Speak, let every client send, and come again."""
        server, world = self.server, self.world
        server.speak(world.now)
        for client in list(server.clients.values()):
            world.wake(client)
        due = server.speaks()
        if due is not None or not server.voice.finished:
            world.at(max(due or 0, world.now + ms(1)), self.go_on)


def _sampled(
    server: OwnQueues, world: World, known: Mapping[str, Address]
) -> dict[str, list[Sample]]:
    """The figures of each listener while the voice speaks, written down again and again."""
    samples: dict[str, list[Sample]] = {name: [] for name in known}

    def look() -> None:
        started = server.voice.started
        if started is not None:
            note(server, known, samples, world.now - started, world.now)
        if not (server.voice.finished or server.closing):
            world.at(world.now + SAMPLED, look)

    world.at(0, look)
    return samples


def note(
    server: OwnQueues,
    known: Mapping[str, Address],
    samples: Mapping[str, list[Sample]],
    elapsed: int,
    now: int,
) -> None:
    """Write down what the server knows of each listener, `elapsed` after the first word."""
    for name, address in known.items():
        client = server.clients.get(address)
        if client is not None:
            figures: ClientFigures = client.figures(address, now)
            samples[name].append(Sample(elapsed, figures))
