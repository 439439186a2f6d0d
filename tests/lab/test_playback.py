"""A small buffer against a late producer, in virtual time."""

import numpy as np
import pytest

from labkit.core.source import tone
from labkit.lab import playback
from labkit.lab.ownring import OwnRing
from labkit.words.errors import BadInput
from labkit.words.format import Samples


def test_a_larger_buffer_costs_delay_and_saves_underruns() -> None:
    """The trade of week 2, monotonous in both directions."""
    results = playback.sweep(tone(440, 10), jitter_ms=10, seed=1)
    underruns = [r.underruns for r in results]
    delays = [r.delay_ms for r in results]
    assert underruns == sorted(underruns, reverse=True)
    assert underruns[0] > 50
    assert underruns[-1] == 0
    assert delays == sorted(delays)
    assert playback.picture(results, 10).png().startswith(b"\x89PNG")


def test_a_punctual_producer_needs_a_frame_and_a_block() -> None:
    """Room for the 20 ms that come while the 10 ms before them are still being played."""
    assert playback.simulate(tone(440, 5), 30).underruns == 0


def test_eighty_milliseconds_survive_an_ordinary_machine() -> None:
    """A producer that is 4 ms late on average never empties 80 ms."""
    assert playback.simulate(tone(440, 30), 80, jitter_ms=4).underruns == 0


def test_a_buffer_smaller_than_a_frame_is_refused() -> None:
    """It could never take one."""
    with pytest.raises(BadInput, match="--buffer-ms 20"):
        playback.simulate(tone(440, 1), 10)


class Lists:
    """A ring of one's own, as a student may write it: a list, and three counts."""

    def __init__(self, capacity: int, channels: int) -> None:
        self.capacity, self.channels = capacity, channels
        self.rows: list[list[int]] = []
        self.counts = [0, 0, 0]
        self.flowing = self.starving = False

    def __len__(self) -> int:
        return len(self.rows)

    def write(self, samples: Samples) -> int:
        stored = min(len(samples), self.capacity - len(self.rows))
        self.rows += samples[:stored].tolist()
        self.counts[2] += len(samples) - stored
        self.flowing |= stored > 0
        return stored

    def read(self, count: int) -> Samples:
        out = np.zeros((count, self.channels), np.int16)
        taken = self.rows[:count]
        del self.rows[:count]
        out[: len(taken)] = np.reshape(taken, (-1, self.channels))
        if len(taken) < count and self.flowing:
            self.counts[0] += bool(taken) or not self.starving
            self.counts[1] += count - len(taken)
        self.starving = len(taken) < count
        return out

    def finish(self) -> None:
        self.flowing = False

    def figures(self) -> tuple[int, int, int]:
        return (self.counts[0], self.counts[1], self.counts[2])


@pytest.mark.parametrize("buffer_ms", [20, 40])
def test_a_ring_of_ones_own_plays_what_the_kits_plays(buffer_ms: float) -> None:
    """Sound and counts, under the same jitter."""
    voice = tone(440, 2)
    mine = playback.simulate(voice, buffer_ms, jitter_ms=10, seed=3, ring=Lists)
    kits = playback.simulate(voice, buffer_ms, jitter_ms=10, seed=3)
    assert mine == kits
    assert mine.underruns > 0
    assert mine.heard is not None
    assert kits.heard is not None
    assert np.array_equal(mine.heard.samples, kits.heard.samples)


def test_a_ring_that_gives_no_sound_is_told_what_sound_is() -> None:
    class Short(Lists):
        def read(self, count: int) -> Samples:
            return super().read(count)[: count - 1]

    with pytest.raises(BadInput, match=r"shape \(480, 1\), with zeros"):
        playback.simulate(tone(440, 1), 40, ring=Short)


def test_a_full_ring_of_ones_own_tells_what_it_dropped() -> None:
    ring = OwnRing(Lists(8, 1), 8, 1)
    assert ring.write(np.ones((11, 1), np.int16)) == 8
    assert (ring.fill, ring.free, ring.overrun_samples, ring.started) == (8, 0, 3, True)
    assert ring.read(8).sum() == 8
    ring.finish()
    assert not ring.started
