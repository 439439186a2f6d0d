import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.playout import DriftEstimator, Playout, Resampler
from labkit.core.ringbuffer import RingBuffer
from labkit.words.errors import LocalProtocolError
from labkit.words.units import NS_PER_S, ms, seconds

RATE = 48_000


def noise(samples: int, channels: int = 1, seed: int = 1):
    return np.random.default_rng(seed).integers(-9000, 9000, (samples, channels)).astype(np.int16)


def tone(samples: int, hertz: float, rate: float = RATE):
    return (12_000 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).reshape(-1, 1)


# Drift -------------------------------------------------------------------------------------------

LATENESS = {
    "exponential": lambda rng: rng.expovariate(1 / 0.010),
    "even": lambda rng: rng.uniform(0, 0.020),
}


def estimated(ppm: float, lateness, seed: int, duration_s: int) -> float | None:
    """What is estimated from packets of 20 ms of a clock that is `ppm` fast."""
    rng, arrivals = random.Random(seed), []
    for number in range(duration_s * 50):
        sent = number * 0.020 / (1 + ppm * 1e-6)
        arrivals.append((seconds(1e6) + round((sent + lateness(rng)) * NS_PER_S), number * 960))
    estimator = DriftEstimator(RATE)
    for now, timestamp in sorted(arrivals):
        estimator.add(timestamp, now)
    return estimator.ppm


@pytest.mark.parametrize("lateness", LATENESS)
@pytest.mark.parametrize("ppm", [-200, 0, 50])
def test_a_minute_of_10_ms_jitter_is_enough_for_5_ppm(lateness, ppm):
    for seed in range(8):
        assert estimated(ppm, LATENESS[lateness], seed, 60) == pytest.approx(ppm, abs=5)


def test_no_estimate_before_twenty_seconds():
    assert estimated(100, LATENESS["even"], 1, 19) is None
    assert estimated(100, LATENESS["even"], 1, 23) is not None


def test_a_card_that_reads_in_blocks_is_measured_too():
    """Consumption in steps of 1024 samples, looked at every 20 ms, is lateness like any other."""
    estimator, ppm = DriftEstimator(RATE), 80
    for number in range(50 * 120):
        now = ms(20) * number
        consumed = int(now * RATE * (1 + ppm * 1e-6) / NS_PER_S)
        estimator.add(consumed - consumed % 1024, now)
    assert estimator.ppm == pytest.approx(ppm, abs=5)


# Resampling --------------------------------------------------------------------------------------


def test_nothing_passes_through_untouched():
    resampler, block = Resampler(2), noise(960, 2)
    assert resampler.process(block, 0.0) is block
    assert resampler.process(noise(0, 2), 0.0).shape == (0, 2)


@pytest.mark.parametrize("ppm", [-500, -37.5, 1, 200])
def test_the_length_is_right_to_a_sample_after_a_minute(ppm):
    """Two samples are held back, none is lost between blocks."""
    resampler = Resampler(1)
    made = sum(len(resampler.process(noise(960), ppm)) for _ in range(3000))
    assert made == pytest.approx(3000 * 960 * (1 + ppm * 1e-6) - 2, abs=1)


@given(
    cuts=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    ppm=st.sampled_from([-500.0, -3.0, 0.0, 0.4, 250.0]),
    channels=st.sampled_from([1, 2]),
)
def test_any_cutting_gives_the_same_sound(cuts, ppm, channels):
    sound = noise(sum(cuts), channels)
    whole = Resampler(channels).process(sound, ppm)
    resampler, parts, start = Resampler(channels), [], 0
    for cut in cuts:
        parts.append(resampler.process(sound[start : start + cut], ppm))
        start += cut
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("hertz", "decibels"), [(440, 85), (1000, 80), (4000, 50)])
def test_a_tone_stays_a_tone_without_clicks(hertz, decibels):
    """Against the sine of the shifted pitch; 86 dB is the noise of rounding twice to 16 bits."""
    resampler, ppm = Resampler(1), 200
    sound = np.round(tone(RATE * 4, hertz)).astype(np.int16)
    blocks = [resampler.process(sound[at : at + 960], ppm) for at in range(0, len(sound), 960)]
    made = np.concatenate(blocks).astype(float)
    ideal = tone(len(made), hertz, RATE * (1 + ppm * 1e-6))
    error = made - ideal
    assert 10 * np.log10((ideal**2).mean() / (error[:-4] ** 2).mean()) > decibels


def test_changes_of_ppm_make_no_click():
    """No step is larger than those of the tone itself, whatever each block is asked for."""
    resampler, rng, blocks = Resampler(1), random.Random(2), []
    sound = np.round(tone(RATE * 2, 300)).astype(np.int16)
    for at in range(0, len(sound), 480):
        ppm = rng.choice([0.0, 0.0, 500.0, -500.0, 13.0])
        blocks.append(resampler.process(sound[at : at + 480], ppm))
    made = np.concatenate(blocks).astype(int)
    assert np.abs(np.diff(made[:, 0])).max() <= np.abs(np.diff(sound[:, 0].astype(int))).max() + 2


def test_the_loudest_sound_is_cut_off_and_does_not_turn_around():
    square = np.where(np.arange(960) // 24 % 2, 32767, -32768).astype(np.int16).reshape(-1, 1)
    made = Resampler(1).process(square, 400).astype(int)
    assert made.max() == 32767
    assert made.min() == -32768
    assert ((np.abs(made) > 20_000).mean()) > 0.9


# The whole ---------------------------------------------------------------------------------------


class Card:
    """A sound card in virtual time: reads a block whenever one has been played."""

    def __init__(self, ring: RingBuffer, rate: int, block: int, ppm: float, *, tells: bool) -> None:
        self.ring = ring
        self.heard: list[np.ndarray] = []
        self._out = np.empty((block, ring.channels), np.int16)
        self._period = block * NS_PER_S / (rate * (1 + ppm * 1e-6))
        self._tells = tells
        self._reads = 0

    def run_until(self, now: int, *, keep: bool = False) -> None:
        while (due := round((self._reads - 0.63) * self._period)) <= now:
            self.ring.read_into(self._out, due if self._tells else None)
            self._reads += 1
            if keep:
                self.heard.append(self._out.copy())


def levels(ppm: float, minutes: float, *, tells: bool, rate=8000, block=160, card_block=160):
    """The ring's fill at each write, and the playout, after so many minutes."""
    ring = RingBuffer(8 * block, 1)
    playout = Playout(ring, 2 * block, sample_rate=rate)
    card = Card(ring, rate, card_block, ppm, tells=tells)
    sound, fills = noise(block), []
    for number in range(int(minutes * 60 * rate / block)):
        now = number * block * NS_PER_S // rate
        card.run_until(now)
        fills.append(ring.fill)
        playout.write(sound, now)
    return np.array(fills[1:]) - playout.target, playout


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_card_200_ppm_off_for_an_hour_leaves_the_level_where_it_was(ppm):
    """180 000 blocks: the level within one block of its target, no gap, and the drift learnt."""
    off, playout = levels(ppm, 60, tells=True)
    assert np.abs(off).max() < 160
    assert (playout.ring.underruns, playout.ring.overruns, playout.skipped) == (0, 0, 0)
    first, last = off[10_000:90_000].mean(), off[90_000:].mean()
    assert abs(first - last) < 2, "no drift in the delay, in samples of 125 µs"
    assert playout.drift == pytest.approx(ppm, abs=1)


@pytest.mark.parametrize("ppm", [200, -200, 5])
def test_a_card_that_does_not_tell_when_it_reads_is_held_too(ppm):
    off, playout = levels(ppm, 15, tells=False)
    assert np.abs(off).max() <= 161
    assert (playout.ring.underruns, playout.ring.overruns, playout.skipped) == (0, 0, 0)


def test_a_card_with_odd_blocks_is_held_too():
    off, playout = levels(-120, 15, tells=True, card_block=185)
    assert np.abs(off).max() < 185
    assert playout.ring.underruns == 0


def test_without_correction_the_same_card_runs_dry():
    """The control: 200 ppm drink 40 ms in 200 seconds."""
    ring = RingBuffer(1280, 1)
    card = Card(ring, 8000, 160, 200, tells=False)
    ring.write(noise(320))
    for number in range(50 * 240):
        card.run_until(number * ms(20))
        ring.write(noise(160)) if ring.free >= 160 else None
    assert ring.underruns > 0


def test_clocks_that_agree_leave_every_sample_as_it_is():
    ring = RingBuffer(RATE, 2)
    playout = Playout(ring, 1920)
    card = Card(ring, RATE, 960, 0, tells=True)
    rng, sound = random.Random(3), noise(960 * 500, 2)
    for number in range(500):
        now = ms(20) * number
        card.run_until(now, keep=True)
        playout.write(sound[number * 960 : number * 960 + 960], now + rng.randrange(ms(1)))
    heard = np.concatenate(card.heard)
    start = int(np.flatnonzero(heard.any(axis=1))[0])
    assert playout.ppm == 0
    assert np.array_equal(heard[start:], sound[: len(heard) - start])
    before = 960  # the card read one block before there was any sound
    assert abs(start - before - 1920) <= 480, "then the target, to half a block of the card"


def test_a_ring_that_ran_dry_is_filled_up_to_its_target_again():
    ring = RingBuffer(RATE, 1)
    playout = Playout(ring, 1920)
    playout.write(noise(960), 0)
    assert ring.fill == 1920 + 960
    ring.read(4000)
    assert ring.underruns == 1
    playout.write(noise(960), ms(100))
    assert ring.fill == 1920 + 960
    ring.read(960)
    playout.write(noise(960), ms(120))
    assert ring.fill == 1920 + 960, "and only once for each gap"


def test_a_burst_after_a_stall_is_cut_at_twice_the_target():
    ring = RingBuffer(RATE, 1)
    playout = Playout(ring, 1920)
    for _ in range(20):
        playout.write(noise(960), 0)
    assert 2 * 1920 <= ring.fill <= 2 * 1920 + 960
    assert playout.skipped == 20 * 960 - (ring.fill - 1920)


def test_the_end_is_no_underrun_and_sound_may_begin_again():
    ring = RingBuffer(RATE, 1)
    playout = Playout(ring, 1920)
    playout.write(noise(960), 0)
    playout.finish()
    ring.read(9000)
    assert ring.underruns == 0
    playout.write(noise(960), seconds(5))
    assert (ring.fill, ring.underruns) == (1920 + 960, 0)


@pytest.mark.parametrize("target", [0, -1, RATE])
def test_a_target_that_does_not_fit_the_ring_is_refused(target):
    with pytest.raises(LocalProtocolError):
        Playout(RingBuffer(RATE, 1), target)
