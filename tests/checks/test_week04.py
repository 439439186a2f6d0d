"""Week 4: what the checks expect, against the kit's own parts, which they do not use."""

from random import Random

import pytest

from labkit.checks import week04
from labkit.checks.exercise import find
from labkit.checks.report import PUBLISHED
from labkit.checks.segments import conversation, standstill
from labkit.checks.subject import InProcess
from labkit.core.reconnect import Backoff
from labkit.lab.answers import ANSWERS
from labkit.lab.captures import capture
from labkit.lab.followers import Patient
from labkit.wire import framing
from labkit.words.packet import Packet
from labkit.words.units import ms, to_ms


@pytest.mark.parametrize("kind", framing.Kind)
def test_the_frames_are_those_that_the_kit_sends(kind):
    packet = Packet(7, 6720, b"sound")
    assert week04.frame(kind, b"sound", 7) == framing.pack(packet, kind)


def test_the_room_is_that_of_a_captured_segment():
    """SYN and full segments of a capture: what the kernel says, and what it does."""
    traffic = capture("01_frames")
    assert traffic[1].found["TCP"]["MSS"] == week04.room(1500, 4, [])
    largest = max(s.size for s in traffic.connections[0].segments)
    assert largest <= week04.room(1500, 4, [10]) == 1448
    for segment in traffic.connections[0].sent(by_client=False):
        assert segment.packet.size - segment.size == 20 + 20 + week04.padded([10])


class Drawn(Random):
    draw = 0.0

    def randint(self, a, b):
        return a + round(self.draw * (b - a))


def test_the_schedule_is_that_of_the_kit():
    rng, dice = Drawn(), Random(4)
    backoff = Backoff(ms(100), limit=ms(1000), rng=rng)
    for failures in range(1, 12):
        rng.draw = dice.random()
        wanted = rng.draw * week04._ceiling(100, 1000, failures)
        assert to_ms(backoff.next_delay()) == pytest.approx(wanted, abs=1e-5)


def test_a_shipped_capture_is_read_as_the_kit_reads_it():
    traffic = capture("04_zero_window")
    segments = week04._captured("04_zero_window")
    zeros = [s for s in segments if s[1] and s[6] == 0]
    opened = next(s[0] for s in segments if s[1] and s[6] and s[0] > zeros[-1][0])
    assert opened - zeros[0][0] == pytest.approx(ANSWERS["closed_for"](traffic).value)
    assert standstill(segments) == pytest.approx(ANSWERS["closed_for"](traffic).value, rel=0.05)


def test_a_made_up_conversation_is_one():
    for seed in range(20):
        made = conversation(Random(seed), lost=2, twice=1, pairs=1, closed=1, rst=2)
        times = [s[0] for s in made.segments]
        assert times == sorted(times)
        assert len(made.again) == 2 + 2 + 2
        ((begin, end),) = made.closed
        data = [s for s in made.segments if not s[1] and s[5]]
        assert not any(begin < s[0] < end for s in data), "who has no room gets nothing"
        assert made.segments[-1][2] == "RST"
        total = max(s[3] + s[5] for s in data)
        assert max(s[4] for s in made.segments if s[1]) == total, "all of it comes"
        assert made.standstill >= end - begin


def test_the_kits_own_listener_has_full_marks():
    report = find("04.4").run(InProcess({"Follower": Patient}), PUBLISHED)
    assert report.passed, str(report)
