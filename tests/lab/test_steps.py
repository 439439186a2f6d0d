"""Buffers stepped by hand: what is told is what happened, for ours and for a student's."""

import pytest

from labkit import Fixed, JitterBuffer, NaiveBuffer, ms, step
from labkit.words.seqnum import add16


def told(buffer, arrivals):
    """`now did seq`, without what is in hand."""
    return [f"{s.now // ms(1)} {s.did} {s.seq}" for s in step(buffer, arrivals).steps]


def test_reordered_packets_are_played_in_their_order():
    assert told(JitterBuffer(Fixed(ms(40))), [(1, 0), (2, 20), (4, 61), (3, 75)]) == [
        "0 comes 1", "20 comes 2", "40 played 1", "60 played 2", "61 comes 4", "75 comes 3",
        "80 played 3", "100 played 4",
    ]  # fmt: skip


def test_what_is_in_hand_is_shown_with_its_gaps():
    """As slots: `2 _ 4`."""
    printed = str(step(JitterBuffer(Fixed(ms(60))), [(2, 0), (4, 41)]))
    assert "41 ms  4 comes                | 2 _ 4" in printed


def test_a_late_packet_and_its_copy_are_named():
    """And the turn that it missed is that packet's."""
    steps = told(JitterBuffer(Fixed(ms(40))), [(1, 0), (3, 40), (2, 65), (2, 66)])
    assert steps == [
        "0 comes 1", "40 comes 3", "40 played 1", "60 missing 2", "65 late 2", "66 twice 2",
        "80 played 3",
    ]  # fmt: skip


def test_a_packet_at_the_very_instant_of_its_turn_is_in_time():
    assert "60 played 2" in told(JitterBuffer(Fixed(ms(40))), [(1, 0), (2, 60)])


def test_an_empty_buffer_waits():
    assert "60 waits None" in told(JitterBuffer(Fixed(ms(40))), [(1, 0), (2, 75)])


def test_numbers_are_printed_as_they_travel():
    """65535 is followed by 0, also in print."""
    printed = str(step(JitterBuffer(Fixed(ms(40))), [(65535, 0), (0, 20)]))
    assert "0 is played" in printed
    assert "65536" not in printed


class Ordered:
    """What a student writes in week 6, with neither `deadline` nor `__len__`."""

    def __init__(self):
        self.waiting, self.next = {}, None

    def push(self, packet, now):
        if self.next is None:
            self.next, self.start = packet.seq, now + ms(40)
        self.waiting[packet.seq] = packet

    def pull(self, now):
        if now < self.start:
            return None
        packet = self.waiting.pop(self.next, None)
        self.next = add16(self.next, 1)
        return packet


def test_a_students_buffer_is_asked_every_frame():
    """From its first packet on, as the receiver does."""
    assert told(Ordered(), [(65535, 0), (1, 30), (0, 35)]) == [
        "0 comes 65535", "0 waits None", "20 waits None", "30 comes 65537", "35 comes 65536",
        "40 played 65535", "60 played 65536", "80 played 65537",
    ]  # fmt: skip


def test_a_packet_that_was_replaced_is_no_longer_in_hand():
    """The naive buffer does not say that it dropped one; its length tells."""
    steps = step(NaiveBuffer(), [(1, 0), (2, 21), (3, 22)]).steps
    assert [s.in_hand for s in steps if s.did == "comes"] == [(1,), (2,), (3,)]


def test_a_packet_dropped_in_silence_is_called_dropped():
    """A buffer without counters took it and does not hold it."""

    class Strict(Ordered):
        def __len__(self):
            return len(self.waiting)

        def push(self, packet, now):
            if self.next is None or packet.seq >= self.next:
                super().push(packet, now)

    assert "70 dropped 1" in told(Strict(), [(1, 0), (2, 1), (3, 2), (1, 70)])


@pytest.mark.parametrize("greedy", [True, False])
def test_a_buffer_that_gives_nothing_back_is_given_up(greedy):
    """Or a student's endless wait would be ours."""

    class Keeper:
        def push(self, packet, now):
            pass

        def pull(self, now):
            return None

    if greedy:
        Keeper.__len__ = lambda self: 1
    assert len(told(Keeper(), [(1, 0)])) < 6


def test_the_picture_says_in_words_what_it_shows():
    picture = step(JitterBuffer(Fixed(ms(40))), [(1, 0)]).show()
    assert picture.png().startswith(b"\x89PNG")
    assert "40 ms: 1 is played" in picture.alt


def test_what_comes_together_has_one_label():
    """Four numbers on one another could not be read."""
    together = step(JitterBuffer(Fixed(ms(40))), [(1, 0), (2, 20), (3, 120), (4, 120), (5, 120)])
    texts = [text.get_text() for text in together.show().figure.axes[0].texts]
    assert "3 late, 4 late, 5" in texts
