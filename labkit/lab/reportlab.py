"""Sliders for what a listener reports: loss, copies, jitter, and how often it speaks (week 7).

    ReportLab()                       the widget; `.reports` is what it shows, `.result` the call

A change is one call in virtual time, so a slider counts when it is let go. Picture and sound are
traits of their widgets, as in `labkit.lab.widgets`. This module computes nothing: `Call` does.
"""

from typing import Any, Final

import ipywidgets as widgets

from labkit.codec.g711 import Pcmu
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.reports import reports
from labkit.lab.result import Result
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen, slider
from labkit.words.units import seconds

DELAY_MS: Final = 100


class ReportLab(widgets.VBox):  # type: ignore[misc]
    """A line under three sliders, a fourth for the reports; what they say, and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        loss: int = 5,
        copies: int = 0,
        jitter: int = 20,
        every: int = 1,
        seed: int = 7,
    ) -> None:
        self._clip = clip if clip is not None else speech()
        self._seed = seed
        self.loss = slider("loss (%)", loss, 30, 1)
        self.copies = slider("copies (%)", copies, 30, 1)
        self.jitter = slider("jitter (ms)", jitter, 60, 5)
        self.every = slider("interval (s)", every, 5, 1)
        self.every.min = 1
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
        return [self.loss, self.copies, self.jitter, self.every]

    def call(self) -> Call:
        """The call that the sliders describe."""
        words: dict[str, str] = {"delay": f"{DELAY_MS}ms", "loss": f"{self.loss.value}%"}
        if self.copies.value:
            words["duplicate"] = f"{self.copies.value}%"
        if self.jitter.value:
            words |= {"jitter": f"{self.jitter.value}ms", "distribution": "normal"}
        return Call(
            self._clip,
            codec=Pcmu(),
            link=link("under sliders", **words),
            rtcp_interval=seconds(self.every.value),
            seed=self._seed,
        )

    def _update(self, _change: Any = None) -> None:
        self.result: Result = self.call().simulate(capture=True)
        self.reports = reports(self.result)
        self.picture.value = self.reports.show().png()
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
