"""Hear it: players in a notebook, one under the other, each with its name.

    listen(speech())                          one sound
    listen(naive, good)                       what was said, and what each call made of it
    listen({"before": samples, "after": samples})

Starting one player stops the others, so two receivers can be compared by two clicks. The sound is
carried in the page itself, as FLAC: bit for bit what was heard, in a quarter of the bytes, so a
notebook that was run can be sent and heard without us.

This module makes no sound and changes none.
"""

import base64
import html
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from labkit.core.source import Clip
from labkit.words.format import Samples

if TYPE_CHECKING:
    from labkit.lab.result import Result

STOP_THE_OTHERS = (
    "for(const a of this.closest('.labkit-players').querySelectorAll('audio'))if(a!==this)a.pause()"
)


def flac_bytes(samples: Samples, sample_rate: int) -> bytes:
    """A whole FLAC file from 16-bit samples of shape (samples, channels)."""
    samples = samples if samples.ndim == 2 else samples[:, np.newaxis]
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream: Any = file.add_stream("flac", rate=sample_rate)
        stream.layout = layout = "stereo" if samples.shape[1] == 2 else "mono"
        interleaved = np.ascontiguousarray(samples, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = sample_rate
        for piece in (frame, None):
            for packet in stream.encode(piece):
                file.mux(packet)
    return out.getvalue()


class Player:
    """One or several sounds, each with its name and a play button."""

    def __init__(self, sounds: Mapping[str, Clip]) -> None:
        self.sounds = dict(sounds)

    def _repr_html_(self) -> str:
        rows = "".join(self._row(name, clip) for name, clip in self.sounds.items())
        return f'<div class="labkit-players">{rows}</div>'

    @staticmethod
    def _row(name: str, clip: Clip) -> str:
        label = html.escape(name)
        if len(clip) == 0:
            return f"<div>{label}: nothing was heard</div>"
        data = base64.b64encode(flac_bytes(clip.samples, clip.sample_rate)).decode()
        return (
            '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:0 .8em;margin:.25em 0">'
            f'<audio controls preload="metadata" aria-label="{label}" '
            f'onplay="{STOP_THE_OTHERS}" src="data:audio/flac;base64,{data}" '
            f'style="height:34px;width:22em;max-width:100%"></audio><span>{label}</span></div>'
        )

    def __repr__(self) -> str:
        lengths = (f"{n}: {len(s) / s.sample_rate:.1f} s" for n, s in self.sounds.items())
        return f"<Player: {', '.join(lengths)}>"


def listen(
    *what: "Result | Clip | Samples | Mapping[str, Samples]", sample_rate: int = 48_000
) -> Player:
    """Players for sounds or for calls. `sample_rate` is that of bare samples."""
    sounds: dict[str, Clip] = {}
    for each in what:
        for name, clip in _named(each, sample_rate):
            if name == SAID and SAID in sounds:
                if any(_same(known, clip) for known in sounds.values()):
                    continue
                if clip.sample_rate != sounds[SAID].sample_rate:
                    name = f"{SAID}, at {clip.sample_rate / 1000:g} kHz"
            free = (n for n in _numbered(name) if n not in sounds)
            sounds[next(free)] = clip
    return Player(sounds)


SAID = "what was said"


def _named(what: Any, sample_rate: int) -> Iterator[tuple[str, Clip]]:
    if isinstance(what, Mapping):
        for name, samples in what.items():
            yield name, Clip(samples, sample_rate)
    elif isinstance(what, Clip):
        yield "", what
    elif isinstance(what, np.ndarray):
        yield "", Clip(what, sample_rate)
    else:
        rate = what.codec.sample_rate
        yield SAID, Clip(what.reference, rate)
        yield what.name, Clip(what.audio, rate)


def _same(one: Clip, other: Clip) -> bool:
    return one.sample_rate == other.sample_rate and np.array_equal(one.samples, other.samples)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in range(2, 1000):
        yield f"{name} ({number})"
