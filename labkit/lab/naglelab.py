"""Sliders for week 3: a voice over TCP, with Nagle's algorithm and without.

    NagleLab()                        the widget; `.result` is the call it shows

The same call twice, in virtual time: the one that the box chooses, whose sound it is, and the
other. With Nagle frames come in clumps, and a buffer that is shorter than a clump plays holes.

This module computes nothing: `Call` does.
"""

from typing import Any

import ipywidgets as widgets

from labkit.core.delaypolicy import Fixed
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.result import Result
from labkit.lab.show import histogram
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen, slider
from labkit.words.units import ms


class NagleLab(widgets.VBox):  # type: ignore[misc]
    """Round trip and buffer under two sliders, TCP_NODELAY under a box; delays, and the sound."""

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        round_trip: int = 54,
        buffer: int = 30,
        nodelay: bool = False,
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self.round_trip = slider("RTT (ms)", round_trip, 200, 2)
        self.buffer = slider("buffer (ms)", buffer, 300, 10)
        self.round_trip.min = 10  # without one there is nothing to wait for
        self.nodelay = widgets.Checkbox(value=nodelay, description="TCP_NODELAY", indent=False)
        self.words = widgets.Label(layout=widgets.Layout(max_width="98%"))
        self.picture = screen()
        self.sound = player()
        controls = [self.round_trip, self.buffer, self.nodelay]
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(controls, layout=rows), self.picture, self.words, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    def call(self, *, nodelay: bool) -> Call:
        """The call that the sliders describe."""
        return Call(
            self._clip,
            link=link(f"{self.round_trip.value} ms", delay=f"{self.round_trip.value / 2:g}ms"),
            transport="tcp",
            nodelay=nodelay,
            policy=Fixed(ms(self.buffer.value)),
            name="TCP_NODELAY" if nodelay else "Nagle",
            seed=3,
        )

    def _update(self, _change: Any = None) -> None:
        calls = [self.call(nodelay=on) for on in (False, True)]
        results = {call.name: call.simulate() for call in calls}
        self.result: Result = results["TCP_NODELAY" if self.nodelay.value else "Nagle"]
        delays = {name: r.timeline.network_delay_ms().tolist() for name, r in results.items()}
        self.picture.value = histogram(delays, "from written to read (ms)", ylabel="frames").png()
        self.words.value = (
            f"You hear {self.result.name}: mouth to ear {self.result.delay_ms:.0f} ms, "
            f"{100 * self.result.unheard:.1f} % not heard."
        )
        self.sound.value = flac_bytes(self.result.audio, self.result.codec.sample_rate)
