import random

import numpy as np
import pytest
from pystoi import stoi as pystoi

from labkit.core import quality
from labkit.core.quality import G711, G711_PLC, G729A, burst_ratio, idd, mos, r_factor, stoi
from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.units import ms

RATE = 48_000


def babble(seconds: float, channels: int = 1, seed: int = 1):
    """Noise whose loudness goes up and down four times a second, as that of speech does."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    loudness = 4000 * np.abs(np.sin(2 * np.pi * 2 * time))[:, np.newaxis]
    return np.round(rng.normal(0, 1, (len(time), channels)) * loudness).astype(np.int16)


# STOI --------------------------------------------------------------------------------------------


def test_stoi_is_what_pystoi_says():
    reference, other = babble(2), babble(2, seed=2)
    degraded = reference // 2 + other // 2
    theirs = pystoi(reference[:, 0].astype(float), degraded[:, 0].astype(float), RATE)
    assert stoi(reference, degraded, RATE) == theirs
    assert 0.2 < theirs < 0.95


def test_channels_are_mixed_down():
    reference = babble(1, channels=2)
    degraded = reference[:, ::-1]
    assert stoi(reference, degraded, RATE) == pytest.approx(1)


def test_silence_in_place_of_sound_costs_intelligibility():
    reference = babble(4)
    scores = []
    for every in (1000, 10, 4, 2):
        holes = reference.copy()
        for start in range(0, len(holes), 960 * every):
            holes[start : start + 960] = 0
        scores.append(stoi(reference, holes, RATE))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert scores[-1] < 0.8
    assert stoi(reference, np.zeros_like(reference), RATE) == 0


@pytest.mark.parametrize("seconds", [0, 0.001, 0.2, 0.405])
def test_too_little_speech_is_bad_input(seconds):
    with pytest.raises(BadInput):
        stoi(babble(seconds), babble(seconds), RATE)


def test_a_silent_reference_and_other_lengths_are_bad_input():
    with pytest.raises(BadInput, match="silence"):
        stoi(np.zeros((RATE, 1), np.int16), babble(1), RATE)
    with pytest.raises(BadInput, match="one length"):
        stoi(babble(1), babble(1.1), RATE)


# The E-model -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "loss", "codec", "r", "opinion"),
    [
        (0, 0.0, G711_PLC, 93.20, 4.409),
        (100, 0.02, G711_PLC, 83.79, 4.159),
        (200, 0.05, G729A, 57.40, 2.965),
    ],
)
def test_values_with_the_lines_of_cole_and_rosenbluth(delay, loss, codec, r, opinion):
    """Check values of the model as the literature on jitter buffers uses it."""
    rating = r_factor(
        ms(delay), loss, ie=codec.ie, bpl=codec.bpl, delay_cost=quality.cole_rosenbluth
    )
    assert rating == pytest.approx(r, abs=0.005)
    assert mos(rating) == pytest.approx(opinion, abs=0.0005)


def test_delay_costs_nothing_up_to_100_ms_and_then_more_and_more():
    """G.107's own formula: without echo, what is under 100 ms is not noticed."""
    assert idd(0) == idd(ms(100)) == 0
    assert idd(ms(100.001)) == pytest.approx(0, abs=1e-6)
    # 25 (2 ** (1/6) - 3 (1 + 3 ** -6) ** (1/6) + 2), worked by hand for X = 1
    assert idd(ms(200)) == pytest.approx(3.0444, abs=5e-5)
    costs = [idd(ms(delay)) for delay in range(100, 1000, 10)]
    assert costs == sorted(costs)
    assert r_factor(ms(99), 0) == r_factor(0, 0) == 93.2
    assert r_factor(ms(100), 0.02) == pytest.approx(93.2 - 95 * 2 / 27.1)


def test_the_scale_of_opinions_has_the_ends_of_annex_b():
    assert (mos(-1), mos(0), mos(100), mos(120)) == (1, 1, 4.5, 4.5)
    assert mos(3) == 1, "the polynomial alone would fall below 1"
    assert mos(6.6) > 1


@pytest.mark.parametrize(
    ("r", "opinion"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)]
)
def test_opinions_are_those_of_table_b1(r, opinion):
    """G.107 Annex B prints two digits, and 4.03 for what its formula makes 4.024."""
    assert mos(r) == pytest.approx(opinion, abs=0.0065)


def test_losses_in_a_row_cost_more_and_concealment_helps():
    alone = r_factor(0, 0.05, bpl=G711.bpl)
    assert r_factor(0, 0.05, bpl=G711.bpl, burst_ratio=2) < alone
    assert r_factor(0, 0.05, bpl=G711_PLC.bpl) > alone
    assert r_factor(ms(2000), 1) == 0


@pytest.mark.parametrize(("bitrate", "ie"), [(24_000, 8.6), (32_000, 7.3), (64_000, 4.1)])
def test_opus_by_bitrate(bitrate, ie):
    plain, protected = quality.opus(bitrate), quality.opus(bitrate, fec=True)
    assert plain.ie == pytest.approx(ie, abs=0.05)
    assert (plain.bpl, protected.bpl) == (10, 20)
    assert "heuristic" in plain.source
    assert quality.opus(510_000).ie == 0


@pytest.mark.parametrize("wrong", [(-1, 0), (0, 1.5), (0, -0.1)])
def test_loss_is_a_fraction_and_delay_is_not_negative(wrong):
    with pytest.raises(LocalProtocolError):
        r_factor(*wrong)


def test_burst_ratio_of_small_patterns():
    assert burst_ratio([]) == burst_ratio([False] * 5) == burst_ratio([True] * 5) == 1
    assert burst_ratio([True, False] * 5) == 0.5, "more evenly spread than chance"
    # two runs of two among eight: 2 * (1 - 4 / 8)
    assert burst_ratio([True, True, False, False] * 2) == 1


@pytest.mark.parametrize(("enter", "leave"), [(0.05, 0.95), (0.02, 0.25), (0.1, 0.5)])
def test_burst_ratio_of_a_two_state_channel(enter, leave):
    """G.107: BurstR = 1 / (p + q) when losses begin with p and end with q."""
    rng, lost, pattern = random.Random(4), False, []
    for _ in range(200_000):
        lost = rng.random() < enter if not lost else rng.random() >= leave
        pattern.append(lost)
    assert burst_ratio(pattern) == pytest.approx(1 / (enter + leave), rel=0.03)
