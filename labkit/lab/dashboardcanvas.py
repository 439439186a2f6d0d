"""A dashboard that is drawn in the page: numbers ten times a second, pictures sixty.

What crosses is the content alone (`labkit.lab.dashboardview.View`): words as JSON, lines as 32-bit
floats, all of the last half minute each time. So an update needs none before it, a page that was
opened late sees the same, and a lost one is nothing. The page lets the graphs glide between
updates, as fast as time goes by in what is shown.

Needs anywidget; `labkit.lab.dashboard` does without, where it is not installed.
"""

from importlib.resources import files
from typing import Any

import anywidget
import numpy as np
import traitlets

from labkit.lab.dashboardview import SPAN, STYLE, View
from labkit.words.units import to_seconds


class CanvasView(anywidget.AnyWidget):
    """Shows a `View` on canvases, one for each tile."""

    _esm = (files("labkit.lab") / "static" / "dashboard.js").read_text(encoding="utf-8")
    _css = STYLE
    span = traitlets.Float(to_seconds(SPAN)).tag(sync=True)
    now = traitlets.Float(0.0).tag(sync=True)
    tiles: traitlets.List[Any] = traitlets.List().tag(sync=True)
    points = traitlets.Bytes(b"").tag(sync=True)
    """Rows of 32-bit floats: the times, and then line after line; not a number is a gap."""
    words = traitlets.Unicode("").tag(sync=True)
    """HTML below the tiles, or instead of them."""

    def show(self, view: View) -> None:
        """Everything, as it is now, in one message."""
        lines: list[Any] = [line.values for tile in view.tiles for line in tile.lines]
        with self.hold_sync():
            self.now = to_seconds(view.now)
            self.tiles = [
                {**tile._asdict(), "lines": [line.colour for line in tile.lines]}
                for tile in view.tiles
            ]
            self.points = np.array([view.times, *lines], np.float32).tobytes()
            self.words = view.table

    def say(self, text: str) -> None:
        """Words instead. `text` is HTML."""
        with self.hold_sync():
            self.tiles = []
            self.points = b""
            self.words = text
