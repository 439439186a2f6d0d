"""What week 2 expects, beside the kit's own ring, its estimator, and the clocks it made up."""

from random import Random

import numpy as np
import pytest

from labkit.checks import clocks
from labkit.checks.rings import FRAME, Row, noise, played
from labkit.core.playout import DriftEstimator
from labkit.core.ringbuffer import RingBuffer
from labkit.lab.answers import ANSWERS
from labkit.lab.captures import capture
from labkit.words.seqnum import Unwrapper
from labkit.words.units import ms


@pytest.mark.parametrize("seed", range(5))
def test_the_kits_ring_keeps_the_same_accounts(seed):
    """Whatever is done to both, in any order."""
    rng = Random(seed)
    capacity, channels = rng.randrange(1, 30), rng.randrange(1, 3)
    row, ring = Row(capacity, channels), RingBuffer(capacity, channels)
    for _ in range(400):
        deed = rng.choice(("write", "write", "read", "read", "read", "finish"))
        if deed == "write":
            samples = noise(rng, rng.randrange(20), channels)
            assert row.write(samples) == ring.write(samples)
        elif deed == "read":
            count = rng.randrange(1, 20)
            assert np.array_equal(row.read(count), ring.read(count))
        elif rng.random() < 0.1:
            row.finish()
            ring.finish()
        assert len(row) == ring.fill
        assert row.figures() == (ring.underruns, ring.underrun_samples, ring.overrun_samples)
    assert min(row.figures()) > 0


def through_the_kits(written, read, block, waiting):
    """Reads that find too little in the kit's ring, which has room for everything."""
    ring = RingBuffer(100 * FRAME, 1)
    ring.write(np.ones((waiting, 1), np.int16))
    events = sorted([(when, 0) for when in written] + [(when, 1) for when in read])
    out, short = np.zeros((block, 1), np.int16), 0
    for _, card in events:
        if card:
            short += ring.read_into(out) < block
        else:
            assert ring.write(np.ones((FRAME, 1), np.int16)) == FRAME
    return short


@pytest.mark.parametrize("block", [256, 480, 1024])
@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_buffer_is_the_smallest_for_the_kits_ring(seed, block):
    rng = Random(seed)
    written = clocks.busy(rng, 60, ms(9)) if seed else clocks.stalled(rng, 60, ms(120))
    read = clocks.calls(60, block, rng.randrange(ms(10)))
    least = clocks.smallest(written, FRAME, read, block)
    assert through_the_kits(written, read, block, least) == 0
    assert through_the_kits(written, read, block, least - 1) > 0
    for waiting in (0, least // 2):
        found = clocks.short_reads(written, FRAME, read, block, waiting)
        assert found == through_the_kits(written, read, block, waiting) > 0


def test_what_is_promised_is_kept_and_not_much_too_large():
    """Frames late by any time up to a limit; a card that begins when the first is due."""
    rng, worst, most = Random(2), 0, 0
    late, block = 17, 441  # a block that has no common beat with a frame
    promised = 48 * late + block
    for _ in range(300):
        written = [n * ms(20) + rng.choice((0, ms(late))) for n in range(40)]
        written[0] = 0
        read = clocks.calls(40, block)
        worst = max(worst, clocks.smallest(written, FRAME, read, block))
        before = [sum(each < when for each in read) for when in written]
        room = ((n + 1) * FRAME - block * taken for n, taken in enumerate(before))
        most = max(most, promised + max(room))
    assert promised - 60 <= worst <= promised
    assert most == promised + FRAME


@pytest.mark.parametrize("ppm", [-150, 80])
def test_the_kits_estimator_finds_the_same_drift(ppm):
    """Of clocks that were made up, also where a network fills."""
    rng = Random(ppm)
    for stamps in (
        clocks.stream(rng, ppm, jitter=ms(2)),
        clocks.filled(rng, clocks.stream(rng, ppm, jitter=ms(1), packets=2990), ms(25)),
        clocks.stream(rng, ppm, jitter=ms(1), first=2**32 - 500_000),
    ):
        assert clocks.slope(stamps) == pytest.approx(ppm, abs=15)
        estimator, unwrapped = DriftEstimator(clocks.RATE), Unwrapper(32)
        for stamp, now in stamps:
            estimator.add(unwrapped(stamp), now)
        assert estimator.ppm == pytest.approx(ppm, abs=15)


def test_the_captures_drift_is_that_of_its_answer():
    found = clocks.slope(clocks.captured())
    assert found == pytest.approx(274, abs=6), "the clock that it was taken with"
    assert found == pytest.approx(ANSWERS["drift_ppm"](capture("02_drift")).value, abs=15)


def test_the_voice_meets_a_full_and_an_empty_ring():
    """Or the last exercise would prove nothing."""
    voice = noise(Random(1), 75 * FRAME, 1)
    row, capacity = played(voice, 25, 12, 3)
    assert capacity == 1200
    assert row.figures()[0] > 10
    row, _ = played(voice, 45, 0, 3)
    assert row.figures() == (0, 0, 0)
    heard = np.concatenate([deed.returns for deed in row.deeds if deed.name == "read"])
    assert np.array_equal(heard[: len(voice)], voice)
