"""A whole sender: a voice, and the session that carries it.

The voice begins when the first receiver joins, so nobody misses the first word, and the session
is closed when a paced source has ended. Several senders may share one voice: `send` takes packets
that were made elsewhere. With a `controller` the bitrate of the voice follows what the path
carries, as far as that is known: from RTCP, or over a stream from the queue (`core.congestion`).

This module knows neither the wire nor the codec: both come in from outside.
"""

from collections.abc import Iterable
from typing import Any

from labkit.core.congestion import Feedback, QueueReader, ReportReader
from labkit.core.figures import ClientFigures
from labkit.core.ratecontrol import LOOK, RateController
from labkit.core.session import Joined, Report
from labkit.endpoints.endpoint import Endpoint
from labkit.endpoints.voice import Voice
from labkit.words.format import Samples
from labkit.words.machine import Event, earliest
from labkit.words.packet import Packet
from labkit.words.units import ms

LINGER = ms(300)
"""How long after its last packet a sender says BYE: a goodbye must not overtake the last word."""


class Sender(Endpoint):
    """Sends the packets of `voice` through `session` once somebody listens.

    With `voice=None` it is one of many listeners' ends of a voice that somebody else ticks.
    """

    def __init__(
        self, session: Any, voice: Voice | None, controller: RateController | None = None
    ) -> None:
        super().__init__(session)
        self.voice = voice
        self.controller = controller
        self.joined = False
        self._reports = ReportReader()
        self._queue = QueueReader()
        self._looked = 0
        self._closes: int | None = None

    def push_audio(self, samples: Samples, now: int) -> None:
        """Take captured samples from a live source."""
        assert self.voice is not None
        self.send(self.voice.push_audio(samples, now), now)

    def send(self, packets: Iterable[Packet], now: int) -> None:
        """Send packets if somebody listens; before and after, they are gone like spoken words."""
        if self.session.ready:
            for packet in packets:
                self.session.send(packet, now)

    def _handle(self, event: Event, now: int) -> bool:
        if isinstance(event, Joined):
            self.joined = True
            if self.voice is not None:
                self.voice.start(now)
                if self.controller is not None:
                    self.voice.adapt(self.controller.bitrate)
        elif isinstance(event, Report) and self.controller is not None and not event.ours:
            self._adapt(self._reports.read(event, self.session.stats, now), now)
        return False

    def _look(self, now: int) -> None:
        """Over a stream nobody reports: what waits at our own door is what is known."""
        queue = getattr(self.session, "queue", None)
        if queue is None or self.controller is None or now < self._looked + LOOK:
            return
        self._looked = now
        stats, lag = self.session.stats, queue.oldest_age(now)
        figures = ClientFigures(
            "",
            sent=stats.sent,
            sent_octets=stats.sent_octets,
            queued=len(queue),
            dropped=queue.dropped,
            lag=lag,
        )
        self._adapt(self._queue.read(figures, now), now)

    def _adapt(self, feedback: Feedback, now: int) -> None:
        assert self.controller is not None
        self.controller.on_feedback(feedback, now)
        if self.voice is not None:
            self.voice.adapt(self.controller.bitrate)

    def _work(self, now: int) -> None:
        if self.voice is None:
            return
        due = self.voice.deadline()
        if due is not None and due <= now:
            self.send(self.voice.tick(now), now)
            self._look(now)
            if self.voice.finished:
                self._closes = now + LINGER
        if self._closes is not None and self._closes <= now:
            self._closes = None
            self.close(now)

    def _due(self) -> int | None:
        return None if self.voice is None else earliest(self.voice.deadline(), self._closes)
