"""Play a file through a small buffer, and see what its size is worth (week 2).

A producer puts a frame into a ring buffer every 20 ms, a sound card takes a block out every 10 ms.
On a busy machine the producer is sometimes late. A small ring runs empty then, and that is heard;
a large one does not, but everything is heard later. `play` does it with the real card, `sweep` does
it in virtual time, for every size at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from labkit.core.ringbuffer import RingBuffer
from labkit.core.source import Clip
from labkit.lab.ownring import OwnRing, Ring
from labkit.lab.show import LATE, PLAYED, Picture, canvas
from labkit.sim.devices import Speaker as VirtualSpeaker
from labkit.sim.world import World
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS, ms, to_seconds

SIZES_MS = (15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 160, 200)


@dataclass(frozen=True, slots=True)
class Played:
    """What playing a clip through a buffer came to."""

    buffer_ms: float
    underruns: int
    missing_ms: float
    """Silence that was heard in place of sound."""
    delay_ms: float
    """Mean time that a sample waited in the ring."""
    heard: Clip | None = field(default=None, repr=False, compare=False)
    """What came out of the loudspeaker, where it was a virtual one."""

    def __str__(self) -> str:
        return (
            f"buffer {self.buffer_ms:.0f} ms: {self.underruns} underruns "
            f"({self.missing_ms:.0f} ms of silence), mean delay {self.delay_ms:.0f} ms"
        )


class Producer:
    """Puts the frames of a clip into a ring, each late by `jitter` nanoseconds on average.

    Lateness is exponential: mostly small, now and then several times the mean, as on a machine
    where something else runs too. What finds no room waits for the next turn.
    """

    def __init__(self, clip: Clip, ring: RingBuffer, *, jitter: int = 0, seed: int = 0) -> None:
        self._clip = clip
        self._ring = ring
        self._jitter = jitter
        self._random = Random(seed)
        self._frame = clip.sample_rate * FRAME_MS // 1000
        self._pending: Samples | None = clip.read(self._frame)
        self._turns = 0
        self._delay = 0

    @property
    def finished(self) -> bool:
        """Every sample of the clip is in the ring, or was."""
        return self._pending is None

    def prefill(self) -> None:
        """Fill the ring before the card starts."""
        while self._pending is not None and self._ring.free >= len(self._pending):
            self._write()

    def tick(self, now: int) -> None:
        """Put in what is due; the first frame is due at zero."""
        while (due := self.deadline()) is not None and due <= now:
            self._turns += 1
            self._delay = round(self._random.expovariate(1) * self._jitter)
            if self._pending is not None and self._ring.free >= len(self._pending):
                self._write()

    def deadline(self) -> int | None:
        """When the next frame goes in; None after the last."""
        return None if self._pending is None else self._turns * ms(FRAME_MS) + self._delay

    def transmits(self) -> Sequence[object]:
        """Nothing: a producer is on no wire."""
        return ()

    def events(self) -> Sequence[object]:
        """Nothing: its effect is in the ring."""
        return ()

    def _write(self) -> None:
        assert self._pending is not None
        self._ring.write(self._pending)
        self._pending = self._clip.read(self._frame)
        if self._pending is None:
            self._ring.finish()


MakeRing = Callable[[int, int], Ring]
"""Makes a ring of one's own, of so many samples and channels."""


def _ring(clip: Clip, buffer_ms: float, own: MakeRing | None) -> RingBuffer:
    capacity = round(buffer_ms * clip.sample_rate / 1000)
    if capacity < clip.sample_rate * FRAME_MS // 1000:
        raise BadInput(
            f"a buffer of {buffer_ms:g} ms cannot hold one frame of {FRAME_MS} ms",
            f"--buffer-ms {FRAME_MS} or more",
        )
    if own is not None:
        return OwnRing(own(capacity, clip.channels), capacity, clip.channels)
    return RingBuffer(capacity, clip.channels)


def simulate(
    clip: Clip,
    buffer_ms: float,
    *,
    jitter_ms: float = 0,
    seed: int = 0,
    ring: MakeRing | None = None,
) -> Played:
    """Play `clip` in virtual time through a ring of `buffer_ms`, or one that `ring` makes."""
    clip = clip.rewound()
    store = _ring(clip, buffer_ms, ring)
    block = clip.sample_rate // 100
    producer = Producer(clip, store, jitter=ms(jitter_ms), seed=seed)
    producer.prefill()
    levels: list[int] = []
    speaker = _Listening(store, levels, block=block, sample_rate=clip.sample_rate)
    world = World(seed)
    world.add(producer)  # type: ignore[arg-type]
    world.add(speaker)
    world.run(stop=lambda: producer.finished and not store.fill)
    heard = Clip(speaker.heard, clip.sample_rate)
    return _played(clip, buffer_ms, store, levels, heard)


class _Listening(VirtualSpeaker):
    """A loudspeaker that notes how full the ring was at each turn."""

    def __init__(
        self, ring: RingBuffer, levels: list[int], *, block: int, sample_rate: int
    ) -> None:
        super().__init__(ring, block=block, sample_rate=sample_rate)
        self._levels = levels
        self._source = ring

    def _turn(self, now: int) -> None:
        self._levels.append(self._source.fill)
        super()._turn(now)


def _played(
    clip: Clip,
    buffer_ms: float,
    ring: RingBuffer,
    levels: Sequence[int],
    heard: Clip | None = None,
) -> Played:
    rate = clip.sample_rate / 1000
    return Played(
        buffer_ms,
        ring.underruns,
        ring.underrun_samples / rate,
        float(np.mean(levels)) / rate if levels else 0.0,
        heard,
    )


def sweep(
    clip: Clip, *, jitter_ms: float = 10, seed: int = 0, sizes_ms: Sequence[float] = SIZES_MS
) -> list[Played]:
    """`simulate` at every size of the buffer."""
    sizes = [s for s in sizes_ms if s >= FRAME_MS]
    return [simulate(clip, size, jitter_ms=jitter_ms, seed=seed) for size in sizes]


def picture(results: Sequence[Played], jitter_ms: float) -> Picture:
    """Delay against underruns: what a larger buffer costs, and what it buys."""
    sizes = [r.buffer_ms for r in results]
    with canvas(height=3.6) as (figure, rows):
        axes = rows[0]
        axes.bar(sizes, [r.underruns for r in results], width=4, color=LATE, label="underruns")
        axes.set_xlabel("buffer (ms)")
        axes.set_ylabel("underruns")
        other = axes.twinx()
        other.plot(sizes, [r.delay_ms for r in results], "o-", color=PLAYED, ms=4, label="delay")
        other.set_ylabel("mean delay in the buffer (ms)")
        other.set_ylim(bottom=0)
        other.grid(visible=False)
        other.spines["right"].set_visible(True)
        axes.set_title(f"A producer that is {jitter_ms:g} ms late on average")
        axes.legend(handles=[axes.containers[0], other.lines[0]], loc="upper center")
    worst, best = results[0], results[-1]
    return Picture(figure, f"From {worst} to {best}")


async def play(
    clip: Clip,
    buffer_ms: float,
    *,
    jitter_ms: float = 0,
    seed: int = 0,
    device: str | None = None,
    stop: asyncio.Event | None = None,
    ring: MakeRing | None = None,
) -> Played:
    """Play `clip` on the sound card through a ring of `buffer_ms`, until its end or `stop`.

    `ring` makes one of your own: `MyRing(capacity, channels)`.
    """
    from labkit.live.audio import Speaker
    from labkit.live.clock import now

    store = _ring(clip, buffer_ms, ring)
    producer = Producer(clip, store, jitter=ms(jitter_ms), seed=seed)
    producer.prefill()
    levels: list[int] = []
    block = min(store.capacity, clip.sample_rate // 100)
    with Speaker(store, clip.sample_rate, clip.channels, block, device) as speaker:
        start = now()
        while not (stop and stop.is_set()) and (not producer.finished or store.fill):
            if speaker.failure is not None:
                raise speaker.failure
            due = producer.deadline()
            wait = ms(5) if due is None else max(0, start + due - now())
            await asyncio.sleep(to_seconds(min(wait, ms(100))))
            levels.append(store.fill)
            producer.tick(now() - start)
        await asyncio.sleep(to_seconds(speaker.latency))
    return _played(clip, buffer_ms, store, levels)
