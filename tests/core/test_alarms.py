"""Many deadlines, and the first of them, beside a plain search."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.core.alarms import LEFTOVERS, Alarms

STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 20), st.integers(0, 20)),
    max_size=60,
)


@given(STEPS)
def test_as_a_plain_search_would_say(steps):
    alarms, plain = Alarms(), {}
    for key, due, now in steps:
        alarms.set(key, due)
        plain.pop(key, None)
        plain |= {} if due is None else {key: due}
        assert alarms.first() == min(plain.values(), default=None)
        woken = alarms.pop(now)
        assert sorted(woken) == sorted(key for key, due in plain.items() if due <= now)
        assert [plain[key] for key in woken] == sorted(plain[key] for key in woken)
        plain = {key: due for key, due in plain.items() if due > now}
        assert len(alarms) == len(plain)


def test_one_that_is_put_off_again_and_again_costs_no_memory():
    """As the patience with a listener is, by every datagram from it."""
    alarms = Alarms()
    for number in range(100_000):
        alarms.set(number % 10, 1_000_000 + number)
    assert len(alarms._heap) <= 2 * 10 + LEFTOVERS
    assert alarms.first() == 1_000_000 + 99_990
