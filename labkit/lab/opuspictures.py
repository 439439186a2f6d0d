"""What Opus does, as pictures: its 32 configurations, what travels, and how a hole is filled.

    configurations()                               RFC 6716 table 2
    shares({"PCM": call, "Opus": call})            a second on the wire: sound, and headers
    payloads(call)                                 a voice, and the bytes of each of its frames
    payloads(capture("08_opus_dtx"))               the same of a capture, without the sound
    holes({"said": samples, "PLC": samples}, lost=[3])        sounds under each other
    curves({"PLC": {5: 0.97, 10: 0.94}}, "loss (%)", "STOI")  one line for each name

This module encodes nothing and measures nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.patches import Patch, Rectangle

from labkit.lab.result import Result
from labkit.lab.show import GREY, LATE, LINE, LOST, PASTELS, PLAYED, RECOVERED, Picture, canvas
from labkit.lab.traffic import Traffic
from labkit.wire import opus_toc
from labkit.wire.opus_toc import Bandwidth, Mode
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.units import FRAME_MS, SAMPLE_RATE

HEADERS: Final = 40
"""Bytes of IPv4, UDP and RTP before each payload."""
COLOURS: Final = (PLAYED, RECOVERED, LATE, LOST, LINE)
MODES: Final = dict(zip(Mode, PASTELS, strict=False))


def configurations() -> Picture:
    """The 32 numbers of the first five bits: a row for each bandwidth, a column for each length."""
    tocs = [opus_toc.parse(bytes([number << 3])) for number in range(32)]
    lengths = sorted({toc.frame_duration for toc in tocs})
    bands = list(Bandwidth)
    with canvas(height=3.2) as (figure, rows):
        axes = rows[0]
        for toc in tocs:
            x, y = lengths.index(toc.frame_duration), bands.index(toc.bandwidth)
            here = (toc.frame_duration, toc.bandwidth)
            modes = [t.mode for t in tocs if (t.frame_duration, t.bandwidth) == here]
            width = 1 / len(modes)
            left = x + width * modes.index(toc.mode)
            colour = MODES[toc.mode]
            axes.add_patch(Rectangle((left, y), width, 1, facecolor=colour, edgecolor="white"))
            axes.text(left + width / 2, y + 0.5, str(toc.config), ha="center", va="center")
        axes.set_xlim(0, len(lengths))
        axes.set_ylim(0, len(bands))
        axes.set_xticks([i + 0.5 for i in range(len(lengths))], [f"{n / 48:g}" for n in lengths])
        names = [f"{band.name}, {band.value // 1000} kHz" for band in bands]
        axes.set_yticks([i + 0.5 for i in range(len(bands))], names)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_xlabel("length of a frame (ms)")
        axes.set_ylabel("audio bandwidth")
        handles = [Patch(color=colour, label=mode.value) for mode, colour in MODES.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return Picture(
        figure, "; ".join(f"{toc.config} is {toc}".rpartition(" mono")[0] for toc in tocs)
    )


def shares(what: Mapping[str, Result | tuple[float, float]]) -> Picture:
    """Bars of kbit/s: the sound, then 40 bytes of headers with each packet.

    `what` is a call by its name, or payload and headers in bits a second.
    """
    pairs = {name: _rates(each) for name, each in what.items()}
    with canvas(height=0.42 * len(pairs) + 1.1) as (figure, rows):
        axes = rows[0]
        longest = max(sum(pair) for pair in pairs.values())
        for row, (sound, headers) in enumerate(pairs.values()):
            axes.barh(row, sound, 0.62, color=PLAYED)
            axes.barh(row, headers, 0.62, sound, color=LATE)
            said = f"{sound:.0f} + {headers:.0f} = {sound + headers:.0f}"
            axes.text(sound + headers + longest / 100, row, said, va="center", color=LINE)
        axes.set_yticks(range(len(pairs)), list(pairs))
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlim(0, 1.2 * longest)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("kbit/s on the wire")
        kinds = ((PLAYED, "sound"), (LATE, "headers: 40 bytes a packet"))
        handles = [Patch(color=colour, label=label) for colour, label in kinds]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    told = (f"{name}: {s:.0f} and {h:.0f} kbit/s" for name, (s, h) in pairs.items())
    return Picture(figure, "; ".join(told))


def _rates(what: Result | tuple[float, float]) -> tuple[float, float]:
    """Sound and headers, in kbit/s."""
    if isinstance(what, Result):
        length = len(what.reference) / what.codec.sample_rate
        return what.bitrate / 1000, len(what.timeline) * HEADERS * 8 / length / 1000
    sound, headers = what
    return sound / 1000, headers / 1000


def payloads(what: Result | Traffic, first_s: float = 0, last_s: float | None = None) -> Picture:
    """How many bytes were sent for each frame, over media time; where none were, nothing stands."""
    times, sizes, sound = _sizes(what)
    last_s = last_s if last_s is not None else float(times[-1]) + FRAME_MS / 1000
    rows = 2 if sound is not None else 1
    with canvas(height=3.4 if rows == 1 else 2.2, rows=rows) as (figure, all_axes):
        if sound is not None:
            step = max(1, len(sound) // 4000)
            at = np.arange(0, len(sound), step) / SAMPLE_RATE
            all_axes[0].plot(at, sound[::step, 0], color=GREY, lw=0.6)
            all_axes[0].set_ylabel("sample")
        axes = all_axes[-1]
        axes.bar(times, sizes, FRAME_MS / 1000, align="edge", color=PLAYED, lw=0)
        axes.set_ylabel("payload (bytes)")
        axes.set_xlabel("media time (s)")
        axes.set_xlim(first_s, last_s)
    told = f"{len(sizes)} payloads of {min(sizes)} to {max(sizes)} bytes"
    return Picture(figure, told)


def _sizes(what: Result | Traffic) -> tuple[Any, list[int], Samples | None]:
    """Seconds of media time and bytes of each payload; and the sound, where it is known."""
    if isinstance(what, Result):
        timeline = what.timeline
        times = (timeline.captured - timeline.captured[0]) / 1e9
        return times, [int(size) for size in timeline.size], what.reference
    if not what.voices:
        raise BadInput(f"{what!r} has no stream of voice", "a capture of week 8")
    packets = what.voices[0].arrived
    stamps = np.array([packet.timestamp for packet in packets], float)
    return (stamps - stamps[0]) / SAMPLE_RATE, [packet.size for packet in packets], None


def holes(
    sounds: Mapping[str, Samples], lost: Sequence[int] = (), frame: int = SAMPLE_RATE // 50
) -> Picture:
    """Sounds under each other on one scale; the frames that were lost are shaded."""
    top = 1.1 * max(float(np.abs(sound.astype(int)).max()) for sound in sounds.values())
    with canvas(height=1.35, rows=len(sounds)) as (figure, rows):
        for axes, (name, sound) in zip(rows, sounds.items(), strict=True):
            for number in lost:
                left = number * frame * 1000 / SAMPLE_RATE
                axes.axvspan(left, left + frame * 1000 / SAMPLE_RATE, color=PASTELS[3], lw=0)
            axes.plot(np.arange(len(sound)) * 1000 / SAMPLE_RATE, sound[:, 0], color=PLAYED, lw=0.9)
            axes.set_ylim(-top, top)
            axes.set_yticks([])
            axes.margins(x=0)
            axes.set_title(name, fontsize=10, pad=3)
        rows[-1].set_xlabel("time (ms); what was lost is shaded")
    return Picture(figure, f"{', '.join(sounds)}; frames lost: {', '.join(map(str, lost))}")


def curves(lines: Mapping[str, Mapping[float, float]], xlabel: str, ylabel: str) -> Picture:
    """One line for each name, through its points."""
    with canvas(height=3.6) as (figure, rows):
        axes = rows[0]
        for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
            axes.plot(list(points), list(points.values()), "o-", ms=5, color=colour, label=name)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.margins(x=0.04)
        axes.legend()
    ends = ((name, list(points.values())) for name, points in lines.items())
    told = (f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in ends)
    return Picture(figure, f"{ylabel} against {xlabel}: {'; '.join(told)}")
