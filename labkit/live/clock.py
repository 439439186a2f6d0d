"""The one place where time is read.

Everything below is told the time; drivers, sound cards and commands ask here. `now` has the same
zero as asyncio's `loop.time()`, so a machine's deadline in nanoseconds becomes a timer by one
division.

On Windows before Python 3.13 this clock ticks only every 15.6 ms; `labkit doctor` says so.
"""

import time


def now() -> int:
    """Nanoseconds since an arbitrary zero; never goes back, whatever happens to the date."""
    return time.monotonic_ns()


def wallclock_offset() -> int:
    """What to add to `now()` to get nanoseconds since 1970.

    Sender reports need it (RFC 3550 section 6.4.1) and nothing else does. Asked once at the start
    of a call, so that a date corrected in mid-call moves nothing. The two clocks cannot be read
    at once: of a few tries the one with the shortest gap around it counts.
    """
    tries = []
    for _ in range(5):
        before, wallclock, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        tries.append((after - before, wallclock - (before + after) // 2))
    return min(tries)[1]
