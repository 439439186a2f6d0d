"""What the checks of week 3 expect, against the kit's own parts."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checks import week03
from labkit.checks.exercise import find
from labkit.checks.nagle import MSS, NAGLE, Rule, conversation, departures, held_back
from labkit.checks.subject import InProcess
from labkit.core.flowcontrol import SendQueue
from labkit.lab.nagle import small_writes
from labkit.wire import framing
from labkit.words.packet import Packet
from labkit.words.units import to_ms


@pytest.mark.parametrize("kind", framing.Kind)
def test_the_frame_is_the_one_that_the_kit_sends(kind):
    packet = Packet(40_000, 3_000_000_000, b"sound")
    assert week03.packed((int(kind), *packet[:3])) == framing.pack(packet, kind)
    assert week03.LARGEST == framing.MAX_PAYLOAD


class KitDecoder:
    """The kit's own, in the form of the exercise."""

    def __init__(self):
        self.inner = framing.FrameDecoder()

    def __len__(self):
        return self.inner.buffered

    def feed(self, data):
        return [(int(kind), *packet[:3]) for kind, packet in self.inner.receive(data)]


class KitQueue(SendQueue):
    """The kit's own, in the form of the exercise."""

    def __init__(self, limit, high, low):
        super().__init__(limit, high=high, low=low)

    def put(self, item):
        return super().put(item, 0)

    @property
    def paused(self):
        return self.congested


def kit_departures(writes, round_trip, mss):
    segments = small_writes(writes, round_trip, mss=mss).segments
    return [(int(to_ms(s.left)), s.size) for s in segments]


@pytest.mark.parametrize(
    ("exercise", "names"),
    [
        ("03.1", {"Decoder": KitDecoder}),
        ("03.2", {"SendQueue": KitQueue}),
        ("03.3", {"departures": kit_departures, "held_back": held_back}),
        ("03.4", {"Decoder": KitDecoder}),
    ],
)
def test_the_kits_own_parts_have_full_marks(exercise, names):
    """Nobody is asked for what the kit does not do."""
    for seed in (2026, 1, 2):
        report = find(exercise).run(InProcess(names), seed)
        assert report.passed, str(report)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3000)), max_size=30),
    st.integers(1, 120),
    st.booleans(),
)
def test_the_rule_is_the_kits(writes, round_trip, nodelay):
    writes = sorted(writes, key=lambda write: write[0])
    rule = Rule(waits=False) if nodelay else NAGLE
    kit = small_writes(writes, round_trip, nodelay=nodelay).segments
    found = departures(writes, round_trip, MSS, rule)
    assert found == [(to_ms(s.left), s.size) for s in kit]


def test_what_nagle_sends_nagle_would_not_have_held():
    """The two halves of the exercise are of one rule."""
    rng = Random(3)
    writes = [(20 * n, 80) for n in range(30)]
    for rule, least in ((NAGLE, 0), (Rule(waits=False), 20)):
        rows = conversation(rng, departures(writes, 51, MSS, rule), 51)
        held = held_back(rows, MSS)
        assert len(held) >= least
        assert bool(held) == (rule is not NAGLE)


def test_in_the_shipped_capture_one_segment_was_not_held():
    """The last one: it carries the FIN, and nothing will be written that could make it grow."""
    rows = week03._captured("03_nagle_on")
    (place,) = held_back(rows, MSS)
    assert "FIN" in rows[place][5]
    assert len(held_back(week03._captured("03_nagle_off"), MSS)) > 150
