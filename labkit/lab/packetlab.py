"""Sliders for the length of a packet: headers, fragments, loss and delay, and what is heard.

    PacketLab()                       the widget; `.result` is the call it shows

A short packet is mostly headers, a long one is cut by IP, is lost with any of its fragments, and
takes its own length from mouth to ear before it can be sent. Loss is that of IP packets.

This module computes nothing: `PacketCall` does.
"""

from typing import Any, Final

import ipywidgets as widgets

from labkit.codec.pcm import Pcm
from labkit.core.delaypolicy import Fixed
from labkit.core.source import Clip
from labkit.lab.fragments import IP_HEADER, UDP_HEADER, cut, sizes
from labkit.lab.links import link
from labkit.lab.listen import flac_bytes
from labkit.lab.packets import PacketCall
from labkit.lab.result import Result
from labkit.lab.show import Picture, timelines
from labkit.lab.sources import speech
from labkit.lab.widgets import player, screen
from labkit.wire.minirtp import HEADER
from labkit.words.units import ms

RATE: Final = 24_000
LENGTHS: Final = (5, 10, 20, 40, 60, 100)
MTUS: Final = (576, 1280, 1500)
LONGEST: Final = 60_000
"""A limit above every packet here: the packetizer cuts nothing, IP does."""
DELAY_MS: Final = 40


class PacketLab(widgets.VBox):  # type: ignore[misc]
    """Length, MTU and loss; the fate of every packet, and the sound."""

    def __init__(
        self, clip: Clip | None = None, *, length: int = 20, mtu: int = 1500, loss: int = 5
    ) -> None:
        self._clip = clip if clip is not None else speech(7.5)
        self.length = _choice("packet (ms)", LENGTHS, length)
        self.mtu = _choice("MTU (bytes)", MTUS, mtu)
        self.loss = widgets.IntSlider(
            value=loss, min=0, max=20, description="loss (%)", continuous_update=False, **_look()
        )
        self.picture = screen()
        self.words = widgets.HTML()
        self.sound = player()
        controls = [self.length, self.mtu, self.loss]
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        rows = widgets.Layout(flex_flow="row wrap")
        super().__init__(
            [widgets.HBox(controls, layout=rows), self.words, self.picture, self.sound],
            layout=widgets.Layout(overflow="visible"),
        )

    @property
    def payload(self) -> int:
        """Bytes of sound in a packet."""
        return int(self.length.value) * RATE // 1000 * 2

    def call(self) -> PacketCall:
        """The call that the sliders describe."""
        return PacketCall(
            self._clip,
            Pcm(RATE, frame_ms=self.length.value),
            link(f"{self.loss.value} % loss", delay=f"{DELAY_MS}ms", loss=f"{self.loss.value}%"),
            "udp",
            policy=Fixed(ms(self.length.value)),  # a packet in hand, so that a lost one is noticed
            seed=5,
            limit=LONGEST,
            mtu=self.mtu.value,
            name=f"{self.length.value} ms a packet",
        )

    def _update(self, _change: Any = None) -> None:
        self.result: Result = self.call().simulate()
        self.picture.value = self._picture().png()
        self.words.value = f"<span>{self.summary()}</span>"
        self.sound.value = flac_bytes(self.result.audio, RATE)

    def _picture(self) -> Picture:
        return timelines([self.result])

    def summary(self) -> str:
        """What a packet is, and what becomes of it."""
        found = cut(UDP_HEADER + HEADER.size + self.payload, self.mtu.value)
        wire = sum(sizes(found))
        headers = len(found) * IP_HEADER + UDP_HEADER + HEADER.size
        many = f"{len(found)} fragments" if len(found) > 1 else "one IP packet"
        lost = self.result.timeline.lost
        return (
            f"{self.payload} bytes of sound, {many}; {headers / wire:.0%} of the line is headers; "
            f"{lost:.1%} of the datagrams lost; {self.result.delay_ms:.0f} ms from mouth to ear"
        )


def _look() -> dict[str, Any]:
    return {
        "style": {"description_width": "7.5em"},
        "layout": widgets.Layout(width="22em", max_width="98%"),
    }


def _choice(what: str, values: tuple[int, ...], value: int) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(
        options=values, value=value, description=what, continuous_update=False, **_look()
    )
