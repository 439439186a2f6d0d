"""Who said what to whom, and when: a ladder of two hosts with an arrow for each packet.

    ladder(open_capture("call.pcapng"))              the first twenty packets
    ladder(traffic, first=380, count=20)             from packet 380 on
    ladder(from_tap(tap.sent, tap.arrived))          with both times: arrows that cross are seen

Time runs downwards, one row for each event, so that close packets can be read; the clock stands at
the side. A capture is taken in one place and knows one time of each packet, and so the slope of
its arrows means nothing; a tap in virtual time knows both, and rows are sent and come.

Blue arrows are data, grey ones only acknowledge; orange is sent again, and what was lost breaks
off. This module reads no packet: `labkit.lab.traffic` does.
"""

from typing import Any, Final, NamedTuple

from labkit.lab.conversations import Segment
from labkit.lab.laterlayers import told
from labkit.lab.seen import Seen
from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, WAITING, Picture, canvas
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_MS, ms, to_ms

SLOPE: Final = 0.4
"""Rows from tail to head, where the time of arrival is not known."""
LONG: Final = ms(100)
"""A pause that is worth a word."""
TEXTS: Final = {"RTCP SDES": "SDES", "RTCP SR": "SR", "RTCP RR": "RR", "RTCP BYE": "BYE"}


class Rung(NamedTuple):
    """One arrow: where its ends are, in rows, and what is written on it."""

    packet: Seen
    rightwards: bool
    start: float
    end: float
    label: str
    colour: str


def ladder(traffic: Traffic, first: int = 1, count: int = 20) -> Picture:
    """Packets `first` to `first + count` between the two hosts of the first of them."""
    hosts, packets = _conversation(traffic, first, count)
    segments = {
        s.packet.number: s for connection in traffic.connections for s in connection.segments
    }
    rows = _rows(packets)
    rungs = [_rung(packet, segments.get(packet.number), hosts[0], rows) for packet in packets]
    height = max(max(r.end for r in rungs), max(r.start for r in rungs)) + 1
    with canvas(width=9, height=0.30 * height + 0.7) as (figure, all_axes):
        axes = all_axes[0]
        for rung in rungs:
            _draw_rung(axes, rung)
        _draw_clocks(axes, rungs, min(packet.now for packet in packets))
        _draw_hosts(axes, hosts, height)
    lost = sum(packet.lost for packet in packets)
    words = f"{len(packets)} packets between {hosts[0]} and {hosts[1]}, {lost} of them lost"
    return Picture(figure, words)


def _conversation(traffic: Traffic, first: int, count: int) -> tuple[tuple[str, str], list[Seen]]:
    """Two hosts, who speaks first to the left, and the packets between them."""
    later = [packet for packet in traffic if packet.number >= first]
    if not later:
        raise BadInput(f"there is no packet {first}", f"one of 1 to {len(traffic)}")
    hosts = (later[0].source[0], later[0].destination[0])
    between = [p for p in later if {p.source[0], p.destination[0]} == set(hosts)]
    return hosts, between[:count]


def _rows(packets: list[Seen]) -> dict[tuple[int, bool], float]:
    """The row of each event: (number, whether it is the arrival)."""
    if not any(packet.arrived is not None for packet in packets):
        return {(p.number, False): float(row) for row, p in enumerate(packets)}
    events = [(p.now, False, p.number) for p in packets]
    events += [(p.arrived, True, p.number) for p in packets if p.arrived is not None]
    ordered = sorted(events)
    return {(number, came): float(row) for row, (_, came, number) in enumerate(ordered)}


def _rung(
    packet: Seen, segment: Segment | None, left: str, rows: dict[tuple[int, bool], float]
) -> Rung:
    start = rows[packet.number, False]
    end = rows.get((packet.number, True), start + SLOPE)
    colour = PLAYED
    if segment is not None and segment.repeated:
        colour = LATE
    elif segment is not None and not segment.size:
        colour = GREY
    if packet.lost:
        colour = LOST
    return Rung(packet, packet.source[0] == left, start, end, _label(packet, segment), colour)


def _label(packet: Seen, segment: Segment | None) -> str:
    names = [layer.name for layer in packet.found.layers]
    if segment is not None:
        kinds = [x.text("kind").split("(")[-1].strip(")") for x in _frames(packet)]
        later = told(packet.found.layers)
        kinds = [later, *kinds] if later else kinds
        text = str(segment) + (f": {', '.join(dict.fromkeys(kinds))}" if kinds else "")
        again = "sent again, " if segment.repeated else "probe, " if segment.probe else ""
        return again + text
    if later := told(packet.found.layers):
        return f"{later}, {packet.size} bytes"
    if rtp := packet.found.get("RTP"):
        mark = " M" if rtp.get("M") else ""
        return f"RTP {rtp.get('sequence number')}{mark}, {rtp.get('payload') or 0} bytes"
    if own := packet.found.get("minirtp"):
        kind = own.text("kind").split("(")[-1].strip(")")
        return f"{kind} {own['seq']}, {own.get('payload') or 0} bytes"
    if names[-1] == "IP":
        return f"fragment from byte {8 * (packet.found['IP'].get('fragment offset') or 0)} on"
    if names[-1].startswith("SRTCP"):
        return names[-1]
    if any(name.startswith("RTCP") for name in names):
        return "RTCP " + " ".join(
            TEXTS.get(name, name) for name in names if name.startswith("RTCP")
        )
    return f"{names[-1]}, {packet.size} bytes"


def _frames(packet: Seen) -> list[Any]:
    return [
        layer for layer in packet.found.layers if layer.name == "frame" and len(layer.parts) > 4
    ]


def _draw_rung(axes: Any, rung: Rung) -> None:
    tail, head = (0.0, 1.0) if rung.rightwards else (1.0, 0.0)
    start, end = rung.start, rung.end
    style = {"arrowstyle": "-|>", "color": rung.colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    if rung.packet.lost:
        head, end = tail + (head - tail) * 0.55, start + (end - start) * 0.55
        style["arrowstyle"] = "-"
        axes.plot(head, end, "x", color=LOST, ms=7, mew=2, clip_on=False)
    axes.annotate("", xy=(head, end), xytext=(tail, start), arrowprops=style)
    part, align = 0.5, "center"
    if rung.packet.lost or rung.packet.arrived is not None:  # arrows cross: each label at its tail
        part, align = 0.03, "left" if rung.rightwards else "right"
    axes.text(
        part if rung.rightwards else 1 - part,
        rung.start + (rung.end - rung.start) * (0.1 if part < 0.5 else part),
        rung.label,
        ha=align,
        va="center",
        fontsize=7.8,
        color=LINE,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )


def _draw_clocks(axes: Any, rungs: list[Rung], zero: int) -> None:
    """When, at the side where it happened; and a word where nothing happened for long."""
    last = zero
    for rung in rungs:
        moments = [(rung.start, rung.packet.now, rung.rightwards)]
        if rung.packet.arrived is not None:
            moments.append((rung.end, rung.packet.arrived, not rung.rightwards))
        for row, now, left in moments:
            axes.text(
                -0.02 if left else 1.02, row, f"{to_ms(now - zero):.1f}",
                ha="right" if left else "left", va="center", fontsize=7.8, color=GREY,
            )  # fmt: skip
        pause = rung.packet.now - last
        if pause >= LONG and rung.packet.arrived is None:
            axes.axhspan(rung.start - 0.62, rung.start - 0.28, color=WAITING, lw=0)
            text = f"{pause / NS_PER_MS:.0f} ms of silence"
            axes.text(0.5, rung.start - 0.45, text, ha="center", va="center", fontsize=7)
        last = rung.packet.now


def _draw_hosts(axes: Any, hosts: tuple[str, str], height: float) -> None:
    axes.set_xlim(-0.12, 1.12)
    axes.set_ylim(height - 0.3, -1.1)
    axes.set_axis_off()
    for x, host in enumerate(hosts):
        axes.plot([x, x], [-0.6, height - 0.4], color=LINE, lw=1.6)
        axes.text(x, -0.85, host, ha="center", va="bottom", fontsize=9.5, fontweight="bold")
    axes.text(-0.02, -0.45, "ms", ha="right", va="center", fontsize=7.8, color=GREY)
