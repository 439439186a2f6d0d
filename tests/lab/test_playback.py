"""A small buffer against a late producer, in virtual time."""

import pytest

from labkit.core.source import tone
from labkit.lab import playback
from labkit.words.errors import BadInput


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
