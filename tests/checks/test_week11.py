"""Week 11's oracles beside the kit's own parts: two ways to the same answers."""

from random import Random

import numpy as np
import pytest

from labkit.checks import budgets, marking, percentiles, week11
from labkit.checks.exercise import find
from labkit.checks.priorities import Model
from labkit.checks.report import PUBLISHED
from labkit.checks.subject import InProcess
from labkit.core.meters import Histogram
from labkit.core.scheduler import StrictPriority
from labkit.lab.call import Call
from labkit.lab.moments import moments
from labkit.lab.seen import Seen
from labkit.lab.sources import speech
from labkit.words import dscp
from labkit.words.units import ms


def test_names_are_those_of_the_registry():
    """But for the two that the three RFCs of the exercise do not have."""
    others = {dscp.Dscp.LE, dscp.Dscp.VOICE_ADMIT}
    for mark in range(64):
        name = marking.name_of(mark)
        assert name == (str(mark) if mark in others else dscp.name_of(mark))


@pytest.mark.parametrize("tos", [0, 1, 184, 185, 137, 255])
def test_the_packets_are_those_that_the_kits_reader_reads(tos):
    body = bytes(40)
    for made in (marking.ipv4(tos, body), marking.ipv6(tos, body, 0xFFFFF)):
        field = Seen(1, 0, made, len(made)).found["IP"]
        assert dscp.Mark(field["DSCP"], dscp.Ecn(field["ECN"])).tos == tos


def test_percentiles_are_within_a_bucket_of_numpys_and_of_the_kits():
    dice = Random(11)
    values = [dice.randrange(0, 300_000_000) for _ in range(500)]
    counts = percentiles.tally_of([value / 1e6 for value in values], percentiles.EDGES)
    counted = np.histogram(np.array(values) / 1e6, percentiles.EDGES)[0]
    assert counts == counted.tolist()
    kits = Histogram()
    for value in values:
        kits.add(value)
    for percent in (1, 50, 95, 99):
        found = percentiles.percentile_of(percentiles.EDGES, counts, percent)
        assert found == pytest.approx(np.percentile(values, percent) / 1e6, abs=5)
        assert found == pytest.approx(kits.percentile(percent) / 1e6, abs=8)


def test_the_model_is_the_kits_scheduler():
    dice = Random(11)
    for classes in week11.CLASSES:
        model, kits = Model(classes, 4), StrictPriority(classes, 4)
        marks = [*(mark for each in classes for mark in each), 0, 8]
        for number in range(400):
            if dice.random() < 0.6:
                packet, mark = number.to_bytes(2), dice.choice(marks)
                assert model.push(packet, mark, number) == kits.push(packet, mark, number)
            else:
                assert model.pop() == kits.pop()
            assert (len(model), model.dropped) == (len(kits), kits.dropped)


def test_the_parts_are_those_of_the_kits_budget():
    """Also where the network loses packets; the lookahead is no moment."""
    result = Call(speech(3), link="voip-10", seed=7).simulate()
    parts, kits = budgets.parts_of(moments(result)), result.budget.parts
    for part, column in parts.items():
        assert column == pytest.approx((kits[part] / 1e6).tolist())
    lookahead = kits["lookahead"][0] / 1e6
    sums = np.sum(list(parts.values()), axis=0)
    assert sums + lookahead == pytest.approx(result.budget.mouth_to_ear / 1e6)


class Kits(StrictPriority):
    """The kit's scheduler, behind the face that students write."""

    def waits(self, now):
        return [0 for _ in self.queues]


def test_the_kits_own_scheduler_keeps_the_goal():
    """Nobody is asked for what the kit does not do."""
    for seed in (PUBLISHED, 1, 2):
        report = find("11.4").run(InProcess({"MyPriority": Kits}), seed, only="line")
        assert report.passed, str(report)


def test_one_queue_does_not():
    for rate in (1_500_000, 3_000_000):
        late = budgets.one_queue(rate)
        assert int(late.split("under ")[1].split(" ms")[0]) > 100
    assert ms(budgets.GOAL_MS) == ms(25)
