"""`--metrics` and `--trace`: who wants to look at a running streamer or receiver."""

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from labkit.cli import common
from labkit.live.metrics import Figures
from labkit.words.machine import Event

Watch = Any
"""Has `take(event)`."""


class _Nobody:
    """Nobody looks."""

    def take(self, event: Event) -> None:
        """Forget it."""


@asynccontextmanager
async def watching(
    options: argparse.Namespace, figures: Callable[[int], Figures], status: common.StatusLine
) -> AsyncIterator[Watch]:
    """Serve metrics and write a trace while the block runs, if somebody asked for them."""
    async with AsyncExitStack() as stack:
        watch: Watch = _Nobody()
        if options.metrics is not None:
            from labkit.live.exporter import exporter

            metrics = await stack.enter_async_context(exporter(options.metrics, figures))
            status.say(f"metrics on {metrics.url}    look with: labkit top {metrics.address[1]}")
        if options.trace is not None:
            from labkit.live.tracefile import tracing

            watch = await stack.enter_async_context(tracing(options.trace, figures))
        yield watch


def add_options(sub: argparse.ArgumentParser) -> None:
    """The two options."""
    group = sub.add_argument_group("observability")
    group.add_argument(
        "--metrics", type=common.port, metavar="PORT",
        help="serve Prometheus metrics here, on this machine only",
    )  # fmt: skip
    group.add_argument(
        "--trace", type=common.output_path, metavar="FILE.jsonl",
        help="write figures and events, a JSON object a line",
    )  # fmt: skip
