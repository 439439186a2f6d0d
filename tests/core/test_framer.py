import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.framer import Framer
from labkit.words.errors import LocalProtocolError


def counting(samples: int, channels: int = 1):
    """Samples that tell where they belong: 0, 1, 2, …"""
    return np.arange(samples * channels, dtype=np.int16).reshape(samples, channels)


def test_odd_blocks_become_even_frames():
    """Two blocks of 441 samples make one frame of 480 and leave 402 waiting."""
    framer = Framer(480, 1)
    assert framer.push(counting(441)) == []
    (frame,) = framer.push(counting(441))
    assert frame.timestamp == 0
    assert frame.samples.shape == (480, 1)
    assert framer.waiting == 402


@given(
    cuts=st.lists(st.integers(0, 700), max_size=30),
    channels=st.sampled_from([1, 2]),
    frame=st.integers(1, 300),
)
def test_any_cutting_gives_the_same_frames(cuts, channels, frame):
    """Frames do not depend on how the stream was cut into blocks."""
    sound = counting(sum(cuts), channels)
    framer, frames, start = Framer(frame, channels), [], 0
    for cut in cuts:
        frames += framer.push(sound[start : start + cut])
        start += cut
    frames += framer.flush()

    assert [f.timestamp for f in frames] == [n * frame for n in range(len(frames))]
    assert all(f.samples.shape == (frame, channels) for f in frames)
    joined = np.concatenate([np.empty((0, channels), np.int16), *(f.samples for f in frames)])
    assert len(joined) - len(sound) < frame
    assert np.array_equal(joined[: len(sound)], sound)
    assert not joined[len(sound) :].any(), "the last frame is filled up with silence"


def test_a_frame_outlives_the_block_it_came_from():
    """A callback's block is overwritten as soon as it returns."""
    block = counting(480)
    (frame,) = Framer(480, 1).push(block)
    block[:] = -1
    assert np.array_equal(frame.samples, counting(480))


def test_timestamps_wrap_at_32_bits():
    framer = Framer(960, 1, first_timestamp=2**32 - 960)
    assert [f.timestamp for f in framer.push(counting(1920))] == [2**32 - 960, 0]


def test_flush_of_nothing_is_no_frame_and_time_goes_on_after_a_flush():
    framer = Framer(960, 1)
    assert framer.flush() == []
    framer.push(counting(1))
    assert [f.timestamp for f in framer.flush()] == [0]
    assert framer.flush() == []
    assert [f.timestamp for f in framer.push(counting(960))] == [960]


@pytest.mark.parametrize("shape", [(960,), (960, 2), (1, 960, 1)])
def test_sound_of_another_shape_is_refused(shape):
    """NumPy would stretch one channel over two without a word."""
    with pytest.raises(LocalProtocolError, match="shape"):
        Framer(960, 1).push(np.zeros(shape, np.int16))


def test_a_long_block_costs_in_proportion_to_its_length():
    """No sample is copied twice: frames are made in place, none is cut off a growing array."""
    framer = Framer(960, 1)
    frames = framer.push(np.zeros((960 * 500, 1), np.int16))
    assert len(frames) == 500
    assert all(frame.samples.base is None for frame in frames), "each owns its memory"
