"""An event loop whose timers are on time.

On Linux asyncio waits by `epoll`, which counts whole milliseconds and rounds up: a timer comes up
to 1 ms late, which is most of what loopback would add to a frame of sound. `select` counts
microseconds, and an epoll descriptor can itself be selected: it is readable when something that
epoll watches is ready. So `run` waits for that, then asks epoll what it was.

On other systems, and in a notebook, whose loop is not ours to make, timers stay as they are.
"""

import asyncio
import select
import selectors
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None

if sys.platform == "linux":

    class _OnTime(selectors.EpollSelector):
        """Epoll that waits no longer than it is told."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select((self,), (), (), timeout)
                timeout = 0
            return super().select(timeout)

    def _make_loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_OnTime())


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run`, with timers that are late by microseconds."""
    with asyncio.Runner(loop_factory=_make_loop) as runner:
        return runner.run(main)
