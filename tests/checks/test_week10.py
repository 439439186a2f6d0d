"""Week 10's oracles beside the kit's own parts: two ways to the same answers."""

from random import Random

import pytest

from labkit.checks import week10
from labkit.checks.bottlenecks import HIGHEST, LOWEST, START, jain
from labkit.checks.exercise import find
from labkit.checks.queues import KEY_POINT, NEWEST, OLDEST, Item, Model
from labkit.checks.report import PUBLISHED
from labkit.checks.subject import InProcess
from labkit.core import ratecontrol
from labkit.core.congestion import Feedback
from labkit.core.flowcontrol import Drop, SendQueue
from labkit.lab import adaptation
from labkit.lab.seen import Seen
from labkit.wire import rtp
from labkit.wire.ip import udp
from labkit.words.packet import Packet
from labkit.words.units import ms


@pytest.mark.parametrize("drop", [OLDEST, NEWEST, KEY_POINT])
def test_the_model_is_the_kits_queue(drop):
    dice = Random(drop)
    for limit in (3, 5, 8):
        model, kits = Model(limit, drop), SendQueue(limit, Drop(drop))
        for number in range(400):
            now, key_point = ms(20 * number), dice.random() < 0.2
            if dice.random() < 0.7:
                gone = kits.put(number, now, key_point=key_point)
                assert model.put(Item(number, now, key_point)) == gone
            else:
                assert model.get() == kits.get()
            assert (len(model.items), model.dropped) == (len(kits), kits.dropped)
            assert model.lag(now + 1) == kits.oldest_age(now + 1)


def test_the_bounds_are_the_kits():
    assert (LOWEST, HIGHEST, START) == (
        ratecontrol.LOWEST,
        ratecontrol.HIGHEST,
        ratecontrol.START,
    )
    assert ratecontrol.INCREASE == week10.INCREASE
    for rates in ([1, 1, 1], [1, 0], [3, 2, 7]):
        assert jain(rates) == pytest.approx(adaptation.jain(rates))


def test_the_packets_are_those_that_the_kits_reader_reads():
    packet = Packet(7, 960, b"sound", True, 111, 5)
    data = week10.rtp(7, 960, 5, b"sound", marker=True)
    assert data == rtp.pack(packet)
    ends = ("10.0.0.1", 5000), ("10.0.1.1", 5004)
    made = week10.ipv4("10.0.0.1", "10.0.1.1", week10.udp(data))
    kits = Seen(1, 0, udp(data, *ends), 0)
    seen = Seen(1, 0, made, len(made))
    assert [layer.name for layer in seen.found.layers] == ["IP", "UDP", "RTP"]
    assert (seen.source, seen.destination) == (kits.source, kits.destination) == ends
    longer = Seen(1, 0, week10.ipv4("10.0.0.1", "10.0.1.1", week10.udp(data), options=2), 0)
    assert longer.found["RTP"]["timestamp"] == 960


def test_the_capture_has_what_tshark_counts():
    """353 packets of 179 sounds, and 148 of 148 (tests/lab/test_questions.py has tshark's)."""
    packets, (hosts, groups) = week10._captured()
    assert len(packets) == 543
    assert (hosts, groups) == (pytest.approx(353 / 179), 1.0)


class Kits:
    """The kit's controller, behind the face that students write."""

    def __init__(self):
        self._aimd = ratecontrol.adaptive()

    @property
    def bitrate(self):
        return self._aimd.bitrate

    def on_report(self, loss, round_trip, now):
        self._aimd.on_feedback(Feedback(loss=loss, round_trip=round_trip), now)


def test_the_kits_own_controller_has_full_marks():
    """Nobody is asked for what the kit does not do."""
    for seed in (PUBLISHED, 1):
        report = find("10.4").run(InProcess({"MyController": Kits}), seed)
        assert report.passed, str(report)


def test_the_picture_of_a_contest_is_lines_over_time():
    report = find("10.4").run(InProcess({"MyController": Kits}), only="wide")
    assert report.show().alt == "bitrate (kbit/s) of your bitrate; room on the line"
    assert report.show().png().startswith(b"\x89PNG")
