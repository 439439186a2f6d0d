"""Sliders for week 1: how often the air is asked, in how many bits, and in how long a frame.

    SampleLab()                       the widget; `.sound_rate` and `.line_rate` are in bit/s

Picture, sound and bitrate follow a slider that is let go. Fewer bits are the high ones of 16, so a
sample stands in the middle of its step; fewer samples a second are made by soxr, as a sound card's
driver does, since of what is merely left out high tones would come back as low ones.

This module knows no codec and no network.
"""

from typing import Any, Final

import ipywidgets as widgets
import numpy as np

from labkit.core.source import Clip
from labkit.lab.listen import flac_bytes
from labkit.lab.sources import converted, speech
from labkit.lab.waveform import waveform
from labkit.lab.widgets import player, screen
from labkit.wire.framing import HEADER
from labkit.words.format import Samples

RATES: Final = (8_000, 16_000, 24_000, 48_000)
FRAMES_MS: Final = (2.5, 5, 10, 20, 40, 60)
SHOWN: Final = 155, 4
"""The piece in the picture: the 155th of pieces of 4 ms, as in the lab's own close look."""


def coarse(samples: Samples, depth: int) -> Samples:
    """Samples of 16 bits as `depth` bits tell them: each in the middle of its step."""
    step = 1 << (16 - depth)
    return ((samples.astype(np.int32) // step) * step + step // 2).astype(np.int16)


class SampleLab(widgets.VBox):  # type: ignore[misc]
    """Sample rate, depth and frame length under three sliders; four milliseconds, and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        rate: int = 16_000,
        depth: int = 8,
        frame_ms: float = 20,
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        style = {"description_width": "7.5em"}
        wide = widgets.Layout(width="24em", max_width="98%")
        words = {"continuous_update": False, "style": style, "layout": wide}
        self.rate = widgets.SelectionSlider(
            options=RATES, value=rate, description="samples/s", **words
        )
        self.depth = widgets.IntSlider(value=depth, min=2, max=16, description="bits", **words)
        self.frame = widgets.SelectionSlider(
            options=FRAMES_MS, value=frame_ms, description="frame (ms)", **words
        )
        self.figures = widgets.HTML()  # a Label would be cut off where the page is narrow
        self.picture = screen()
        self.sound = player()
        controls = [self.rate, self.depth, self.frame]
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(controls, layout=rows), self.figures, self.picture, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def sound_rate(self) -> int:
        """Bits of sound a second."""
        return int(self.rate.value * self.depth.value)

    @property
    def line_rate(self) -> float:
        """The same with the header of this week before each frame."""
        return float(self.sound_rate + 1000 / self.frame.value * HEADER.size * 8)

    def clip(self) -> Clip:
        """The sound that the sliders describe."""
        fewer = converted(self._clip, self.rate.value, channels=1)
        return Clip(coarse(fewer.samples, self.depth.value), fewer.sample_rate)

    def _update(self, _change: Any = None) -> None:
        clip = self.clip()
        first, piece_ms = SHOWN
        self.picture.value = waveform(clip, first=first, count=1, frame_ms=piece_ms).png()
        self.sound.value = flac_bytes(clip.samples, clip.sample_rate)
        self.figures.value = (
            f"{self.sound_rate / 1000:g} kbit/s of sound, "
            f"{self.line_rate / 1000:.1f} with headers; "
            f"a frame is {self.sound_rate * self.frame.value / 8000:g} bytes "
            f"and {self.frame.value:g} ms old when it leaves."
        )
