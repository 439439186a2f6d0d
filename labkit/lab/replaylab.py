"""Sliders over a capture: another buffer, the same packets; see it and hear it.

    Replay("call.pcapng").explore()

Like `labkit.lab.widgets`, which has the network under sliders too: here it is what it was. A slider
counts when it is let go, and can also be moved from code. This module computes nothing: `Replay`
does.
"""

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.core.delaypolicy import Adaptive, Fixed
from labkit.lab.listen import flac_bytes
from labkit.lab.replayed import Replayed
from labkit.lab.widgets import player
from labkit.words.units import ms

if TYPE_CHECKING:
    from labkit.lab.replay import Replay


class ReplayLab(widgets.VBox):  # type: ignore[misc]
    """Stream and buffer to choose; the fate of every packet, and the sound. `.result` has it."""

    def __init__(self, replay: "Replay", stream: int = 0, *, buffer: int = 60) -> None:
        self._replay = replay
        self.stream = widgets.Dropdown(
            options=[(" ".join(row[:5]), i) for i, row in enumerate(replay.rows())],
            value=stream,
            description="stream",
            layout=widgets.Layout(width="36em", max_width="98%"),
        )
        self.buffer = widgets.IntSlider(
            value=buffer, min=0, max=300, step=10, description="buffer (ms)",
            continuous_update=False, style={"description_width": "7.5em"},
            layout=widgets.Layout(width="24em", max_width="98%"),
        )  # fmt: skip
        self.adaptive = widgets.Checkbox(
            value=False, description="adaptive: the buffer finds its delay", indent=False
        )
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="98%"))
        self.sound = player()
        self.report = widgets.HTML()
        controls: list[Any] = [self.stream, self.buffer, self.adaptive]
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        row = widgets.HBox(controls, layout=rows)
        super().__init__([row, self.picture, self.sound, self.report])

    def _update(self, _change: Any = None) -> None:
        self.buffer.disabled = self.adaptive.value
        policy = Adaptive() if self.adaptive.value else Fixed(ms(self.buffer.value))
        self.result: Replayed = self._replay.play(self.stream.value, policy=policy)
        self.picture.value = self.result.show().png()
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
        self.report.value = f"<pre>{self.result.report}</pre>"
