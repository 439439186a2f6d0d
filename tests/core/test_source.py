"""Sources: read to the end, and once more."""

import numpy as np
import pytest

from labkit.core.naive import NaiveBuffer
from labkit.core.source import Clip, Looped, tone
from labkit.words.packet import Packet


def counting(length: int) -> Clip:
    return Clip(np.arange(length, dtype=np.int16))


def test_a_clip_gives_everything_once_and_then_none() -> None:
    """The last piece is as long as what is left."""
    clip = counting(25)
    assert [len(clip.read(10)) for _ in range(3)] == [10, 10, 5]
    assert clip.read(10) is None
    assert len(clip.rewound().read(100)) == 25


def test_a_clip_has_shape_samples_by_channels() -> None:
    """One-dimensional samples are one channel."""
    assert counting(4).read(4).shape == (4, 1)
    assert Clip(np.zeros((4, 2), np.int16)).channels == 2


def test_a_looped_clip_never_ends() -> None:
    """After the last sample comes the first."""
    looped = Looped(counting(3))
    heard = np.concatenate([looped.read(2) for _ in range(4)]).ravel()
    assert list(heard) == [0, 1, 2, 0, 1, 2]


def test_a_tone_has_its_frequency_and_its_level() -> None:
    """The peak of the spectrum of one second lies at 440 Hz, a quarter of full scale high."""
    clip = tone(440, 1, channels=2)
    samples = clip.read(48_000)
    assert samples.shape == (48_000, 2)
    assert np.argmax(np.abs(np.fft.rfft(samples[:, 0]))) == 440
    assert np.abs(samples).max() == pytest.approx(32767 / 4, abs=2)


def test_the_naive_buffer_plays_the_newest_once() -> None:
    """Two packets in one turn: the older one is gone; none: silence."""
    buffer = NaiveBuffer()
    assert buffer.pull(0) is None
    buffer.push(Packet(1, 0, b"a"), 1)
    buffer.push(Packet(2, 960, b"b"), 2)
    assert len(buffer) == 1
    assert buffer.pull(3).seq == 2
    assert buffer.pull(4) is None
