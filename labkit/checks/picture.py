"""Pictures and captures of what a check did, drawn from plain data.

Four kinds of drawing are known:

    {"kind": "turns", "frame": ns, "arrivals": [(now, seq, note)],
     "wanted": [(now, seq or None)], "yours": [(now, seq or None)]}
    {"kind": "frontier", "points": {name: [(delay in ms, loss in percent)]}, "ylabel": text,
     "xlabel": text}

    {"kind": "bytes", "fields": [(name, first byte, last byte)], "wanted": hex, "yours": hex}

    {"kind": "lines", "x": […], "lines": {name: [y, …]}, "xlabel": text, "ylabel": text,
     "level": [y, name]}

The first is also a capture: its arrivals, as datagrams of our own header (`labkit.wire.minirtp`),
each with what became of it as a comment. This module decides nothing.
"""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.patches import Rectangle

from labkit.lab.show import (
    GREY,
    LATE,
    LINE,
    LOST,
    PASTELS,
    PLAYED,
    RECOVERED,
    Picture,
    canvas,
    frontier,
)
from labkit.wire import minirtp
from labkit.wire.pcap import PcapngWriter
from labkit.words.packet import Packet
from labkit.words.seqnum import add32, ahead16
from labkit.words.units import to_ms

ENDS = ("10.0.0.1", 5004), ("10.0.0.2", 5006)
"""Who sends and who receives, in the capture."""
MOST_BYTES = 20
"""In the picture of two rows of them."""
TICKS = 960
"""Of a 48 kHz clock in 20 ms."""


def draw(drawing: Mapping[str, Any]) -> Picture:
    """The picture of a drawing."""
    if drawing["kind"] == "frontier":
        points = {name: [tuple(p) for p in pairs] for name, pairs in drawing["points"].items()}
        labels = {name: drawing[name] for name in ("ylabel", "xlabel") if name in drawing}
        return frontier(points, **labels)
    if drawing["kind"] == "bytes":
        return _bytes(drawing)
    if drawing["kind"] == "lines":
        return _lines(drawing)
    return _turns(drawing)


def _lines(drawing: Mapping[str, Any]) -> Picture:
    """Some curves over one axis, and a level that they are held against."""
    level, name = drawing["level"]
    with canvas(height=3.0) as (figure, rows):
        axes = rows[0]
        axes.axhline(level, color=GREY, lw=1, ls="--", label=name)
        colours = (PLAYED, LATE, RECOVERED, LOST, LINE)
        for (label, values), colour in zip(drawing["lines"].items(), colours, strict=False):
            axes.step(drawing["x"], values, where="post", color=colour, lw=1.6, label=label)
        axes.set_xlabel(drawing["xlabel"])
        axes.set_ylabel(drawing["ylabel"])
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper center", ncols=4)
    return Picture(figure, f"{drawing['ylabel']} of {', '.join(drawing['lines'])}; {name}")


def _bytes(drawing: Mapping[str, Any]) -> Picture:
    """Two rows of bytes, one above the other, under the names of the fields."""
    wanted, yours = (bytes.fromhex(drawing[name])[:MOST_BYTES] for name in ("wanted", "yours"))
    longest = max(len(wanted), len(yours))
    with canvas(height=1.7) as (figure, rows):
        axes = rows[0]
        for (name, first, last), colour in zip(drawing["fields"], PASTELS, strict=False):
            end = min(last + 1, longest)
            axes.add_patch(Rectangle((first, 0), end - first, 2.45, facecolor=colour, lw=0))
            axes.text((first + end) / 2, 2.65, name, ha="center", fontsize=9, color=LINE)
        for y, data in ((1.75, wanted), (0.7, yours)):
            for at, byte in enumerate(data):
                wrong = y < 1 and data[at : at + 1] != wanted[at : at + 1]
                style = {"color": LOST, "weight": "bold"} if wrong else {"color": LINE}
                axes.text(
                    at + 0.5,
                    y,
                    f"{byte:02x}",
                    ha="center",
                    va="center",
                    family="monospace",
                    **style,
                )
        axes.set_xlim(0, MOST_BYTES)
        axes.set_ylim(0, 3.1)
        axes.set_yticks([0.7, 1.75], ["yours", "wanted"])
        axes.set_xticks(range(0, longest, 4))
        axes.grid(visible=False)
        axes.set_xlabel("byte")
    differ = [str(at) for at in range(len(yours)) if yours[at : at + 1] != wanted[at : at + 1]]
    return Picture(figure, f"bytes that differ: {', '.join(differ) or 'none'}")


def _turns(drawing: Mapping[str, Any]) -> Picture:
    arrivals, wanted, yours = drawing["arrivals"], drawing["wanted"], drawing["yours"]
    width = to_ms(drawing["frame"])
    differ = [
        (now, seq) for (now, seq), (_, other) in zip(yours, wanted, strict=False) if seq != other
    ]
    with canvas(height=2.9) as (figure, rows):
        axes = rows[0]
        last, raised = -1e9, False
        for now, seq, note in arrivals:
            x = to_ms(now)
            raised = x - last < 1.1 * width and not raised
            last = x
            axes.plot(x, 1.5, "^" if note else "o", color=LATE if note else PLAYED, ms=7)
            text = f"{seq} {note}" if note else f"{seq}"
            axes.text(x, 1.78 if raised else 1.6, text, ha="center", fontsize=8, color=LINE)
        for row, turns in ((0.85, wanted), (0.2, yours)):
            for now, seq in turns:
                wrong = row < 0.5 and (now, seq) in differ
                _turn(axes, to_ms(now), row, width, seq, wrong=wrong)
        axes.set_ylim(0, 2.05)
        axes.set_yticks([0.4, 1.05, 1.5], ["your turns", "wanted turns", "arrivals"])
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.02)
        axes.set_xlabel("now (ms)")
    words = [f"at {to_ms(now):.0f} ms it plays {_named(seq)}" for now, seq in differ]
    return Picture(figure, "; ".join(words) or "every turn as wanted")


def _turn(axes: Any, x: float, y: float, width: float, seq: int | None, *, wrong: bool) -> None:
    colour = LOST if wrong else GREY if seq is None else PLAYED
    filled = seq is not None
    axes.add_patch(
        Rectangle(
            (x, y),
            width,
            0.4,
            facecolor=colour if filled else "white",
            edgecolor="white" if filled else colour,
            lw=1.4,
        )
    )
    ink = "white" if filled else LINE
    axes.text(
        x + width / 2, y + 0.2, _named(seq, ""), ha="center", va="center", fontsize=8, color=ink
    )


def _named(seq: int | None, nothing: str = "nothing") -> str:
    return nothing if seq is None else str(seq)


def has_packets(drawing: Mapping[str, Any]) -> bool:
    """Whether there is something to capture."""
    return bool(drawing.get("arrivals"))


def pcapng(drawing: Mapping[str, Any]) -> bytes:
    """The arrivals as a capture."""
    out = io.BytesIO()
    start = drawing["arrivals"][0][1]
    with PcapngWriter(out) as capture:
        for now, seq, note in drawing["arrivals"]:
            packet = Packet(seq, add32(0, ahead16(seq, start) * TICKS), b"sound")
            capture.udp(now, minirtp.pack(packet), *ENDS, comment=note)
    return out.getvalue()
