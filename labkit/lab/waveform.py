"""Sound as a picture: samples over time, and where a voice is cut into frames.

    waveform(speech(3.3))                       the whole of it
    waveform(speech(), first=100, count=3)      three frames, each sample where it stands

This module knows no codec and no network.
"""

import numpy as np

from labkit.core.source import Clip
from labkit.lab.show import GREY, LINE, PASTELS, PLAYED, Picture, canvas
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS

COLUMNS = 1200
"""About as many as the picture has pixels: of more samples, each column shows the extremes."""
FEW = 200
"""So many samples can be told apart, and each gets a dot."""


def waveform(
    sound: Clip | Samples,
    *,
    first: int = 0,
    count: int | None = None,
    frame_ms: float = FRAME_MS,
    sample_rate: int = 48_000,
) -> Picture:
    """Amplitude over time, from frame `first` on; of `count` frames the borders are drawn too.

    Of a stereo sound the first channel is shown. `sample_rate` is for bare samples.
    """
    clip = sound if isinstance(sound, Clip) else Clip(np.asarray(sound, np.int16), sample_rate)
    size = round(clip.sample_rate * frame_ms / 1000)
    start = first * size
    stop = len(clip) if count is None else min(start + count * size, len(clip))
    if size < 1 or not 0 <= start < stop:
        raise BadInput(f"frame {first} is not in a sound of {len(clip)} samples", "an earlier one")
    values = clip.samples.reshape(len(clip), -1)[start:stop, 0]
    at = np.arange(start, stop) * 1000 / clip.sample_rate
    with canvas(height=2.6) as (figure, rows):
        axes = rows[0]
        if count is not None:
            for number in range(first, first + -(-(stop - start) // size)):
                left = number * frame_ms
                colour = PASTELS[number % 2]
                axes.axvspan(left, left + frame_ms, color=colour, alpha=0.6, linewidth=0)
                axes.text(
                    left + frame_ms / 2, 1.02, f"frame {number}", ha="center", va="bottom",
                    transform=axes.get_xaxis_transform(), color=LINE, fontsize=9,
                )  # fmt: skip
        if len(values) <= 2 * COLUMNS:
            axes.plot(at, values, color=PLAYED, linewidth=1)
            if len(values) <= FEW:
                axes.plot(at, values, ".", color=PLAYED, markersize=5)
        else:
            width = -(-len(values) // COLUMNS)
            edges = range(0, len(values), width)
            low = [values[i : i + width].min() for i in edges]
            high = [values[i : i + width].max() for i in edges]
            axes.fill_between(at[::width], low, high, color=PLAYED, linewidth=0.4)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xlim(
            at[0], start * 1000 / clip.sample_rate + len(values) * 1000 / clip.sample_rate
        )
        axes.set_xlabel("time (ms)")
        axes.set_ylabel("sample")
    seconds = len(values) / clip.sample_rate
    told = f"{seconds:g} s of sound, {len(values)} samples, the largest {int(abs(values).max())}"
    return Picture(figure, told)
