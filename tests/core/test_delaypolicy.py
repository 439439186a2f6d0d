"""Delay policies: what each does to a line, and what the adaptive one promises on the traces."""

import importlib.util
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from labkit.core.delaypolicy import Adaptive, Fixed, WindowedMinimum
from labkit.core.delayscore import replay
from labkit.core.jitterbuffer import JitterBuffer
from labkit.core.referencepolicies import FourJitter, NetEqLike, Percentile, Ramjee1, Ramjee4
from labkit.resources import trace_names, trace_path
from labkit.words.delaytrace import parse_delay_trace
from labkit.words.units import ms, seconds

ROOT = Path(__file__).parents[2]
FRAME = ms(20)


def load(path):
    """A script of the repository that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def feed(policy, transits, start=0):
    """Let the policy see one transit (ms) every 20 ms; the line after each, in ms."""
    line = []
    for number, transit in enumerate(transits):
        policy.observe(ms(transit), start + number * FRAME)
        line.append(policy.target() / ms(1))
    return line


# The smallest transit -----------------------------------------------------------------------------


def test_the_windowed_minimum_is_that_of_the_window_to_a_tenth():
    rng = random.Random(3)
    minimum = WindowedMinimum(seconds(10))
    values = []
    for number in range(5000):
        now = number * FRAME
        values.append(rng.randrange(1000) + 300 * (number // 700 % 3))
        minimum.add(values[-1], now)
        window = seconds(10) // FRAME
        assert min(values[-int(1.1 * window) - 1 :]) <= minimum.value
        assert minimum.value <= min(values[-int(0.9 * window) :])


def test_after_a_long_silence_the_windowed_minimum_has_forgotten():
    minimum = WindowedMinimum(seconds(10))
    minimum.add(5, 0)
    minimum.add(9, seconds(30))
    assert minimum.value == 9


def test_fixed_stays_its_delay_above_the_empty_network():
    rng = random.Random(1)
    line = feed(Fixed(ms(60)), [rng.uniform(0, 30) for _ in range(1000)] + [-5.0] * 3)
    assert all(55 <= height < 62 for height in line[100:])
    assert line[-1] == 55


def test_fixed_follows_a_clock_that_drifts():
    line = feed(Fixed(ms(60)), [n * 0.004 for n in range(20_000)])
    assert all(-2.3 < height - 60 - n * 0.004 <= 0 for n, height in enumerate(line))


# The adaptive one ---------------------------------------------------------------------------------


def test_adaptive_starts_in_the_middle_and_comes_down_in_a_quiet_network():
    line = feed(Adaptive(), [0.0] * 1000)
    assert 40 < line[0] < 60
    assert line[-1] < 12


def test_adaptive_is_never_below_a_packet_that_just_came_late():
    line = feed(Adaptive(), [0.0] * 500 + [90.0])
    assert line[-1] >= 90


def test_adaptive_rises_within_a_piece_and_sinks_half_a_second_after():
    line = feed(Adaptive(), [0.0] * 500 + [80.0] * 100 + [0.0] * 100)
    assert line[505] > 80
    assert line[500 + 100 + 28] < 75


def test_adaptive_does_not_wait_for_what_is_too_old():
    line = feed(Adaptive(most=ms(300)), [0.0] * 500 + [900.0] * 50)
    assert max(line) == 300


def test_a_higher_late_cost_buys_fewer_late_packets_with_more_delay():
    rng = np.random.default_rng(4)
    delays = [ms(d) for d in 30 + rng.gamma(2, 10, 3000)]
    cheap, dear = (
        replay(JitterBuffer(Adaptive(late_cost=cost)), delays) for cost in (ms(10), ms(200))
    )
    assert dear.waited_percent + dear.lost_percent < cheap.waited_percent + cheap.lost_percent
    assert dear.delay > cheap.delay


# Those of others ----------------------------------------------------------------------------------


def test_ramjee_1_by_hand():
    policy = Ramjee1()
    policy.observe(ms(100), 0)
    policy.observe(ms(150), FRAME)
    d = 0.998002 * 100 + 0.001998 * 150
    v = 0.001998 * (150 - d)
    assert policy.target() == pytest.approx(ms(d + 4 * v), abs=2)


def test_ramjee_4_follows_a_spike_and_forgets_it():
    spike = [10.0] * 100 + [310.0 - 20 * n for n in range(15)] + [10.0] * 60
    line = feed(Ramjee4(), spike)
    assert line[99] == pytest.approx(10, abs=1)
    assert line[101] >= 290
    assert line[-1] < 40


def test_four_jitter_is_rfc_3550_appendix_a_8():
    transits, jitter = [0.0, 16.0, 0.0, 4.0], 0.0
    for before, after in pairwise(transits):
        jitter += (abs(after - before) - jitter) / 16
    assert feed(FourJitter(), transits)[-1] == pytest.approx(4 * jitter, abs=1e-5)


def test_the_percentile_is_numpys():
    values = np.random.default_rng(2).uniform(0, 100, 3000)
    line = feed(Percentile(0.9, window=500), list(values))
    expected = np.percentile(values[-500:], 90, method="higher")
    assert line[-1] == pytest.approx(expected, abs=0.5)


def test_neteq_like_starts_at_80_ms_and_counts_in_buckets_of_20():
    quiet = feed(NetEqLike(), [0.0] * 2000)
    assert quiet[0] == 80
    assert quiet[-1] == 20
    jumpy = feed(NetEqLike(), [50.0 if n % 25 == 0 else 0.0 for n in range(2000)])
    assert jumpy[-1] == 60


# The shipped traces -------------------------------------------------------------------------------


def test_there_are_ten_traces_of_a_minute_and_they_are_what_the_script_makes():
    maker = load(ROOT / "netem" / "make_traces.py")
    assert trace_names() == sorted(maker.NETWORKS)
    assert len(trace_names()) == 10
    for name in trace_names():
        text = trace_path(name).read_text()
        assert text == maker.render(name)
        assert len(parse_delay_trace(text)) == 3000


@pytest.fixture(scope="module")
def policies():
    return load(ROOT / "benchmarks" / "policies.py")


@pytest.fixture(scope="module")
def rows(policies):
    """Every score on every shipped trace, as in docs/jitter-buffers.md."""
    return {name: policies.scores(delays, False) for name, delays in policies.load(None).items()}


def test_adaptive_loses_fewer_frames_than_the_fixed_delay_of_equal_mean_delay(rows):
    fewer = [t for t, r in rows.items() if r["Adaptive"].lost_percent < r["fixed ="].lost_percent]
    assert len(fewer) >= 8, {t: (str(r["Adaptive"]), str(r["fixed ="])) for t, r in rows.items()}


def test_adaptive_is_never_beaten_on_both_loss_and_delay(policies, rows):
    """Also when a turn of waiting counts as a lost frame. The others and aiortc's buffer."""
    for trace, row in rows.items():
        for name, score in row.items():
            if name != "fixed =":
                assert not policies.beats(score, row["Adaptive"]), (trace, name)
                assert not policies.beats_heard(score, row["Adaptive"]), (trace, name)


@pytest.mark.peer
def test_adaptive_is_never_beaten_by_gstreamers_jitter_buffer(policies, rows):
    """GStreamer's rtpjitterbuffer at 60, 100 and 200 ms, in virtual time."""
    if not policies.has_gstreamer():
        assert os.environ.get("CI") != "true", "python3-gi and gir1.2-gstreamer-1.0 are missing"
        pytest.skip("no python3-gi with GstCheck")
    for trace, delays in policies.load(None).items():
        for latency in policies.LATENCIES:
            score = policies.gstreamer(latency, delays)
            assert score.played > 2900
            assert not policies.beats(score, rows[trace]["Adaptive"]), (trace, latency)
            assert not policies.beats_heard(score, rows[trace]["Adaptive"]), (trace, latency)
