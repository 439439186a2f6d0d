"""Sliders: a voice beside an upload on a narrow line; choose who goes first (week 11).

    QosLab()                          the widget; `.run` is what it shows

A change is a call in virtual time, so a slider counts when it is let go. What is heard has two
ears: left what is said, right what arrives. This module computes nothing: `simulate` does.
"""

from collections.abc import Callable
from typing import Any, Final

import ipywidgets as widgets

from labkit.core.scheduler import (
    DeficitRoundRobin,
    Fifo,
    Policed,
    Scheduler,
    StrictPriority,
    TokenBucket,
)
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.ears import both_ears
from labkit.lab.latencies import before_after
from labkit.lab.listen import flac_bytes
from labkit.lab.qos import BesideBulk, simulate
from labkit.lab.result import in_ms
from labkit.lab.sources import speech
from labkit.lab.widgets import screen, wide_slider
from labkit.words.dscp import Dscp

POLICE: Final = 100_000
"""Bits a second that the guard lets in as EF: a voice of 50 kbit/s with its headers, and room."""
BURST: Final = 1500
SHARE: Final = 750
"""Bytes a round for EF in turns, beside 1500 for the others."""

WHO: Final[dict[str, Callable[[int], Scheduler]]] = {
    "one queue for all": Fifo,
    "EF first": lambda limit: StrictPriority(limit=limit),
    "EF first, policed": lambda limit: Policed(
        StrictPriority(limit=limit), TokenBucket(POLICE, BURST)
    ),
    "in turns": lambda limit: DeficitRoundRobin({Dscp.EF: SHARE}, limit=limit),
}
STYLE: Final = {"description_width": "9.5em"}


class QosLab(widgets.VBox):  # type: ignore[misc]
    """A line, an upload and a voice; what becomes of the voice's delay, and what is heard."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        rate: int = 2000,
        bulk: int = 120,
        queue: int = 100,
        who: str = "one queue for all",
        seed: int = 7,
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self._seed = seed
        self.rate = wide_slider("line (kbit/s)", rate, 250, 8000, 250)
        self.bulk = wide_slider("upload (% of it)", bulk, 0, 150, 10)
        self.queue = wide_slider("queue (packets)", queue, 5, 200, 5)
        self.who = widgets.Dropdown(
            options=list(WHO),
            value=who,
            description="who goes first",
            style=STYLE,
            layout=widgets.Layout(width="26em", max_width="96%"),
        )
        self.cheats = widgets.Checkbox(
            value=False, description="the upload is marked EF too", indent=False
        )
        self.picture = screen()
        self.sound = widgets.Audio(
            format="flac",
            autoplay=False,
            loop=False,
            layout=widgets.Layout(width="20em", max_width="96%"),
        )
        self.heard = widgets.Label()
        for control in self._controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap", max_width="98%", align_items="center")
        super().__init__(
            [
                widgets.HBox(self._controls, layout=rows),
                self.picture,
                widgets.HBox([self.sound, self.heard], layout=rows),
            ],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def _controls(self) -> list[Any]:
        return [self.rate, self.bulk, self.queue, self.who, self.cheats]

    def _update(self, _change: Any = None) -> None:
        self.run: BesideBulk = simulate(
            WHO[self.who.value](self.queue.value),
            call=Call(self._clip, seed=self._seed),
            rate=1000 * self.rate.value,
            bulk=self.bulk.value / 100,
            bulk_dscp=Dscp.EF if self.cheats.value else Dscp.CS0,
            name=self.who.value,
        )
        result = self.run.result
        assert result is not None
        self.picture.value = before_after(self.run).png()
        self.sound.value = flac_bytes(both_ears(result), result.codec.sample_rate)
        heard, late = f"{1 - result.unheard:.0%} heard", in_ms(result.delay_ms)
        self.heard.value = f"left said, right heard: {heard}, {late} mouth to ear, R {result.r:.0f}"
