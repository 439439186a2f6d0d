"""Sliders for a byte stream: loss and delay, over TCP or over UDP, seen and heard (week 4).

    StreamLab()                       the widget; `.result` is the call it shows

As `labkit.lab.widgets`: a slider counts when it is let go, picture and sound are traits of their
widgets, and a slider can be moved from code.

This module computes nothing: `Call` does.
"""

from typing import Any, Final

import ipywidgets as widgets

from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.result import Result
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen, slider

WAYS: Final = (("over TCP", "tcp"), ("over UDP", "udp"))


class StreamLab(widgets.VBox):  # type: ignore[misc]
    """One voice, and what a lost packet costs on each of the two."""

    def __init__(
        self, clip: Clip | None = None, *, loss: int = 3, delay: int = 60, seed: int = 4
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self._seed = seed
        self.loss = slider("loss (%)", loss, 20, 1)
        self.delay = slider("delay (ms)", delay, 300, 20)
        self.way = widgets.ToggleButtons(options=WAYS, style={"button_width": "8em"})
        self.picture = screen()
        self.sound = player()
        for control in (self.loss, self.delay, self.way):
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        controls = widgets.HBox([self.loss, self.delay, self.way], layout=rows)
        super().__init__(
            [controls, self.picture, self.sound], layout=widgets.Layout(overflow="visible")
        )

    def call(self) -> Call:
        """The call that the sliders describe."""
        words = {"delay": f"{self.delay.value}ms", "loss": f"{self.loss.value}%"}
        name = f"{self.loss.value} % loss, {self.delay.value} ms"
        return Call(
            self._clip,
            link=link(name, **words),
            transport=self.way.value,
            name=self.way.label,
            seed=self._seed,
        )

    def _update(self, _change: Any = None) -> None:
        self.result: Result = self.call().simulate()
        self.picture.value = self.result.show().png()
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
