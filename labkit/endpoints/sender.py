"""A whole sender: a voice, and the session that carries it.

The voice begins when the first receiver joins, so nobody misses the first word, and the session
is closed when a paced source has ended. Several senders may share one voice: `send` takes packets
that were made elsewhere.

This module knows neither the wire nor the codec: both come in from outside.
"""

from collections.abc import Iterable
from typing import Any

from labkit.core.session import Joined
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

    def __init__(self, session: Any, voice: Voice | None) -> None:
        super().__init__(session)
        self.voice = voice
        self.joined = False
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
        return False

    def _work(self, now: int) -> None:
        if self.voice is None:
            return
        due = self.voice.deadline()
        if due is not None and due <= now:
            self.send(self.voice.tick(now), now)
            if self.voice.finished:
                self._closes = now + LINGER
        if self._closes is not None and self._closes <= now:
            self._closes = None
            self.close(now)

    def _due(self) -> int | None:
        return None if self.voice is None else earliest(self.voice.deadline(), self._closes)
