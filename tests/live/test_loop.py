"""The event loop: timers, what else wakes it, and what it passes on."""

import asyncio
import socket
import sys
import threading
import time

import pytest

from labkit.live.loop import run

pytestmark = pytest.mark.live


async def shortest(delay: float) -> float:
    """Seconds that the fastest of fifty timers took: other work on the machine only slows them."""
    loop = asyncio.get_running_loop()
    took = []
    for _ in range(50):
        done: asyncio.Future[None] = loop.create_future()
        start = time.perf_counter()
        loop.call_later(delay, done.set_result, None)
        await done
        took.append(time.perf_counter() - start)
    return min(took)


@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_a_timer_of_a_fifth_of_a_millisecond_does_not_take_a_whole_one():
    """asyncio's own loop takes a whole one: that is what is mended here."""
    assert asyncio.run(shortest(0.0002)) > 0.001
    assert 0.0002 <= run(shortest(0.0002)) < 0.001


def test_a_datagram_wakes_it_before_its_timer():
    """While it waits for a timer, it still watches its sockets."""

    async def echo() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            received = loop.create_task(loop.sock_recv(ours, 100))
            loop.call_soon(theirs.send, b"frame")
            return await asyncio.wait_for(received, 10)

    assert run(echo()) == b"frame"


def test_another_thread_wakes_it_before_its_timer():
    """`call_soon_threadsafe` does not wait for the next timer."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        threading.Timer(0.01, loop.call_soon_threadsafe, (done.set_result, "now")).start()
        return await asyncio.wait_for(done, 10)

    assert run(main()) == "now"


def test_what_is_raised_inside_is_raised_outside():
    """Like `asyncio.run`."""

    async def main() -> None:
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        run(main())
