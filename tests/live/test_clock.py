"""The clock against the two clocks that others read."""

import asyncio
import time

from labkit.live.clock import now, wallclock_offset
from labkit.words.units import NS_PER_S, ms


def test_deadlines_are_in_the_time_of_the_event_loop():
    """A machine's deadline divided by 1e9 is a time for `loop.call_at`."""

    async def both() -> tuple[int, float, int]:
        return now(), asyncio.get_running_loop().time(), now()

    before, loop_time, after = asyncio.run(both())
    assert before - ms(20) <= round(loop_time * NS_PER_S) <= after + ms(20)


def test_the_offset_turns_now_into_the_date():
    """`now() + wallclock_offset()` is the Unix time in nanoseconds."""
    offset = wallclock_offset()
    before = time.time_ns()
    date = now() + offset
    after = time.time_ns()
    assert before - ms(20) <= date <= after + ms(20)
