"""What happens in a call, as lines of JSON that grow while one looks (`tail -F`).

    async with tracing(Path("call.jsonl"), lambda now: server.figures(now)) as trace:
        ...  on_event=trace.take

One object a line, written at once. `t` is seconds since the trace began, monotonic; `wall` is Unix
time, for comparing with other logs. `what` says what it is: `receiver` or `server` with all figures
(about once a second, in the units of `labkit.core.figures`: nanoseconds, bits a second), or what
happened: `joined`, `refused`, `report`, `closed`, and at last `end`.

A trace must not become the trouble that it is meant to show:

- a file that reaches its limit becomes `FILE.1`, whose predecessor goes, and begins anew
- at most `MAX_EVENTS` events a second are written; the others are counted, in the next figures
- of an event, only fields that are listed here are written. Session descriptions may hold keys
  (RFC 4568) and are not among them
- a disk that is full ends the trace and not the call: `failure` says why

This module knows no session; the events and the figures are given to it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from labkit.core.figures import ReceiverFigures
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.live.clock import now as clock
from labkit.live.metrics import Figures
from labkit.words.errors import BadInput
from labkit.words.machine import Event
from labkit.words.units import NS_PER_S, seconds

LIMIT: Final = 16_000_000
"""Bytes of a file before it is put aside: some five hours of a receiver."""
MAX_EVENTS: Final = 50
"""In a second. Somebody who sends noise must not fill a disk."""
LONGEST: Final = 200
"""Characters of a text in an event."""
EVERY: Final = 1.0
"""Seconds between two lines of figures."""


class TraceFile:
    """Writes lines to `path`, and to `path.1` what was before. Made by `tracing`, or by hand."""

    def __init__(
        self, path: Path, *, limit: int = LIMIT, wallclock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.omitted = 0
        """Events that were too many."""
        self.failure: OSError | None = None
        """Why nothing is written any more."""
        self._limit = limit
        self._wallclock = wallclock
        self._file: TextIO | None = None
        self._size = 0
        self._began: int | None = None
        self._second = self._events = 0

    def __enter__(self) -> Self:
        try:
            self._open()
            _before(self.path).unlink(missing_ok=True)  # of an earlier call
        except OSError as error:
            why = f"{self.path} cannot be written: {error.strerror or error}"
            raise BadInput(why, "--trace with another file") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._write("end", clock(), {})
        self._close()

    # What may be written ----------------------------------------------------------------------

    def figures(self, figures: Figures, now: int) -> None:
        """Write all figures of this moment."""
        what = "receiver" if isinstance(figures, ReceiverFigures) else "server"
        fields = asdict(figures)
        if isinstance(figures, ReceiverFigures):
            fields["loss"] = figures.loss
        if self.omitted:
            fields["events_omitted"] = self.omitted
        self._write(what, now, fields)

    def take(self, event: Event, now: int | None = None) -> None:
        """Write an event, if it is one that a trace is read for."""
        facts = _facts(event)
        if facts is None:
            return
        now = clock() if now is None else now
        if now // NS_PER_S != self._second:
            self._second, self._events = now // NS_PER_S, 0
        self._events += 1
        if self._events > MAX_EVENTS:
            self.omitted += 1
        else:
            self._write(type(event).__name__.lower(), now, facts)

    # Lines ------------------------------------------------------------------------------------

    def _write(self, what: str, now: int, fields: dict[str, Any]) -> None:
        if self._file is None:
            return
        if self._began is None:
            self._began = now
        t = round((now - self._began) / NS_PER_S, 6)
        line = json.dumps({"t": t, "wall": round(self._wallclock(), 6), "what": what, **fields})
        try:
            if self._size + len(line) + 1 > self._limit:
                self._close()
                self.path.replace(_before(self.path))
                self._open()
            self._file.write(line + "\n")
            self._size += len(line) + 1
        except OSError as error:
            self.failure = error
            self._close()

    def _open(self) -> None:
        self._file = self.path.open("w", encoding="ascii", newline="\n", buffering=1)
        self._size = 0

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what could not be written cannot be now
                file.close()


def _before(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _facts(event: Event) -> dict[str, Any] | None:
    """What a trace says of an event; None when it says nothing."""
    match event:
        case Joined():
            return {}
        case Refused(error=error):
            return {"error": type(error).__name__, "why": str(error)[:LONGEST]}
        case Closed(clean=clean, by=by, why=why):
            return {"clean": clean, "by": by, "why": why[:LONGEST]}
        case Report():
            return {
                "ours": event.ours,
                "ssrc": event.ssrc,
                "fraction_lost": round(event.fraction_lost, 4),
                "cumulative_lost": event.cumulative_lost,
                "jitter": event.jitter,
                "round_trip": event.round_trip,
            }
        case _:
            return None


@asynccontextmanager
async def tracing(
    path: Path, figures: Callable[[int], Figures], *, every: float = EVERY, limit: int = LIMIT
) -> AsyncIterator[TraceFile]:
    """Write figures every so many seconds as long as the block runs; events are given to `take`.

    `BadInput` when the file cannot be written at all.
    """
    with TraceFile(path, limit=limit) as trace:
        writing = asyncio.create_task(_write_figures(trace, figures, every))
        try:
            yield trace
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            instant = clock()
            trace.figures(figures(instant), instant)


async def _write_figures(trace: TraceFile, figures: Callable[[int], Figures], every: float) -> None:
    """By the clock and not by adding up sleeps, so that a trace of an hour has 3600 lines."""
    due = clock()
    while True:
        instant = clock()
        trace.figures(figures(instant), instant)
        due = max(due + seconds(every), instant)
        await asyncio.sleep((due - clock()) / NS_PER_S)
