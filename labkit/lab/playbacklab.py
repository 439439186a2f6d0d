"""Sliders for week 2: a producer that is late, and how much sound waits in the ring.

    PlaybackLab()                     the widget; `.played` is what it came to, with its sound

The picture is the price list at this lateness, over all sizes of the buffer; the sound is that of
the one size that is chosen. A slider counts when it is let go.

This module computes nothing: `labkit.lab.playback` does.
"""

from typing import Any

import ipywidgets as widgets

from labkit.core.source import Clip
from labkit.lab.listen import flac_bytes
from labkit.lab.playback import Played, picture, simulate, sweep
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen, slider
from labkit.words.units import FRAME_MS


class PlaybackLab(widgets.VBox):  # type: ignore[misc]
    """Lateness and buffer under two sliders; underruns against delay, and the sound."""

    def __init__(
        self, clip: Clip | None = None, *, late: int = 10, buffer: int = 40, seed: int = 1
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self._seed = seed
        self.late = slider("late by (ms)", late, 40, 1)
        self.buffer = slider("buffer (ms)", buffer, 200, 5)
        self.buffer.min = FRAME_MS  # a frame must fit
        self.figures = widgets.HTML()  # a Label would be cut off where the page is narrow
        self.picture = screen()
        self.sound = player()
        controls = [self.late, self.buffer]
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(controls, layout=rows), self.figures, self.picture, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    def _update(self, _change: Any = None) -> None:
        late = self.late.value
        words = {"jitter_ms": late, "seed": self._seed}
        self.played: Played = simulate(self._clip, self.buffer.value, **words)
        self.picture.value = picture(sweep(self._clip, **words), late).png()
        self.figures.value = f"{self.played}."
        heard = self.played.heard
        assert heard is not None, "in virtual time it is always kept"
        self.sound.value = flac_bytes(heard.samples, heard.sample_rate)
