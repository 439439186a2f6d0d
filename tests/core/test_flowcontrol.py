import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.flowcontrol import Drop, SendQueue
from labkit.words.errors import LocalProtocolError
from labkit.words.units import ms


def drain(queue):
    items = []
    while (item := queue.get()) is not None:
        items.append(item)
    return items


@pytest.mark.parametrize(
    ("policy", "dropped", "left"),
    [(Drop.OLDEST, ["a", "b"], ["c", "d", "e"]), (Drop.NEWEST, ["d", "e"], ["a", "b", "c"])],
)
def test_a_full_queue_drops_by_its_policy_and_says_what(policy, dropped, left):
    queue = SendQueue(3, policy)
    outcomes = [queue.put(item, 0) for item in "abcde"]
    assert outcomes == [[], [], [], *([item] for item in dropped)]
    assert queue.dropped == 2
    assert drain(queue) == left


@pytest.mark.parametrize(
    ("comes", "left", "dropped"),
    [
        ("aKbKdef", "Kdef", 3),  # one gap, and it ends where something begins
        ("aKbcdKe", "Ke", 5),  # what comes is the newest key point itself
        ("Kabcdefg", "cdefg", 3),  # nothing later to begin with: as of live sound, the oldest
        ("abcdefgh", "defgh", 3),
    ],
)
def test_one_gap_up_to_the_newest_key_point(comes, left, dropped):
    queue = SendQueue(5, Drop.TO_KEY_POINT)
    for item in comes:
        queue.put(item, 0, key_point=item == "K")
    assert ("".join(drain(queue)), queue.dropped) == (left, dropped)


def test_the_age_is_that_of_what_is_sent_next():
    queue = SendQueue(2)
    assert queue.oldest_age(ms(5)) == 0
    queue.put("a", ms(10))
    queue.put("b", ms(30))
    assert queue.oldest_age(ms(50)) == ms(40)
    queue.put("c", ms(50))  # drops "a"
    assert queue.oldest_age(ms(50)) == ms(20)


def test_congestion_begins_at_the_high_mark_and_ends_at_the_low_one():
    queue = SendQueue(8, high=6, low=2)
    seen = []
    for step in "+++++++----+----":
        if step == "+":
            queue.put("x", 0)
        else:
            queue.get()
        seen.append((len(queue), queue.congested))
    assert [length for length, congested in seen if congested] == [6, 7, 6, 5, 4, 3, 4, 3]


def test_a_reader_that_stops_does_not_grow_the_memory():
    queue = SendQueue(50)
    for number in range(100_000):
        queue.put(bytes(2), number)
    assert (len(queue), queue.dropped) == (50, 99_950)


@given(
    limit=st.integers(1, 9),
    policy=st.sampled_from(Drop),
    steps=st.lists(st.booleans(), max_size=100),
)
def test_everything_put_is_got_once_or_dropped_once_in_order(limit, policy, steps):
    queue, got, dropped, number = SendQueue(limit, policy), [], [], 0
    for is_put in steps:
        if is_put:
            number += 1
            dropped += queue.put(number, 0, key_point=number % 4 == 0)
        elif (item := queue.get()) is not None:
            got.append(item)
        assert len(queue) <= limit
    got += drain(queue)
    assert got == sorted(got)
    assert sorted(got + dropped) == list(range(1, number + 1))
    assert len(dropped) == queue.dropped


@pytest.mark.parametrize(("limit", "high", "low"), [(0, None, None), (4, 5, 1), (4, 2, 2)])
def test_marks_that_make_no_sense_are_refused(limit, high, low):
    with pytest.raises(LocalProtocolError):
        SendQueue(limit, high=high, low=low)
