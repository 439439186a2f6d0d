"""A call: one voice, one network, one listener, and everything about it afterwards.

    result = Call(speech(), codec=Opus(32_000, fec=True), link="wifi-busy", seed=7).simulate()
    result = await Call(speech(), link="voip-10", jitter_buffer=MyBuffer).run()
    result.listen(); result.show(); print(result)

`simulate` runs in virtual time and gives the same result on every machine; `run` drives the same
objects on real sockets, through a relay that impairs real datagrams as the profile says. Any part
can be yours: the source, the codec, the link, the jitter buffer, the delay policy, the decode loop
(`labkit.endpoints.receiver.DecodeLoop`). The source can be a microphone, and a speaker can play
what is heard while it is heard (`labkit.lab.livesound`):

    await Call(BrowserMicrophone(), link="wifi-busy").run(10, speaker=BrowserSpeaker())

This module only puts parts together; what comes of it is a `labkit.lab.result.Result`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from labkit.codec.face import Codec
from labkit.codec.opus import Opus
from labkit.core import timeline
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import USUAL_INTERVAL, RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Buffer, DecodeLoop, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.srtp import Srtp, new_key
from labkit.endpoints.voice import Voice
from labkit.lab.decoders import as_decoder
from labkit.lab.layered import STREAMS, layered
from labkit.lab.livesound import LiveSink, LiveSource
from labkit.lab.notes import Notes
from labkit.lab.ownheader import OwnHeader
from labkit.lab.quic import QUIC, quic_session
from labkit.lab.result import Result
from labkit.lab.sources import converted, speech
from labkit.resources import load_profile
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import sdp
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.profile import Profile
from labkit.words.units import seconds

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)
"""Addresses in virtual time: who speaks and who listens."""
TRANSPORTS = ("rtp", "srtp", "udp", *STREAMS, *QUIC)


@dataclass
class Call:
    """One voice over one network.

    `jitter_buffer` is a class, a function that makes a buffer, or a buffer (which is copied, so
    that a call can be made twice); without it a `JitterBuffer` plays by `policy`. A `decode_loop`,
    given likewise, decides how each frame is made; then `fec` and `conceal` say nothing. `link` is
    a profile or its name, the listener's network: voice comes `down` and reports go `up`.
    `seed` decides everything random: the network's dice and the first sequence number.

    Over TCP, `decoder` makes what gives the listener its frames back, and without `nodelay` small
    segments are left to Nagle's algorithm (on real sockets to the system's).
    """

    source: Clip | LiveSource | None = None
    codec: Codec = field(default_factory=lambda: Opus(32_000, fec=True))
    link: Profile | str = "clear"
    transport: str = "rtp"
    jitter_buffer: Buffer | Callable[[], Buffer] | None = None
    policy: Any = None
    decoder: Callable[[], Any] | None = None
    nodelay: bool = True
    fec: bool = True
    conceal: bool = True
    decode_loop: DecodeLoop | Callable[[], DecodeLoop] | None = None
    seed: int = 0
    name: str = ""
    rtcp_interval: int = USUAL_INTERVAL
    """Between two reports of RTCP, in nanoseconds: 0.4 to 1.2 times as long, by the dice."""
    header: OwnHeader | None = None
    """Somebody else's RTP header, in place of the kit's; over RTP and SRTP."""
    watch: Callable[[Receiver], None] | None = field(default=None, repr=False, compare=False)
    """Is given the receiver as soon as it is made: so a dashboard looks into a call."""
    profile: Profile = field(init=False)
    """What `link` stands for."""

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise BadInput(f"no transport is called {self.transport!r}", " or ".join(TRANSPORTS))
        self.profile = load_profile(self.link) if isinstance(self.link, str) else self.link
        clip = self.source if self.source is not None else speech()
        if isinstance(clip, Clip):
            clip = converted(clip, self.codec.sample_rate, self.codec.channels)
        self.source = clip

    @property
    def seconds(self) -> float:
        """How long the voice speaks."""
        return len(self.clip) / self.codec.sample_rate

    @property
    def clip(self) -> Clip:
        """The voice, all of it. `BadInput` when it is a microphone's: nobody knows it yet."""
        if isinstance(self.source, Clip):
            return self.source
        raise BadInput("a microphone speaks in real time only", "await call.run(10)")

    # In virtual time --------------------------------------------------------------------------

    def simulate(self, *, capture: bool = False) -> Result:
        """Run in virtual time: a minute in a blink, and the same on every machine.

        With `capture`, every datagram that crosses the link is kept, for `Result.save_pcapng`.
        """
        length = seconds(self.seconds)
        sender, receiver = self.sender(), self.receiver(ALICE)
        tap = Tap() if capture else None
        world = World(self.seed, tap=tap)
        world.add(sender, ALICE)
        world.add(receiver, BOB)
        stream = self.transport in STREAMS
        world.connect(receiver, sender, self.profile, stream=stream, nodelay=self.nodelay)
        notes = Notes()
        world.on_event(receiver, notes.take)
        world.run(until=length * 2 + seconds(60), stop=lambda: notes.finished)
        return self.result(sender, receiver, notes, tap)

    # In real time -----------------------------------------------------------------------------

    async def run(self, duration: float = 10.0, *, speaker: LiveSink | None = None) -> Result:
        """Run on real sockets on this machine, in real time: `await call.run()` in a notebook.

        A microphone speaks for `duration` seconds, or until it is switched off; a clip to its end.
        `speaker` plays what the listener hears, while it is heard.
        """
        from labkit.lab.livecall import run

        return await run(self, duration, speaker)

    # Parts ------------------------------------------------------------------------------------

    def sender(self, wallclock_offset: int = 0) -> Sender:
        """The end that speaks, made of fresh parts; it waits to be joined."""
        clip = self.source.rewound() if isinstance(self.source, Clip) else None
        voice = Voice(self.codec, clip, rng=Random(f"{self.seed} voice"))
        return Sender(self._session(Role.SENDER, None, wallclock_offset, voice.ssrc), voice)

    def receiver(self, peer: Any, wallclock_offset: int = 0) -> Receiver:
        """The end that listens, made of fresh parts; it joins the sender at `peer`."""
        receiver = Receiver(
            self._session(Role.RECEIVER, peer, wallclock_offset),
            self.codec,
            buffer=_fresh(self.jitter_buffer, "push"),
            policy=copy.deepcopy(self.policy),
            fec=self.fec,
            conceal=self.conceal,
            loop=_fresh(self.decode_loop, "turn"),
        )
        if self.watch is not None:
            self.watch(receiver)
        return receiver

    def _session(
        self, role: Role, peer: Any, wallclock_offset: int, ssrc: int | None = None
    ) -> Any:
        format_ = self.codec.format
        description = sdp.describe(format_, host=ALICE[0], port=ALICE[1])
        if self.transport in STREAMS:
            own = self.decoder if role is Role.RECEIVER else None
            decoder = as_decoder(own) if own else None
            return layered(StreamSession(role, description, decoder=decoder), self.transport)
        if self.transport in QUIC:
            return quic_session(role, description, self.transport, peer)
        if self.transport == "udp":
            return DatagramSession(role, description, peer=peer)
        session = RtpSession(
            role,
            description,
            peer=peer,
            ssrc=ssrc,
            clock_rate=format_.clock_rate,
            rng=Random(f"{self.seed} {role.value}"),
            rtcp_interval=self.rtcp_interval,
            wallclock_offset=wallclock_offset,
        )
        labelled = session if self.header is None else self.header.around(session)
        return labelled if self.transport == "rtp" else self._protected(role, labelled)

    def _protected(self, role: Role, session: Any) -> Any:
        """The same session by SRTP, with keys from the seed."""
        keys = {end: new_key(rng=Random(f"{self.seed} {end.value} key")) for end in Role}
        theirs = keys[Role.RECEIVER if role is Role.SENDER else Role.SENDER]
        return Srtp(session, keys[role], theirs)

    def result(
        self,
        sender: Sender,
        receiver: Receiver,
        notes: Notes,
        tap: Any = None,
        said: Samples | None = None,
    ) -> Result:
        """Everything about a call that has ended. `said` is what a microphone heard."""
        assert sender.voice is not None
        return Result(
            name=self.name or codec_name(self.codec),
            link=self.profile,
            codec=self.codec,
            seed=self.seed,
            transport=self.transport,
            reference=said if said is not None else self.clip.samples,
            heard=notes.heard,
            first_timestamp=sender.voice.first_timestamp,
            timeline=timeline.build(sender.voice.trace, receiver.trace),
            sent_trace=sender.voice.trace,
            received_trace=receiver.trace,
            reports=notes.reports,
            conceal=self.conceal,
            tap=tap,
        )


def _fresh(given: Any, verb: str) -> Any:
    """A part that no call has used: made by its class or by a function, or copied."""
    if given is None:
        return None
    if isinstance(given, type) or (callable(given) and not hasattr(given, verb)):
        return given()
    return copy.deepcopy(given)


def codec_name(codec: Codec) -> str:
    """A short name for a codec and what it is set to."""
    if isinstance(codec, Opus):
        return f"Opus {codec.bitrate / 1000:g} kbit/s{' FEC' if codec.fec else ''}"
    return str(codec.format.encoding)
