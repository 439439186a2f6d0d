"""Sliders for a voice on a bad line: which way it is carried, how long it may wait (week 9).

    TransportLab()                    the widget; `.result` is the call it shows

A change is one call in virtual time, some tenths of a second, so a slider counts when it is let go.
The buffer stays as it was set, whatever the network does: so one sees what has to wait, and hears
what the wait was too short for.

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
from labkit.lab.widgets import player, screen
from labkit.words.units import ms

CARRIED: Final = {
    "WebSocket over TLS": "wss",
    "one QUIC stream": "quic-stream",
    "a QUIC stream for each frame": "quic-streams",
    "QUIC datagrams": "quic",
}
"""In words, and as `Call` calls them."""
JITTER_MS: Final = 10
WIDE: Final = {"description_width": "8em"}


def _slider(what: str, value: int, low: int, top: int, step: int) -> widgets.IntSlider:
    return widgets.IntSlider(
        value=value,
        min=low,
        max=top,
        step=step,
        description=what,
        continuous_update=False,
        style=WIDE,
        layout=widgets.Layout(width="24em", max_width="96%"),
    )


class TransportLab(widgets.VBox):  # type: ignore[misc]
    """The way, loss, delay and buffer; the fate of every packet, and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        way: str = "wss",
        loss: int = 3,
        delay: int = 60,
        buffer: int = 120,
        seed: int = 9,
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self._seed = seed
        self.way = widgets.Dropdown(
            options=[*CARRIED.items()],
            value=way,
            description="carried by",
            style=WIDE,
            layout=widgets.Layout(width="24em", max_width="96%"),
        )
        self.loss = _slider("loss (%)", loss, 0, 20, 1)
        self.delay = _slider("delay (ms)", delay, 20, 200, 10)
        self.buffer = _slider("buffer (ms)", buffer, 20, 600, 20)
        self.picture = screen()
        self.sound = player()
        self.figures = widgets.HTML()
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
        return [self.way, self.loss, self.delay, self.buffer]

    def call(self) -> Call:
        """The call that the sliders describe."""
        words = {
            "delay": f"{self.delay.value}ms",
            "jitter": f"{JITTER_MS}ms",
            "distribution": "normal",
            "loss": f"{self.loss.value}%",
        }
        return Call(
            self._clip,
            link=link(f"{self.loss.value} % loss, {self.delay.value} ms", **words),
            transport=self.way.value,
            policy=Fixed(ms(self.buffer.value)),
            name=f"buffer of {self.buffer.value} ms",
            seed=self._seed,
        )

    def _update(self, _change: Any = None) -> None:
        self.result: Result = self.call().simulate()
        self.picture.value = self.result.show().png()
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
        found = self.result
        self.figures.value = (
            f"{100 * found.unheard:.0f} % of the frames not heard, "
            f"mouth to ear {found.delay_ms:.0f} ms, STOI {found.stoi:.2f}"
        )
