"""A live dashboard in the notebook: the figures of a call or of a server, ten times a second.

    dashboard = Dashboard(Call(speech(), link="wifi-busy"))
    dashboard                               in one cell: it stands there, and waits
    result = await dashboard.run()          in the next: the call, on real sockets, in real time
    result = await dashboard.replay(8)      or in virtual time, shown at eight times its speed

    with Dashboard(lambda now: server.figures(now)) as dashboard: ...

The numbers are `labkit.core.figures`, as at every exporter. Each update is one message with the
values of traits, which reach the page from a task without a running cell; ipywidgets' Output
does not. The page draws them, sixty times a second, where anywidget is installed; else they come as
HTML. An update is made on the event loop on which the call runs, so what it reads is of one
instant; it takes two to four milliseconds. It may also be fed by hand: `update`.

This module draws nothing: `labkit.lab.dashboardview` and `labkit.lab.dashboardcanvas` do.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from html import escape
from types import TracebackType
from typing import Any, Final, Self

import ipywidgets as widgets

from labkit.core.figures import ReceiverFigures, ServerFigures
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.lab.call import Call
from labkit.lab.dashboardview import SPAN, View, html, receiver_view, server_view
from labkit.lab.livesound import LiveSink
from labkit.lab.result import Result
from labkit.live.clock import now as clock
from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.units import seconds

EVERY: Final = 0.1
"""Seconds between two updates: as often as is worth looking."""
MOST: Final = 600
"""Moments kept, whatever their distance."""

Figures = ReceiverFigures | ServerFigures


class HtmlView(widgets.HTML):  # type: ignore[misc]
    """Shows it as HTML, made anew at every update."""

    def show(self, view: View) -> None:
        """Everything, as it is now."""
        self.value = html(view)

    def say(self, text: str) -> None:
        """Words instead. `text` is HTML."""
        self.value = text


def _best_view() -> Any:
    try:
        from labkit.lab.dashboardcanvas import CanvasView
    except ImportError:  # anywidget is no part of ipywidgets
        return HtmlView()
    return CanvasView()


class Dashboard(widgets.VBox):  # type: ignore[misc]
    """Shows the figures of `source`: a `Call`, or a function that gives them for an instant.

    The function may return None as long as there is nothing to show. `view` is what it is shown on:
    an `HtmlView`, or the better one.
    """

    def __init__(
        self,
        source: Call | Callable[[int], Figures | None],
        *,
        every: float = EVERY,
        view: Any = None,
    ) -> None:
        self.every = every
        self.figures: Figures | None = None
        """What is shown."""
        self.updates = 0
        self.failure: Exception | None = None
        """What the function raised; then it updates no more."""
        self._call = source if isinstance(source, Call) else None
        self._ask: Callable[[int], Figures | None] = (
            (lambda now: None) if isinstance(source, Call) else source
        )
        self._history: deque[tuple[int, Figures]] = deque(maxlen=MOST)
        self._task: asyncio.Task[None] | None = None
        self.view = view if view is not None else _best_view()
        self.view.say("<i>nothing yet</i>")
        super().__init__([self.view])

    # By hand ----------------------------------------------------------------------------------

    def update(self, figures: Figures, now: int) -> None:
        """Show these figures of the instant `now`."""
        self._note(figures, now)
        self._draw()

    def _note(self, figures: Figures, now: int) -> None:
        history = self._history
        if history and (now < history[-1][0] or type(figures) is not type(history[-1][1])):
            history.clear()  # another call
        history.append((now, figures))
        while now - history[0][0] > SPAN:
            history.popleft()
        self.figures = figures

    def _draw(self) -> None:
        history: list[Any] = list(self._history)
        see = server_view if isinstance(self.figures, ServerFigures) else receiver_view
        self.view.show(see(history))
        self.updates += 1

    # By the clock -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin to ask and to show, on the running event loop, until `stop`."""
        self.failure = None
        if self._task is None or self._task.done():
            try:
                self._task = asyncio.get_running_loop().create_task(self._keep_up())
            except RuntimeError:
                raise BadInput(
                    "a dashboard updates on a running event loop, and there is none here",
                    "a notebook cell, or a coroutine",
                ) from None
        return self

    def stop(self) -> None:
        """Show what is true now, and then no more. Twice does no harm."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._look()
        self._task = None

    @property
    def running(self) -> bool:
        """Whether it updates by itself."""
        return self._task is not None and not self._task.done()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def close(self) -> None:
        """Stop, and leave the page: what ipywidgets calls a closed widget."""
        self.stop()
        super().close()

    async def _keep_up(self) -> None:
        while self.failure is None:
            self._look()
            await asyncio.sleep(self.every)

    def _look(self) -> None:
        instant = clock()
        try:
            figures = self._ask(instant)
        except Exception as error:  # noqa: BLE001 - a picture must not end what it shows
            self.failure = error
            self.view.say(f"<b>no figures: {escape(repr(error)[:200])}</b>")
            return
        if figures is not None:
            self.update(figures, instant)

    # Calls ------------------------------------------------------------------------------------

    async def run(self, duration: float = 10.0, *, speaker: LiveSink | None = None) -> Result:
        """Run the call on real sockets, and show it meanwhile: as `Call.run`."""
        call = self._watched(self._follow)
        self._history.clear()
        with self:
            return await call.run(duration, speaker=speaker)

    def _follow(self, receiver: Receiver) -> None:
        self._ask = lambda now: receiver_figures(receiver, now)

    async def replay(self, speed: float = 1.0) -> Result:
        """Run the call in virtual time, and then show it at `speed` times its own."""
        if not speed > 0:
            raise BadInput(f"{speed:g} is no speed", "1, or more to save time")
        moments: list[tuple[int, Figures]] = []
        call = self._watched(lambda receiver: _sample(receiver, seconds(self.every), moments))
        result = call.simulate()
        self._history.clear()
        loop = asyncio.get_running_loop()
        started, shown = loop.time(), 0
        while shown < len(moments):
            reached = moments[0][0] + seconds((loop.time() - started) * speed)
            while shown < len(moments) and moments[shown][0] <= reached:
                now, figures = moments[shown]
                self._note(figures, now)
                shown += 1
            self._draw()
            await asyncio.sleep(self.every)
        return result

    def _watched(self, watch: Callable[[Receiver], None]) -> Call:
        if self._call is None:
            raise LocalProtocolError("this dashboard has no call: start() shows what there is")
        call = copy.copy(self._call)
        before = call.watch

        def both(receiver: Receiver) -> None:
            watch(receiver)
            if before is not None:
                before(receiver)

        call.watch = both
        return call


def _sample(receiver: Receiver, every: int, moments: list[tuple[int, Figures]]) -> None:
    """Take figures as virtual time goes by: whenever something happens, but not too often."""
    write = receiver.trace.entries.append
    due = 0

    def add(entry: tuple[int, Any, int, int]) -> None:
        nonlocal due
        write(entry)
        now = entry[0]
        if now >= due:
            due = now + every
            moments.append((now, receiver_figures(receiver, now)))

    receiver.trace.add = add
