import sys
import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.ringbuffer import RingBuffer
from labkit.words.errors import LocalProtocolError


def mono(*values: int):
    return np.array(values, np.int16).reshape(-1, 1)


def test_what_goes_in_comes_out_across_the_joint():
    ring = RingBuffer(5, 1)
    for start in range(0, 30, 3):
        assert ring.write(mono(start, start + 1, start + 2)) == 3
        assert ring.read(3).ravel().tolist() == [start, start + 1, start + 2]
    assert (ring.underruns, ring.overruns) == (0, 0)


def test_a_full_ring_keeps_what_it_has_and_counts_what_it_drops():
    ring = RingBuffer(4, 1)
    assert ring.write(mono(1, 2, 3)) == 3
    assert ring.write(mono(4, 5, 6)) == 1
    assert (ring.fill, ring.free) == (4, 0)
    assert (ring.overruns, ring.overrun_samples) == (1, 2)
    assert ring.read(4).ravel().tolist() == [1, 2, 3, 4]


def test_what_is_missing_is_silence_and_counted():
    ring = RingBuffer(8, 2)
    ring.write(np.ones((3, 2), np.int16))
    out = np.full((5, 2), 99, np.int16)
    assert ring.read_into(out) == 3
    assert out.tolist() == [[1, 1]] * 3 + [[0, 0]] * 2
    assert (ring.underruns, ring.underrun_samples) == (1, 2)


def test_one_gap_is_one_underrun_however_many_reads_it_lasts():
    ring = RingBuffer(8, 1)
    ring.write(mono(1))
    for _ in range(4):
        ring.read(2)
    assert (ring.underruns, ring.underrun_samples) == (1, 7)
    ring.write(mono(1, 2, 3))
    ring.read(2)
    ring.read(2)  # the next gap begins in the middle of this read
    assert (ring.underruns, ring.underrun_samples) == (2, 8)


def test_silence_before_the_first_sample_and_after_the_last_is_no_glitch():
    ring = RingBuffer(8, 1)
    ring.read(4)
    assert not ring.started
    ring.write(mono(1, 2, 3))
    assert ring.started
    ring.finish()
    assert ring.read(4).ravel().tolist() == [1, 2, 3, 0]
    ring.read(4)
    assert (ring.underruns, ring.underrun_samples) == (0, 0)
    ring.write(mono(1))
    ring.read(2)
    assert (ring.underruns, ring.underrun_samples) == (1, 1), "a new stretch of sound counts again"


@given(
    capacity=st.integers(1, 20),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=60),
)
def test_against_a_deque(capacity, steps):
    """Any order of writes and reads gives what a bounded deque gives."""
    ring, model = RingBuffer(capacity, 1), deque()
    counter = overruns = missing = 0
    started = False
    for is_write, count in steps:
        if is_write:
            block = list(range(counter, counter + count))
            counter += count
            room = capacity - len(model)
            model.extend(block[:room])
            overruns += count > room
            started |= count > 0 and room > 0
            assert ring.write(mono(*block)) == min(count, room)
        else:
            expected = [model.popleft() for _ in range(min(count, len(model)))]
            if started:
                missing += count - len(expected)
            expected += [0] * (count - len(expected))
            assert ring.read(count).ravel().tolist() == expected
        assert (ring.fill, ring.free) == (len(model), capacity - len(model))
    assert ring.overruns == overruns
    assert ring.underrun_samples == missing


@pytest.fixture
def nervous_threads():
    """Threads change places a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


def test_a_writer_and_a_reader_in_two_threads_lose_and_double_nothing(nervous_threads):
    """Sixty thousand samples cross in odd blocks through a ring of 331, in order."""
    ring, total = RingBuffer(331, 1), 60_000
    sound = (np.arange(total) % 30_011).astype(np.int16).reshape(-1, 1)
    heard: list[np.ndarray] = []

    def write() -> None:
        at = 0
        while at < total:
            room = min(ring.free, 137, total - at)
            at += ring.write(sound[at : at + room])

    writer = threading.Thread(target=write)
    writer.start()
    got = 0
    while got < total:
        out = np.empty((129, 1), np.int16)
        count = ring.read_into(out)
        heard.append(out[:count])
        got += count
    writer.join()
    assert np.array_equal(np.concatenate(heard), sound)
    assert ring.overruns == 0


def test_a_reader_may_say_when_it_reads():
    ring = RingBuffer(8, 1)
    ring.read(2)
    assert ring.last_read is None
    ring.read_into(np.empty((3, 1), np.int16), 1234)
    assert ring.last_read == (3, 1234)


def test_wrong_shapes_and_sizes_are_refused():
    with pytest.raises(LocalProtocolError, match="shape"):
        RingBuffer(8, 2).write(mono(1, 2))
    with pytest.raises(LocalProtocolError, match="holds nothing"):
        RingBuffer(0, 1)
