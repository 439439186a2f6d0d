"""Sliders: make a listener's line thin, choose its queue, and hear who suffers (week 10).

    CrowdLab()                        the widget; `.result` is the crowd that it shows

Ann has a good line, Dora has the one of the slider. A change is a crowd in virtual time, half a
second, so a slider counts when it is let go. This module computes nothing: `Crowd` does.
"""

from typing import Any

import ipywidgets as widgets

from labkit.codec.opus import Opus
from labkit.core.flowcontrol import Drop, SendQueue
from labkit.core.source import Clip
from labkit.lab.crowd import Crowd, OneQueue, OwnQueues
from labkit.lab.crowdresult import CrowdResult
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.sources import speech
from labkit.lab.widgets import screen, wide_slider

POLICIES = {
    "the oldest": Drop.OLDEST,
    "the newest": Drop.NEWEST,
    "all before a key point": Drop.TO_KEY_POINT,
}
STYLE = {"description_width": "9.5em"}


class CrowdLab(widgets.VBox):  # type: ignore[misc]
    """One voice, a good line and a thin one; what waits, what is dropped, and what both hear."""

    def __init__(
        self, clip: Clip | None = None, *, rate: int = 30, queue: int = 50, seed: int = 7
    ) -> None:
        self._clip = clip if clip is not None else speech()
        self._seed = seed
        self.rate = wide_slider("Dora's line (kbit/s)", rate, 16, 80, 2)
        self.queue = wide_slider("queue (packets)", queue, 5, 150, 5)
        self.drop = widgets.Dropdown(
            options=list(POLICIES),
            description="what is dropped",
            style=STYLE,
            layout=widgets.Layout(width="26em", max_width="96%"),
        )
        self.shared = widgets.Checkbox(value=False, description="one queue for all", indent=False)
        self.picture = screen()
        self.sounds = {
            name: widgets.Audio(
                format="flac",
                autoplay=False,
                loop=False,
                layout=widgets.Layout(width="20em", max_width="96%"),
            )
            for name in ("Ann", "Dora")
        }
        self.heard = {name: widgets.Label() for name in self.sounds}
        for control in self._controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap", max_width="98%", align_items="center")
        players = [
            widgets.HBox([self.sounds[name], self.heard[name]], layout=rows) for name in self.sounds
        ]
        super().__init__(
            [widgets.HBox(self._controls, layout=rows), self.picture, *players],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def _controls(self) -> list[Any]:
        return [self.rate, self.queue, self.drop, self.shared]

    def crowd(self) -> Crowd:
        """The crowd that the sliders describe."""
        limit, policy = self.queue.value, POLICIES[self.drop.value]
        thin = link("thin", delay="20ms", rate=f"{self.rate.value}kbit")
        return Crowd(
            {"Ann": "lan", "Dora": thin},
            self._clip,
            codec=Opus(32_000, dtx=True),
            queue=lambda: SendQueue(limit, policy),
            server=OneQueue if self.shared.value else OwnQueues,
            seed=self._seed,
        )

    def _update(self, _change: Any = None) -> None:
        self.result: CrowdResult = self.crowd().simulate()
        self.picture.value = self.result.show().png()
        for name, sound in self.sounds.items():
            result = self.result[name]
            sound.value = flac_bytes(result.audio, result.codec.sample_rate)
            delays = self.result.delays(name)
            old = f"up to {delays.max() / 1000:.1f} s old" if len(delays) else "nothing"
            self.heard[name].value = f"{name}: {1 - result.unheard:.0%} heard, {old}"
