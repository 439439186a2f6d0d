"""The sound card as the event loop sees it: blocks that come, and sound that goes.

A ring buffer stands between the card's thread and the loop (`labkit.live.audio`). On this side
the ring is looked into by timer: a callback that woke the loop would take a lock in the one
thread that must never wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.live.audio import Microphone, Speaker
from labkit.words.errors import MissingCapability
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS, ticks_to_ns

POLL = 0.005
"""Seconds between two looks into the ring: a quarter of a frame."""
SECONDS_OF_RING = 2


@asynccontextmanager
async def captured(
    sample_rate: int, channels: int, device: str | None = None
) -> AsyncIterator[AsyncIterator[Samples]]:
    """The microphone, as an asynchronous iterator of blocks. `MissingCapability` without one."""
    ring = RingBuffer(sample_rate * SECONDS_OF_RING, channels)
    block = sample_rate * FRAME_MS // 1000 // 2
    with Microphone(ring, sample_rate, channels, block, _device(device)) as microphone:

        async def blocks() -> AsyncIterator[Samples]:
            while microphone.failure is None:
                if ring.fill:
                    yield ring.read(ring.fill)
                await asyncio.sleep(POLL)
            raise microphone.failure

        yield blocks()


def _device(name: str | None) -> int | str | None:
    return int(name) if name is not None and name.isdecimal() else name


class Playback:
    """Sound that is made in the loop, and heard: playout, ring, speaker.

    The playout keeps the ring between our clock and the card's at `cushion` seconds; the card and
    we never agree exactly on how long a second is.
    """

    def __init__(
        self, sample_rate: int, channels: int, device: str | None = None, cushion: float = 0.03
    ) -> None:
        self.ring = RingBuffer(sample_rate * SECONDS_OF_RING, channels)
        block = sample_rate * FRAME_MS // 1000 // 2
        self._playout = Playout(self.ring, round(cushion * sample_rate), sample_rate=sample_rate)
        self._speaker = Speaker(self.ring, sample_rate, channels, block, _device(device))

    @staticmethod
    def require(device: str | None) -> None:
        """`MissingCapability` now, if there is nothing to play on."""
        probe = Playback(48_000, 1, device)
        probe._speaker.start()
        probe._speaker.stop()

    def possible(self) -> bool:
        """Whether there is something to play on."""
        try:
            self._speaker.start()
        except MissingCapability:
            return False
        return True

    @property
    def failure(self) -> MissingCapability | None:
        """Why nothing is heard any more, if so."""
        return self._speaker.failure

    @property
    def latency(self) -> int:
        """Nanoseconds from `write` to the ear: the cushion and the card."""
        return self._speaker.latency + ticks_to_ns(self.ring.fill, self._speaker.sample_rate)

    def write(self, samples: Samples, instant: int) -> None:
        """Play `samples` after those before them."""
        self._playout.write(samples, instant)

    def __enter__(self) -> Self:
        self._speaker.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.ring.finish()
        self._speaker.stop()
