"""Week 12's oracles beside the kit's own parts: two ways to the same answers."""

from random import Random

import pytest

from labkit.checks import exposition, outages, srtpparts
from labkit.checks.capstonecall import BROUGHT, VERBS
from labkit.checks.exercise import find
from labkit.checks.subject import InProcess
from labkit.core import srtpkeys
from labkit.core.figures import ReceiverFigures
from labkit.core.replaywindow import ReplayWindow, Verdict
from labkit.core.srtpkeys import Label
from labkit.lab.capstoneparts import BY_WORD
from labkit.lab.captures import capture
from labkit.live.metrics import families


def test_session_keys_are_the_kits():
    dice = Random(12)
    for label in Label:
        key, salt, size = dice.randbytes(16), dice.randbytes(14), dice.randrange(1, 60)
        assert srtpparts.session_key(key, salt, label, size) == srtpkeys.derive(
            key, salt, label, size
        )


def test_the_window_is_the_kits():
    dice, model, kits = Random(12), srtpparts.Model(64), ReplayWindow(64)
    newest = None
    for _ in range(3000):
        base = 0 if newest is None else newest
        index = max(0, base + dice.choice([1, 1, 1, 2, 90, -1, -2, -63, -64, -65]))
        assert model.is_new(index) is (kits.judge(index) is Verdict.NEW)
        if model.is_new(index):
            model.accept(index)
            kits.accept(index)
        newest = kits.newest
        seq = dice.randrange(65_536)
        away = abs(srtpparts.nearest(newest, seq) - newest)
        assert srtpparts.nearest(newest, seq) == kits.estimate(seq) or away == 32_768


def test_the_master_key_is_that_of_the_capture():
    sealed, clear = srtpparts._captured()
    assert len(sealed) == len(clear) == len(capture("12_srtp").voices[0].arrived)
    assert Random("12 sender key").randbytes(30) == srtpparts.CAPTURED


def test_figures_of_the_kit_are_read_as_they_are():
    """The same client reads what the kit's exporter writes."""
    from prometheus_client.exposition import generate_latest

    class All:
        def collect(self):
            return families(ReceiverFigures(received=7, jitter=None))

    found = exposition.read(generate_latest(All()).decode())
    assert found["labkit_receiver_packets_total"] == (
        "counter", "Packets received, duplicates included.", [((), 7.0)],
    )  # fmt: skip
    assert "labkit_receiver_jitter_seconds" not in found


def test_a_night_has_what_it_says():
    """Outages that last, troubles that do not, and nothing else above the lines between them."""
    for seed in range(20):
        night = outages.night(Random(seed))
        assert len(night.outages) == 6
        assert all(b - a >= 30 for a, b in night.outages)
        assert all(b < c for (_, b), (c, _) in zip(night.outages, night.outages[1:], strict=False))
        judged = outages.judge(night, [("loss", "above", 5.5, 60), ("late", "above", 3, 60),
                                       ("packets", "below", 2, 60)])  # fmt: skip
        assert (judged.told, judged.false) == (6, 0)


@pytest.mark.parametrize("wait", [30, 50, 80])
@pytest.mark.parametrize("percent", [5, 8])
def test_any_rules_that_the_text_allows_have_all_points(wait, percent):
    """No night in which two short troubles look like one outage."""
    rules = [("loss", "above", percent, wait), ("late", "above", percent, wait),
             ("packets", "below", 1, wait)]  # fmt: skip
    for seed in range(60):
        judged = outages.judge(outages.night(Random(seed)), rules)
        assert (judged.told, judged.false) == (6, 0), seed


def test_what_can_be_brought_has_a_place():
    assert {place for place, _ in VERBS.values()} <= set(BY_WORD)
    assert all(name in BY_WORD[VERBS[name][0]].names for name in BROUGHT)


def test_the_picture_of_a_night():
    report = find("12.3").run(
        InProcess({"rules": lambda: [("loss", "above", 6, 50)]}), only="nights"
    )
    assert report.show().png().startswith(b"\x89PNG")
    assert 0 < report.points < report.of


@pytest.mark.parametrize("rate", [[(0, 5), (10, 105)], [(0, 1000), (5, 1100), (10, 0)]])
def test_a_rate(rate):
    assert outages.rate_of(rate) == 10.0
