"""Microphone and speaker of the browser: for a server that has no sound card.

    microphone, speaker = BrowserMicrophone(), BrowserSpeaker()
    display(microphone, speaker)                           press their buttons, and then, below:
    call = Call(microphone, link="wifi-busy")
    talk = asyncio.ensure_future(call.run(10, speaker=speaker))
    talk.result()                                          when it is over

The page takes 20 ms frames from its audio thread (an AudioWorklet of the W3C's Web Audio API) and
sends two to five of them in one message, 16-bit samples as binary; the other way alike. A message
is the dear part: batches of two take 50 a second less than half as many as frames.

    microphone ─► worklet ─► batch ─► message ─► ring ─► polled by timer ─► sender
    receiver ─► playout ─► replica of the queue ─► batch ─► message ─► queue in the worklet ─► ear
                              ^──────────── reports, five a second ◄────────────────┘

Messages come on a thread of the kernel's choice, and some versions of ipykernel hold them back
while a cell runs. So a cell should return at once, and what lasts be a task.

A browser gives its microphone to pages over https or from localhost only, when somebody allows it,
and plays nothing before somebody has touched the page. This module knows no calls and no codec.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from importlib.resources import files
from typing import Any, Final, Self

import anywidget
import numpy as np
import traitlets

from labkit.core.farring import FarReport, FarRing
from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.lab.livesound import Conversion, Playing
from labkit.live.clock import now as clock
from labkit.live.soundcard import POLL, SECONDS_OF_RING
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS, SAMPLE_RATE, seconds, ticks_to_ns

FRAME: Final = SAMPLE_RATE * FRAME_MS // 1000
SILENT: Final = seconds(3)
"""A page that is on and says nothing for so long is gone, or cannot be heard."""
HEARD_EVERY: Final = 25
"""Frames between two words to the microphone that we hear it: half a second."""

_ALLOW = "allow it beside the address of the page (the icon left of it), then press Start again"
PROBLEMS: Final = {
    "refused": ("the browser was not allowed to use it", _ALLOW),
    "none": ("the browser finds no such device", "plug one in, then press Start again"),
    "busy": ("another program has the device", "close it there, then press Start again"),
    "insecure": (
        "the browser gives sound only to pages over https, or from localhost",
        "ask for https, or come through a tunnel: ssh -L 8888:localhost:8888 SERVER",
    ),
    "gesture": ("the browser plays nothing before the page was touched", "press Start"),
    "gone": ("the device went away while it was in use", "plug it in, then press Start again"),
    "other": ("the browser could not open the device", "its console (F12) says why"),
}
TEXTS: Final = {
    "off": "off",
    "asking": "asking the browser…",
    "on": "on",
    **{why: f"{what[0].upper()}{what[1:]}: {remedy}." for why, (what, remedy) in PROBLEMS.items()},
}


def _text(name: str) -> str:
    return (files("labkit.lab") / "static" / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """One module for the page; the audio thread's part travels in it as text."""
    worklets = json.dumps(_text("worklets.js"))
    ours = f"const RATE = {SAMPLE_RATE};\nconst WORKLETS = {worklets};\n"
    return ours + _text("sound.js") + _text(name)


class _Device(anywidget.AnyWidget):
    """What both share: a state that page and kernel agree on, and what is wrong in words."""

    _css = _text("sound.css")
    kind = ""
    state = traitlets.Enum(("off", "asking", "on", "failed"), "off").tag(sync=True)
    reason = traitlets.Unicode("").tag(sync=True)
    channels = traitlets.Int(1).tag(sync=True)
    batch = traitlets.Int(2).tag(sync=True)
    context_rate = traitlets.Int(0).tag(sync=True)
    """Sample rate that the page shall work at; 0 is ours. Another one is for trying that."""
    texts = traitlets.Dict(TEXTS).tag(sync=True)

    def __init__(self, channels: int = 1, batch: int = 2, **traits: Any) -> None:
        if channels not in (1, 2):
            raise BadInput(f"{channels} channels", "1 or 2")
        if not 2 <= batch <= 5:
            raise BadInput(f"{batch} frames in one message", "2 to 5")
        super().__init__(channels=channels, batch=batch, **traits)
        self.on_msg(self._received)

    def start(self) -> None:
        """Ask the page to switch it on, as its button does: browsers want a button first."""
        self.send({"kind": "start"})

    def stop(self) -> None:
        """Ask the page to switch it off."""
        self.send({"kind": "stop"})

    @property
    def failure(self) -> MissingCapability | None:
        """What is wrong, if the page said that something is."""
        if self.state != "failed":
            return None
        what, remedy = PROBLEMS.get(self.reason, PROBLEMS["other"])
        return MissingCapability(f"no {self.kind}: {what}", remedy)

    def require(self) -> None:
        """`MissingCapability` now, unless it is on."""
        if self.failure is not None:
            raise self.failure
        if self.state != "on":
            raise MissingCapability(
                f"the {self.kind} of the browser is off",
                f"show it in a cell of its own, press its button, then do this again: {self.kind}",
            )

    def _received(self, _widget: object, content: Any, buffers: list[memoryview]) -> None:
        """A message from the page. What is not ours to understand is not there."""
        try:
            self._take(content, buffers, clock())
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            self.nonsense += 1

    nonsense = 0
    """Messages that made no sense."""

    def _take(self, content: Any, buffers: list[memoryview], now: int) -> None:
        raise NotImplementedError


class BrowserMicrophone(_Device):
    """The microphone of whoever looks at the page; a `LiveSource` for a call.

    `batch` is how many frames of 20 ms come in one message, 2 to 5. `echo_cancellation` also
    switches on the browser's noise suppression and gain control: off, we hear what there is.
    """

    _esm = _script("microphone.js")
    kind = "microphone"
    sample_rate = SAMPLE_RATE
    echo_cancellation = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, channels: int = 1, batch: int = 2, *, echo_cancellation: bool = False, **traits: Any
    ) -> None:
        self.ring = RingBuffer(SAMPLE_RATE * SECONDS_OF_RING, channels)
        """What was heard and not yet read: two seconds, then the newest are dropped."""
        self.received = 0
        """Frames that came."""
        self.lost = 0
        """Frames that the page heard and we did not: it waits for a kernel that is busy."""
        self._run = self._next = self._came = self._said = 0  # since it was switched on
        super().__init__(channels, batch, echo_cancellation=echo_cancellation, **traits)

    def _take(self, content: Any, buffers: list[memoryview], now: int) -> None:
        if content["kind"] != "sound":
            return
        samples = np.frombuffer(buffers[0], np.int16).reshape(-1, self.channels)
        first, frames = int(content["first"]), len(samples) // FRAME
        if content["run"] != self._run:  # it was switched on again, and counts anew
            self._run, self._next, self._came, self._said = content["run"], 0, 0, 0
        self.lost += max(first - self._next, 0)
        self._next = first + frames
        self._came += frames
        self.received += frames
        self.ring.write(samples)
        if self._came - self._said >= HEARD_EVERY:
            self._said = self._came
            self.send({"kind": "heard", "run": self._run, "frames": self._came})

    @asynccontextmanager
    async def captured(
        self, sample_rate: int, channels: int
    ) -> AsyncIterator[AsyncIterator[Samples]]:
        """See `LiveSource`: from now on, until its button is pressed again."""
        self.require()
        self.ring.read(self.ring.fill)  # what was said before is not meant
        yield self._blocks(Conversion(SAMPLE_RATE, self.channels, sample_rate, channels))

    async def _blocks(self, convert: Conversion) -> AsyncIterator[Samples]:
        import asyncio

        last = clock()
        while self.failure is None:
            if self.ring.fill:
                last = clock()
                yield convert(self.ring.read(self.ring.fill))
            elif self.state == "off":
                return
            elif clock() - last > SILENT:
                raise MissingCapability(
                    "nothing comes from the browser's microphone any more",
                    "is the page still open? Does a cell run? Then make the call a task: "
                    "asyncio.ensure_future(call.run())",
                )
            await asyncio.sleep(POLL)
        raise self.failure


class BrowserSpeaker(_Device):
    """The speaker of whoever looks at the page; a `LiveSink` for a call.

    `cushion` is how many seconds of sound shall wait in the page: what survives a late message.
    """

    _esm = _script("speaker.js")
    kind = "speaker"

    def __init__(
        self, channels: int = 1, batch: int = 2, *, cushion: float = 0.12, **traits: Any
    ) -> None:
        if not 0.04 <= cushion <= 1:
            raise BadInput(f"a cushion of {cushion:g} s", "0.04 to 1 second")
        self.cushion = cushion
        self.played: BrowserPlayback | None = None
        """What plays now, or played last."""
        self._streams = 0
        super().__init__(channels, batch, **traits)

    def playing(
        self, sample_rate: int = SAMPLE_RATE, channels: int = 1
    ) -> "AbstractContextManager[Playing]":
        """See `LiveSink`. One at a time: a new one ends the one before."""
        self.require()
        self._streams += 1
        self.played = BrowserPlayback(self, self._streams, sample_rate, channels)
        return self.played

    def _take(self, content: Any, buffers: list[memoryview], now: int) -> None:
        playback = self.played
        if content["kind"] == "report" and playback is not None:
            playback.reported(content, now)


class BrowserPlayback:
    """One stream of sound to the page, with the face of `labkit.live.soundcard.Playback`."""

    def __init__(
        self, speaker: BrowserSpeaker, stream: int, sample_rate: int, channels: int
    ) -> None:
        self.speaker = speaker
        self.stream = stream
        self.cushion = round(speaker.cushion * SAMPLE_RATE)
        self.ring = FarRing(SAMPLE_RATE * SECONDS_OF_RING, speaker.channels, SAMPLE_RATE)
        self._playout = Playout(self.ring, self.cushion)
        self._convert = Conversion(sample_rate, channels, SAMPLE_RATE, speaker.channels)
        self._output = 0
        self._begun = 0

    def reported(self, content: Any, now: int) -> None:
        """The page says how its queue is. On whatever thread messages come."""
        if content["stream"] != self.stream:
            return
        counts = (int(content[name]) for name in ("received", "played", "queued"))
        troubles = (int(content[name]) for name in ("underruns", "silence", "dropped"))
        self._output = seconds(min(max(float(content["output"]), 0.0), 1.0))
        self.ring.report(FarReport(now, *counts, *troubles))

    @property
    def failure(self) -> MissingCapability | None:
        """Why nothing is heard any more, if so."""
        if self.speaker.state != "on":
            return self.speaker.failure or MissingCapability(
                "the speaker of the browser was switched off", "press its button"
            )
        heard = self.ring.heard_from or self._begun
        if self._begun and clock() - heard > SILENT:
            return MissingCapability(
                "the page says nothing any more", "is it still open? Does a cell run?"
            )
        return None

    @property
    def latency(self) -> int:
        """Nanoseconds from `write` to the ear: what waits here and there, and the card."""
        return self._output + ticks_to_ns(self.ring.fill, SAMPLE_RATE)

    @property
    def skipped(self) -> int:
        """Samples left out because too many waited: the page had stopped to play."""
        return self._playout.skipped

    @property
    def ppm(self) -> float:
        """How much we stretch the sound to keep up with the other clock, in millionths."""
        return self._playout.ppm

    def write(self, samples: Samples, instant: int) -> None:
        """Play `samples` after those before them."""
        self._begun = self._begun or instant
        self.ring.catch_up(instant)
        self._playout.target = self.cushion + self.ring.transit
        self._playout.write(self._convert(samples), instant)
        if sum(map(len, self.ring.outbox)) >= self.speaker.batch * FRAME:
            self._send()

    def _send(self) -> None:
        if self.ring.outbox:
            sound = np.concatenate(self.ring.outbox).tobytes()
            self.ring.outbox.clear()
            self.speaker.send({"kind": "sound"}, buffers=[sound])

    def __enter__(self) -> Self:
        begin = {"kind": "begin", "stream": self.stream, "cushion": self.cushion}
        self.speaker.send(begin)
        return self

    def __exit__(self, *exc: object) -> None:
        self._send()
        self.ring.finish()
        self.speaker.send({"kind": "end"})
