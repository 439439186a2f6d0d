"""The sound card as the event loop sees it: blocks that come, and sound that goes.

A ring buffer stands between the card's thread and the loop (`labkit.live.audio`). On this side
the ring is looked into by timer: a callback that woke the loop would take a lock in the one
thread that must never wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.live.audio import Microphone, Speaker
from labkit.live.clock import now
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS

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
