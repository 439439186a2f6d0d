"""A listener that never reads, and a datagram to a group."""

import asyncio

import pytest

from labkit.core.flowcontrol import SendQueue
from labkit.lab.togroup import to_group
from labkit.lab.unread import memory, unread


def test_memory_stays_where_it_was_with_a_bounded_queue():
    """And grows without one, by more than the payloads alone."""
    bounded, endless = unread(minutes=1), unread(lambda: SendQueue(10**9), minutes=1)
    assert (bounded[-1].queued, bounded[-1].lag_s) == (50, 0.98)
    assert bounded[-1].dropped == 60 * 50 - 50
    assert bounded[-1].kilobytes < 1.2 * bounded[1].kilobytes + 20
    assert (endless[-1].queued, endless[-1].dropped) == (3000, 0)
    assert endless[-1].kilobytes > 250
    picture = memory({"bounded": bounded, "endless": endless})
    assert picture.alt.startswith("bounded: 50 packets queued, 2950 dropped, ")


@pytest.mark.live
def test_one_datagram_is_heard_by_all():
    assert asyncio.run(to_group(b"sound", 3)) == [b"sound"] * 3
