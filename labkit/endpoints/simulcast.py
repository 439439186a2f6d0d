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
from typing import Any, Final, NamedTuple

from labkit.codec.face import Codec
from labkit.core.congestion import Feedback, QueueReader, ReportReader
from labkit.core.figures import ClientFigures
from labkit.core.packetizer import bytes_per_tick
from labkit.core.ratecontrol import Ladder, RateController, adaptive
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

    def __init__(self, controller: RateController, bitrates: Sequence[int]) -> None:
        self.controller = controller
        self.ladder = Ladder(bitrates)
        self.reports = ReportReader()
        self.queue = QueueReader()
        self.gets: int | None = None
        """The rendition of its last packet; `ladder.bitrate` is the one that it shall have."""

    def hear(self, feedback: Feedback, now: int) -> None:
        """Let the controller judge, and climb or step down."""
        self.controller.on_feedback(feedback, now)
        self.ladder.choose(self.controller.bitrate, now)


class Frame(NamedTuple):
    """One frame in all renditions that were encoded, by their bits a second."""

    packets: dict[int, Packet]
    warm: frozenset[int]


class Simulcast(Voice):
    """A voice in several renditions; it stands where a `Voice` stands.

    `tick` and `push_audio` return the best rendition that was encoded; `said_to` is what one
    listener gets of the same frames. `renditions` are codecs that differ in nothing but the
    bitrate, by bits a second. `make_controller` is called for each listener: a student's own is
    welcome. A source is read once, a frame is packed once.
    """

    def __init__(
        self,
        renditions: Mapping[int, Codec],
        source: Source | None = None,
        *,
        make_controller: Callable[[], RateController] = adaptive,
        rng: Random | None = None,
        trace: Trace | None = None,
    ) -> None:
        check(renditions)
        self.bitrates = tuple(sorted(renditions))
        super().__init__(renditions[self.bitrates[-1]], source, rng=rng, trace=trace)
        self.renditions = {bitrate: Rendition(renditions[bitrate]) for bitrate in self.bitrates}
        self._make_controller = make_controller
        self._listeners: dict[Address, _Listener] = {}
        self._frames: list[Frame] = []
        self._number = 0

    # Listeners --------------------------------------------------------------------------------

    def said_to(self, address: Address) -> list[Packet]:
        """What a listener gets of the frames that `tick` or `push_audio` has just made.

        Who is new begins in the middle, or with what is there. The packets are the same objects
        for all listeners of a rendition: whoever packs them need not do it twice.
        """
        listener = self._listeners.get(address)
        if listener is None:
            listener = self._listeners[address] = _Listener(self._make_controller(), self.bitrates)
        return [frame.packets[self._choose(listener, frame)] for frame in self._frames]

    def _choose(self, listener: _Listener, frame: Frame) -> int:
        """The rendition that a listener wants, or for a moment still the one that it had."""
        wants, gets = listener.ladder.bitrate, listener.gets
        if gets != wants:
            fits = frame.packets if gets is None else frame.warm
            if wants in fits:
                listener.gets = gets = wants
            elif gets not in frame.packets:
                listener.gets = gets = min(frame.packets)
        assert gets is not None
        return gets

    def hear(self, address: Address, feedback: Feedback, now: int) -> None:
        """Something is known about the path to a listener."""
        listener = self._listeners.get(address)
        if listener is not None:
            listener.hear(feedback, now)

    def hear_report(self, address: Address, report: Report, stats: Stats, now: int) -> None:
        """A listener reports how it receives us; `stats` are those of our session with it."""
        listener = self._listeners.get(address)
        if listener is not None and not report.ours:
            listener.hear(listener.reports.read(report, stats, now), now)

    def hear_queue(self, address: Address, figures: ClientFigures, now: int) -> None:
        """What waits for a listener over a stream. Say so once in `LOOK`."""
        listener = self._listeners.get(address)
        if listener is not None:
            listener.hear(listener.queue.read(figures, now), now)

    def forget(self, address: Address) -> None:
        """This listener is gone."""
        self._listeners.pop(address, None)

    def bitrate_of(self, address: Address) -> int | None:
        """The rendition that a listener gets, in bits a second; None before its first packet."""
        listener = self._listeners.get(address)
        return None if listener is None else listener.gets

    def allowed(self, address: Address) -> int | None:
        """The bits a second that its controller would allow."""
        listener = self._listeners.get(address)
        return None if listener is None else listener.controller.bitrate

    # Sound ------------------------------------------------------------------------------------

    def tick(self, now: int) -> list[Packet]:
        """As of a voice: every frame that is complete by now, in its best rendition."""
        self._frames = []
        return super().tick(now)

    def push_audio(self, samples: Samples, now: int) -> list[Packet]:
        """As of a voice: captured samples, in the best rendition."""
        self._frames = []
        return super().push_audio(samples, now)

    @property
    def adapts(self) -> bool:
        """False: each rendition keeps its bitrate; it is the listeners who change."""
        return False

    def _make(self, samples: Samples) -> list[Packet]:
        """Encode what somebody gets or will get next, and pack it once."""
        payloads = {
            bitrate: self.renditions[bitrate].encode(samples, self._number)
            for bitrate in self._wanted()
        }
        self._number += 1
        best = max(payloads)
        packets = self._packetizer.packetize(payloads[best], self._timestamp)
        for packet in packets:  # it is one, see `check`
            versions = {b: packet._replace(payload=payload) for b, payload in payloads.items()}
            warm = frozenset(b for b in versions if self.renditions[b].warm)
            self._frames.append(Frame(versions, warm))
        return packets

    def _wanted(self) -> set[int]:
        wanted = {listener.ladder.bitrate for listener in self._listeners.values()}
        wanted |= {listener.gets for listener in self._listeners.values() if listener.gets}
        return wanted or {Ladder(self.bitrates).bitrate}


def check(renditions: Mapping[int, Codec]) -> None:
    """Whether these can be renditions of one frame. `BadInput` says why not."""
    codecs = list(renditions.values())
    if not codecs:
        raise BadInput("a simulcast without renditions", "one or more, such as 64, 32, 16")
    best = codecs[0]
    shape = (best.sample_rate, best.channels, best.frame_samples)
    if any((c.sample_rate, c.channels, c.frame_samples) != shape for c in codecs):
        raise BadInput("renditions with frames of different length", "one codec, several bitrates")
    if any(bytes_per_tick(codec.format) is not None for codec in codecs):
        raise BadInput(f"{best.format.encoding} may take several packets a frame", "opus")
    if any(getattr(codec, "dtx", False) for codec in codecs):
        raise BadInput(
            "DTX in a simulcast: each encoder would be silent at another moment", "dtx=False"
        )
