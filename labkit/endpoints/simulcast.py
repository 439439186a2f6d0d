"""One voice in two or three bitrates: to each listener what its path carries (week 10).

Whoever listens behind a thin line needs few bits, and must not cost the others theirs. So a frame
is encoded once for each *rendition* that somebody listens to, whatever the number of listeners:

    frame ─┬─ 64 kbit/s ──> ann, ben, cem
           ├─ 32 kbit/s ──> dora
           └─ 16 kbit/s      nobody listens: not encoded

All renditions of a frame have the same sequence number and the same timestamp, and each is one
packet. So a listener changes from one to another between two packets, and its stream has no gap:
its session, its jitter buffer and its decoder need not know. Any Opus decoder takes any Opus
payload, but it starts from what it made of the frame before, and that came from another encoder. An
encoder that starts afresh at the change is heard as a click. One that has encoded the two frames
before as well, for nobody, is not: `WARM_UP`. docs/rate-adaptation.md has the figures.

For each listener there is a controller, which is told what its receiver reports or what waits in
its queue, and a `Ladder` that makes a rendition of the bitrate which the controller allows.

This module knows no session, no wire and no socket; a listener is whoever has an address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from labkit.codec.face import Codec
from labkit.core.congestion import Feedback, QueueReader, ReportReader
from labkit.core.figures import ClientFigures
from labkit.core.packetizer import bytes_per_tick
from labkit.core.ratecontrol import START, Ladder, RateController, adaptive
from labkit.core.session import Report, Stats
from labkit.endpoints.voice import Source, Voice
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.machine import Address
from labkit.words.packet import Packet
from labkit.words.trace import Trace

BITRATES: Final = (64_000, 32_000, 16_000)
WARM_UP: Final = 2
"""Frames that an encoder has encoded for nobody before the first that is sent."""


def renditions(codec: Any, bitrates: Sequence[int] = BITRATES) -> dict[int, Codec]:
    """The same codec at several bitrates. `BadInput` when it has none to choose, as L16."""
    if not hasattr(codec, "bitrate"):
        raise BadInput(f"{codec.format.encoding} has one bitrate only", "opus")
    return {bitrate: replace(codec, bitrate=bitrate) for bitrate in bitrates}


class Rendition:
    """One encoder, which rests while nobody wants what it makes."""

    def __init__(self, codec: Codec) -> None:
        self.encoded = 0
        """Frames, so far."""
        self._encoder = codec.encoder()
        self._newest = -1
        self._since = 0

    def encode(self, samples: Samples, frame: int) -> bytes:
        """The payload of a frame, by its number in the voice."""
        if frame != self._newest + 1:
            self._since = frame
        self._newest = frame
        self.encoded += 1
        return self._encoder.encode(samples)

    @property
    def warm(self) -> bool:
        """Whether the newest payload may follow one of another encoder.

        In the first frames of all everybody is cold, and nobody has changed yet.
        """
        return self._since == 0 or self._newest - self._since >= WARM_UP


class _Listener:
    """What one listener gets, and why."""

    def __init__(self, controller: RateController, ladder: Ladder) -> None:
        self.controller = controller
        self.ladder = ladder
        self.reports = ReportReader()
        self.queue = QueueReader()
        self.gets: int | None = None
        """The rendition of its last packet; `ladder.bitrate` is the one that it shall have."""

    def hear(self, feedback: Feedback, now: int) -> None:
        """Let the controller judge, and climb or step down."""
        self.controller.on_feedback(feedback, now)
        self.ladder.choose(self.controller.bitrate, now)


class Simulcast(Voice):
    """A voice in several renditions; it stands where a `Voice` stands.

    `renditions` are codecs that differ in nothing but the bitrate, by bits a second. Each listener
    is welcomed, and begins with the best that is not above `start`; what it reports decides what it
    gets then, and who never reports keeps what it has. `make_controller` is called for each: a
    student's own is welcome.

    `tick` and `push_audio` return one packet a frame, in the best rendition that was encoded;
    `version` gives the same packet in another one.
    """

    def __init__(
        self,
        renditions: Mapping[int, Codec],
        source: Source | None = None,
        *,
        start: int = START,
        make_controller: Callable[[], RateController] = adaptive,
        rng: Random | None = None,
        trace: Trace | None = None,
    ) -> None:
        check(renditions)
        self.bitrates = tuple(sorted(renditions))
        super().__init__(renditions[self.bitrates[-1]], source, rng=rng, trace=trace)
        self.renditions = {bitrate: Rendition(renditions[bitrate]) for bitrate in self.bitrates}
        self._start = start
        self._make_controller = make_controller
        self._listeners: dict[Address, _Listener] = {}
        self._moving: dict[Address, None] = {}  # who may want another rendition than it gets
        self._wanted: frozenset[int] | None = None  # None: ask the listeners again
        self._versions: dict[int, dict[int, Packet]] = {}  # by sequence number and bitrate
        self._encoded: frozenset[int] = frozenset()
        self._warm: frozenset[int] = frozenset()
        self._number = 0  # of the next frame

    # Listeners --------------------------------------------------------------------------------

    def welcome(self, address: Address) -> None:
        """Somebody listens from now on. Twice does no harm."""
        if address not in self._listeners:
            ladder = Ladder(self.bitrates, self._start)
            self._listeners[address] = _Listener(self._make_controller(), ladder)
            self._moving[address] = None
            self._wanted = None

    def forget(self, address: Address) -> None:
        """This listener is gone."""
        self._listeners.pop(address, None)
        self._moving.pop(address, None)
        self._wanted = None

    def hear(self, address: Address, feedback: Feedback, now: int) -> None:
        """Something is known about the path to a listener."""
        listener = self._listeners.get(address)
        if listener is not None:
            listener.hear(feedback, now)
            if listener.gets != listener.ladder.bitrate:
                self._moving[address] = None
            self._wanted = None

    def hear_report(self, address: Address, report: Report, stats: Stats, now: int) -> None:
        """A listener reports how it receives us; `stats` are those of our session with it."""
        listener = self._listeners.get(address)
        if listener is not None and not report.ours:
            self.hear(address, listener.reports.read(report, stats, now), now)

    def hear_queue(self, address: Address, figures: ClientFigures, now: int) -> None:
        """What waits for a listener over a stream. Say so once in `LOOK`."""
        listener = self._listeners.get(address)
        if listener is not None:
            self.hear(address, listener.queue.read(figures, now), now)

    def allowed(self, address: Address) -> int | None:
        """The bits a second that its controller would allow."""
        listener = self._listeners.get(address)
        return None if listener is None else listener.controller.bitrate

    # What each of them gets -------------------------------------------------------------------

    def rendition_of(self, address: Address) -> int | None:
        """The rendition that a listener gets, in bits a second; None before its first packet."""
        listener = self._listeners.get(address)
        return None if listener is None else listener.gets

    def moved(self) -> list[Address]:
        """Who gets another rendition from the frames on that were just made: ask after each `tick`.

        Who is new is moved at once; who listens already, when the encoder is warm.
        """
        moved = []
        for address in self._moving:
            listener = self._listeners[address]
            wants, gets = listener.ladder.bitrate, listener.gets
            if wants in (self._warm if gets else self._encoded):
                listener.gets = wants
                moved.append(address)
        for address in moved:
            del self._moving[address]
            self._wanted = None
        return moved

    def version(self, packet: Packet, bitrate: int | None) -> Packet:
        """A packet of the last `tick` in a rendition: the same object, whoever asks.

        `packet` itself where there is no such rendition of it.
        """
        versions = self._versions.get(packet.seq)
        return packet if versions is None or bitrate is None else versions.get(bitrate, packet)

    # Sound ------------------------------------------------------------------------------------

    def tick(self, now: int) -> list[Packet]:
        """As of a voice: every frame that is complete by now."""
        self._begin()
        return super().tick(now)

    def push_audio(self, samples: Samples, now: int) -> list[Packet]:
        """As of a voice: captured samples, the last of them captured now."""
        self._begin()
        return super().push_audio(samples, now)

    @property
    def adapts(self) -> bool:
        """False: each rendition keeps its bitrate; it is the listeners who change."""
        return False

    def _begin(self) -> None:
        self._versions = {}
        self._encoded = self._warm = frozenset()

    def _make(self, samples: Samples) -> list[Packet]:
        """Encode what somebody gets or will get next, and pack it once."""
        if self._wanted is None:
            self._wanted = self._census()
        wanted = self._wanted
        payloads = {b: self.renditions[b].encode(samples, self._number) for b in wanted}
        self._number += 1
        if not self._versions:  # of several frames at once, the first decides who may move
            self._encoded = wanted
            self._warm = frozenset(b for b in wanted if self.renditions[b].warm)
        packets = self._packetizer.packetize(payloads[max(wanted)], self._timestamp)
        for packet in packets:  # it is one, see `check`
            self._versions[packet.seq] = {
                bitrate: packet._replace(payload=payload) for bitrate, payload in payloads.items()
            }
        return packets

    def _census(self) -> frozenset[int]:
        """What somebody gets, or will get next."""
        listeners = self._listeners.values()
        wanted = {listener.ladder.bitrate for listener in listeners}
        wanted |= {listener.gets for listener in listeners if listener.gets is not None}
        return frozenset(wanted or {Ladder(self.bitrates, self._start).bitrate})


def check(renditions: Mapping[int, Codec]) -> None:
    """Whether these can be renditions of one frame. `BadInput` says why not."""
    codecs = list(renditions.values())
    if not codecs:
        raise BadInput("a simulcast without renditions", "one or more, such as 64, 32, 16")
    best = codecs[0]
    shape = (best.sample_rate, best.channels, best.frame_samples, best.format.payload_type)
    for codec in codecs:
        this = (codec.sample_rate, codec.channels, codec.frame_samples, codec.format.payload_type)
        if this != shape:
            raise BadInput("renditions of different form", "one codec at several bitrates")
        if bytes_per_tick(codec.format) is not None:
            raise BadInput(f"{codec.format.encoding} may take several packets a frame", "opus")
        if getattr(codec, "dtx", False):
            raise BadInput("DTX in a simulcast: each encoder is silent when it likes", "no DTX")
