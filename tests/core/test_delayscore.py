"""The score of a buffer on a trace, against counts by hand."""

from labkit.core.delaypolicy import Fixed
from labkit.core.delayscore import replay
from labkit.core.jitterbuffer import JitterBuffer
from labkit.words.units import ms


class Slots:
    """The shortest jitter buffer: one frame a call, `wait` calls after the first packet."""

    def __init__(self, wait=2):
        self.turn = -wait
        self.slots = {}

    def push(self, packet, now):
        self.slots[packet.seq] = packet

    def pull(self, now):
        self.turn += 1
        return self.slots.pop(self.turn - 1, None)


def test_a_fixed_delay_loses_what_is_above_it():
    delays = [ms(d) for d in (5, 5, 70, 5, 66, 5, 5)]
    score = replay(JitterBuffer(Fixed(ms(60))), delays)
    assert (score.sent, score.arrived, score.played) == (7, 7, 5)
    assert score.waited == 0
    assert score.delay == ms(60)


def test_what_the_network_lost_is_not_the_buffers_fault():
    delays = [ms(5), None, ms(5), None, None, ms(5)]
    score = replay(JitterBuffer(Fixed(ms(60))), delays)
    assert (score.lost_percent, score.waited_percent) == (0, 0)


def test_any_object_with_push_and_pull_is_asked_once_a_frame():
    score = replay(Slots(), [ms(10)] * 3 + [ms(60)] + [ms(10)] * 6)
    assert (score.played, score.arrived) == (9, 10)
    assert score.delay == ms(40)


def test_a_buffer_that_gives_nothing_has_lost_everything():
    class Silent:
        def push(self, packet, now): ...
        def pull(self, now): ...

    score = replay(Silent(), [ms(10)] * 5)
    assert (score.lost_percent, score.delay) == (100, 0)
