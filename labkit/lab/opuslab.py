"""Sliders for Opus: bitrate, loss, and what the receiver does about it; see it and hear it.

    OpusLab()                         the widget; `.result` is the call it shows

A change is one call in virtual time. What counts is read off the line below the sliders: kbit/s of
sound and with headers, STOI, and what was not heard. A slider can also be moved from code.

This module computes nothing: `Call` does.
"""

from typing import Any, Final

import ipywidgets as widgets

from labkit.codec.opus import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.opuspictures import HEADERS
from labkit.lab.result import Result
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen
from labkit.words.units import ms

REPAIRS: Final = {"silence": (False, False), "PLC": (False, True), "FEC, else PLC": (True, True)}
"""What a receiver puts into a hole: `fec` and `conceal` of a call."""
BITRATES: Final = (6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
"""kbit/s."""
BURST: Final = 3
"""Packets lost in a row, on average, where loss comes in bursts."""
BUFFER: Final = ms(40)
"""So that the next packet is here when this one is missed."""


class OpusLab(widgets.VBox):  # type: ignore[misc]
    """Bitrate, loss and repair; the fate of every packet, the figures and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        bitrate: int = 32,
        loss: int = 10,
        repair: str = "FEC, else PLC",
        seed: int = 8,
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self._seed = seed
        style = {"description_width": "7.5em"}
        wide = widgets.Layout(width="24em", max_width="98%")
        words = {"continuous_update": False, "style": style, "layout": wide}
        self.bitrate = widgets.SelectionSlider(
            options=BITRATES, value=bitrate, description="kbit/s", **words
        )
        self.loss = widgets.IntSlider(value=loss, min=0, max=40, description="loss (%)", **words)
        self.repair = widgets.Dropdown(
            options=list(REPAIRS), value=repair, description="a hole gets", style=style, layout=wide
        )
        self.bursts = widgets.Checkbox(
            value=False, description=f"losses in bursts, {BURST} in a row", indent=False
        )
        self.figures = widgets.HTML()  # a Label would be cut off where the page is narrow
        self.picture = screen()
        self.sound = player()
        for control in self._controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(self._controls, layout=rows), self.figures, self.picture, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def _controls(self) -> list[Any]:
        return [self.bitrate, self.loss, self.repair, self.bursts]

    def call(self) -> Call:
        """The call that the sliders describe."""
        loss = self.loss.value
        name = f"{loss} % loss{' in bursts' if self.bursts.value else ''}"
        if self.bursts.value and loss:
            # Gilbert's two states: bad for BURST packets on average, and bad `loss` % of the time.
            recover = 1 / BURST
            enter = recover * loss / (100 - loss)
            burst = {"p": f"{100 * enter:.4g}%", "r": f"{100 * recover:.4g}%"}
            network = link(name, delay="50ms", gemodel=burst)
        else:
            network = link(name, delay="50ms", loss=f"{loss}%")
        fec, conceal = REPAIRS[self.repair.value]
        return Call(
            self._clip,
            codec=Opus(1000 * self.bitrate.value, fec=True),
            link=network,
            policy=Fixed(BUFFER),
            name=f"Opus {self.bitrate.value} kbit/s, {self.repair.value}",
            seed=self._seed,
            fec=fec,
            conceal=conceal,
        )

    def _update(self, _change: Any = None) -> None:
        result: Result = self.call().simulate()
        self.result = result
        headers = len(result.timeline) * HEADERS * 8 / (len(result.reference) / 48)
        sound = result.bitrate / 1000
        self.figures.value = (
            f"{sound:.1f} kbit/s of sound, {sound + headers:.1f} with headers; "
            f"{result.unheard:.1%} not heard; STOI {result.stoi:.3f}"
        )
        self.picture.value = result.show().png()
        # In media time: where the goodbye is lost too, a listener goes on waiting for a while.
        self.sound.value = flac_bytes(result.aligned, result.codec.sample_rate)
