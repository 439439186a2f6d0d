"""Sliders: change the network or the buffer, see it and hear it.

    JitterLab()                       the widget; `.result` is the call it shows

A change is one call in virtual time, some tenths of a second, so a slider counts when it is let go.
Picture and sound are traits of their widgets, which reach the page from any thread and without a
running cell; ipywidgets' Output does not. A slider can also be moved from code.

This module computes nothing: `Call` does.
"""

from typing import Any, Final

import ipywidgets as widgets

from labkit.core.delaypolicy import Fixed
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.result import Result
from labkit.lab.sources import speech
from labkit.words.units import ms

DELAY_MS: Final = 100
"""One way, on average: enough that 60 ms of jitter seldom meet zero."""


def slider(what: str, value: int, top: int, step: int) -> widgets.IntSlider:
    """A slider from 0 that counts when it is let go."""
    return widgets.IntSlider(
        value=value,
        min=0,
        max=top,
        step=step,
        description=what,
        continuous_update=False,
        style={"description_width": "7.5em"},
        layout=widgets.Layout(width="24em", max_width="98%"),
    )


def wide_slider(what: str, value: int, least: int, most: int, step: int) -> widgets.IntSlider:
    """The same from `least` on, with room for a longer name."""
    found = slider(what, value, most, step)
    found.min = least
    found.style.description_width = "9.5em"
    found.layout = widgets.Layout(width="26em", max_width="96%")
    return found


def screen() -> widgets.Image:
    """Where a PNG is shown, no wider than the page."""
    return widgets.Image(
        format="png", layout=widgets.Layout(max_width="98%", align_self="flex-start")
    )


def player() -> widgets.Audio:
    """A player of FLAC that waits to be started."""
    return widgets.Audio(
        format="flac", autoplay=False, loop=False, layout=widgets.Layout(width="22em")
    )


class JitterLab(widgets.VBox):  # type: ignore[misc]
    """Loss, jitter and buffer under three sliders; the fate of every packet, and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        loss: int = 5,
        jitter: int = 20,
        buffer: int = 60,
        adaptive: bool = False,
        seed: int = 6,
    ) -> None:
        self._clip = clip if clip is not None else speech()
        self._seed = seed
        self.loss = slider("loss (%)", loss, 30, 1)
        self.jitter = slider("jitter (ms)", jitter, 60, 5)
        self.buffer = slider("buffer (ms)", buffer, 300, 10)
        self.adaptive = widgets.Checkbox(
            value=adaptive, description="adaptive: the buffer finds its delay", indent=False
        )
        self.picture = screen()
        self.sound = player()
        for control in self._controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(self._controls, layout=rows), self.picture, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def _controls(self) -> list[Any]:
        return [self.loss, self.jitter, self.buffer, self.adaptive]

    def call(self) -> Call:
        """The call that the sliders describe."""
        words: dict[str, str] = {"delay": f"{DELAY_MS}ms", "loss": f"{self.loss.value}%"}
        if self.jitter.value:
            words |= {"jitter": f"{self.jitter.value}ms", "distribution": "normal"}
        name = f"{self.loss.value} % loss, {self.jitter.value} ms jitter"
        fixed = not self.adaptive.value
        return Call(
            self._clip,
            link=link(name, **words),
            policy=Fixed(ms(self.buffer.value)) if fixed else None,
            name=f"fixed {self.buffer.value} ms" if fixed else "adaptive",
            seed=self._seed,
        )

    def _update(self, _change: Any = None) -> None:
        self.buffer.disabled = self.adaptive.value
        self.result: Result = self.call().simulate()
        self.picture.value = self.result.show().png()
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
