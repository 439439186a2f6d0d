"""Sound cards in virtual time: blocks when their own clock says so."""

import numpy as np
import pytest

from labkit.core.ringbuffer import RingBuffer
from labkit.sim.devices import Microphone, Speaker
from labkit.sim.world import World
from labkit.words.errors import LocalProtocolError
from labkit.words.machine import Machine
from labkit.words.units import ms, seconds


def ramp(samples: int) -> np.ndarray:
    """Every sample differs from its neighbours: shape (samples, 1)."""
    return (np.arange(samples) % 30_000).astype(np.int16).reshape(-1, 1)


class Heard:
    """A callback that keeps what it gets."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []
        self.times: list[int] = []

    def __call__(self, samples, now):
        self.blocks.append(samples)
        self.times.append(now)


def test_both_are_machines():
    assert isinstance(Microphone(ramp(10), Heard()), Machine)
    assert isinstance(Speaker(RingBuffer(10, 1)), Machine)


def test_a_block_is_handed_over_when_its_last_sample_was_recorded():
    heard = Heard()
    world = World()
    world.add(Microphone(ramp(2880), heard))
    world.run()
    assert heard.times == [ms(20), ms(40), ms(60)]
    assert np.array_equal(np.concatenate(heard.blocks), ramp(2880))


def test_the_last_block_is_filled_up_with_silence():
    heard = Heard()
    world = World()
    world.add(Microphone(ramp(1000), heard, start=ms(5)))
    world.run()
    assert heard.times == [ms(25), ms(45)]
    assert heard.blocks[1].shape == (960, 1)
    assert not heard.blocks[1][40:].any()


def test_a_speaker_plays_what_the_microphone_recorded():
    ring = RingBuffer(9600, 1)
    world = World()
    speaker = Speaker(ring, start=ms(20), stop_after=50)
    world.add(Microphone(ramp(48_000), lambda samples, now: ring.write(samples)))
    world.add(speaker)
    world.run()
    assert np.array_equal(speaker.heard, ramp(48_000))
    assert ring.underruns == 0


def test_a_speaker_that_started_too_early_underruns_before_it_gets_anything():
    """The blocks of both come at the same instants; the speaker's is asked for first."""
    ring = RingBuffer(9600, 1)
    world = World()
    speaker = Speaker(ring, stop_after=3)
    world.add(speaker)
    world.add(Microphone(ramp(2880), lambda samples, now: ring.write(samples)))
    world.run()
    assert not speaker.heard[:960].any()
    assert np.array_equal(speaker.heard[960:], ramp(1920))


def test_clocks_200_ppm_apart_drift_by_the_arithmetic():
    """In an hour, 720 ms: the fast speaker drinks 34 560 samples more than the microphone gives."""
    ring = RingBuffer(48_000 * 2, 1)
    ring.write(np.ones((48_000, 1), np.int16))
    silence = np.zeros((48_000 * 3600, 1), np.int16)
    world = World()
    world.add(Microphone(silence, lambda samples, now: ring.write(samples)))
    world.add(Speaker(ring, ppm=200))
    world.run(until=seconds(3600))
    assert ring.fill == 48_000 - 34_560
    assert ring.underruns == ring.overruns == 0


def test_a_slow_speaker_lets_the_ring_fill():
    ring = RingBuffer(48_000, 1)
    world = World()
    world.add(Microphone(ramp(480_000), lambda samples, now: ring.write(samples), ppm=500))
    world.add(Speaker(ring, ppm=-500))
    world.run(until=seconds(10))
    assert ring.fill == pytest.approx(10 * 48_000 * 0.001, abs=960)


def test_blocks_do_not_drift_against_their_own_clock():
    """The instants of an hour of blocks at 44.1 kHz are computed from zero: no error adds up."""
    card = Speaker(RingBuffer(10, 1), block=441, sample_rate=44_100, ppm=100)
    assert card.instant(360_000) == pytest.approx(seconds(3600) / 1.0001, abs=1)


def test_nothing_was_heard_yet():
    assert Speaker(RingBuffer(10, 2)).heard.shape == (0, 1)


def test_a_card_that_stands_still_is_refused():
    with pytest.raises(LocalProtocolError, match="stands still"):
        Speaker(RingBuffer(10, 1), ppm=-1_000_000)
