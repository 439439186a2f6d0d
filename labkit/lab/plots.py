"""What a capture looks like over time: sequence numbers, delay, jitter, sizes.

    sequence(traffic)         bytes of a TCP connection over time, or sequence numbers of RTP
    delays(traffic)           how late each packet of voice came, and RFC 3550's jitter
    gaps(on=a, off=b)         times between packets of captures, as histograms

The plot of sequence numbers is that of W. R. Stevens (TCP/IP Illustrated, volume 1): data go up
with time, a flat line is a stall, the staircase below is what is acknowledged and the one above
what there is room for.

This module reads no packet: `labkit.lab.traffic` does. Jitter is `labkit.core.meters`'.
"""

from typing import Any

import numpy as np

from labkit.core.meters import JitterMeter
from labkit.lab.conversations import Connection, Segment, VoicePacket, VoiceStream
from labkit.lab.show import (
    GREY,
    LATE,
    LINE,
    LOST,
    PLAYED,
    RECOVERED,
    WAITING,
    Picture,
    canvas,
    histogram,
)  # fmt: skip
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_S, SAMPLE_RATE, to_ms

STATIC_RATES = {0: 8_000, 8: 8_000, 9: 8_000, 10: 44_100, 11: 44_100}
"""RFC 3551's clocks; the dynamic payload types of this course all count 48 000."""


def clock_rate(stream: VoiceStream) -> int:
    """Ticks a second of a stream's timestamps."""
    if stream.header != "RTP":
        return SAMPLE_RATE
    return STATIC_RATES.get(stream.packets[0].payload_type, SAMPLE_RATE)


Span = tuple[float, float]


def sequence(traffic: Traffic, which: int = 0, seconds: Span | None = None) -> Picture:
    """Sequence numbers over time: of the first TCP connection, or where there is none of voice.

    `which` chooses another connection or stream, `seconds` a part of the time: (2.2, 2.8).
    """
    if which < len(traffic.connections):
        return _stevens(traffic.connections[which], seconds)
    return _voice_sequence(_voice(traffic, which), seconds)


def _voice(traffic: Traffic, which: int) -> VoiceStream:
    if which >= len(traffic.voices):
        raise BadInput(f"{traffic!r} has {len(traffic.voices)} streams of voice", "which=0")
    return traffic.voices[which]


# TCP -----------------------------------------------------------------------------------------


def _stevens(connection: Connection, span: Span | None) -> Picture:
    sides = [connection.sent(by_client=side) for side in (True, False)]
    by_client = sum(s.size for s in sides[0]) > sum(s.size for s in sides[1])
    data = connection.sent(by_client=by_client)
    answers = [s for s in connection.segments if s.from_client != by_client and s.ack]
    zero = connection.segments[0].now
    with canvas(height=4.2) as (figure, rows):
        axes = rows[0]
        _draw_answers(axes, answers, zero)
        _draw_segments(axes, [s for s in data if not s.repeated], zero, PLAYED, "data")
        _draw_segments(axes, [s for s in data if s.repeated], zero, LATE, "sent again", width=3.0)
        lost = [s for s in data if s.packet.lost]
        axes.plot(
            *_points(lost, zero), "x", color=LOST, ms=6, mew=1.6, label="lost" if lost else ""
        )
        axes.set_xlabel("time (s)")
        axes.set_ylabel("sequence number (bytes)")
        axes.legend(loc="upper left")
        top = max((s.end for s in data), default=1)
        axes.set_ylim(-0.03 * top, 1.25 * top)
        _zoom(axes, span, [((s.now - zero) / NS_PER_S, s.end) for s in data])
    again = sum(s.repeated for s in data)
    shut = sum(s.window == 0 and "RST" not in s.flags for s in answers)
    words = f"{len(data)} segments with data, {again} sent again, {shut} zero windows"
    return Picture(figure, words)


def _zoom(axes: Any, span: Span | None, points: list[tuple[float, int]]) -> None:
    """Show a part of the time, and what happened in it."""
    if span is not None:
        inside = [number for time, number in points if span[0] <= time <= span[1]] or [0, 1]
        room = 0.1 * (max(inside) - min(inside)) + 1
        axes.set_xlim(*span)
        axes.set_ylim(min(inside) - room, max(inside) + 2 * room)


def _draw_segments(
    axes: Any, segments: list[Segment], zero: int, colour: str, label: str, width: float = 1.8
) -> None:
    if segments:
        times, _ = _points(segments, zero)
        low, high = [s.seq for s in segments], [s.end for s in segments]
        axes.vlines(times, low, high, color=colour, lw=width, label=label)
        axes.plot(times, high, "_", color=colour, ms=4)


def _draw_answers(axes: Any, answers: list[Segment], zero: int) -> None:
    if not answers:
        return
    times = [(s.now - zero) / NS_PER_S for s in answers]
    acked = np.maximum.accumulate([s.ack for s in answers])
    room = [s.ack + s.window for s in answers]
    axes.step(times, room, where="post", color=GREY, lw=1, label="room (acknowledged + window)")
    axes.step(times, acked, where="post", color=RECOVERED, lw=1.3, label="acknowledged")
    shut = [(t, s.ack) for t, s in zip(times, answers, strict=True)
            if s.window == 0 and "RST" not in s.flags]  # fmt: skip
    if shut:
        axes.plot(*zip(*shut, strict=True), "v", color=LOST, ms=7, label="window is zero", zorder=4)


def _points(segments: list[Segment], zero: int) -> tuple[list[float], list[int]]:
    return [(s.now - zero) / NS_PER_S for s in segments], [s.seq for s in segments]


# Voice ---------------------------------------------------------------------------------------


def _voice_sequence(stream: VoiceStream, span: Span | None) -> Picture:
    came = stream.arrived
    zero = stream.packets[0].now
    ahead: list[VoicePacket] = []
    behind: list[VoicePacket] = []
    highest = came[0].seq
    for packet in came:
        (behind if packet.seq < highest else ahead).append(packet)
        highest = max(highest, packet.seq)
    missing = sorted({*range(came[0].seq, highest)} - {p.seq for p in came})
    with canvas() as (figure, rows):
        axes = rows[0]
        for packets, mark, colour, label in (
            (ahead, ".", PLAYED, "in order"),
            (behind, "^", LATE, "after a later one"),
        ):
            times = [(p.now - zero) / NS_PER_S for p in packets]
            seqs = [p.seq for p in packets]
            axes.plot(times, seqs, mark, color=colour, ms=4, label=label if packets else "")
        when = np.interp(missing, *_by_seq(ahead, zero))
        axes.plot(when, missing, "x", color=LOST, ms=5, mew=1.4, label="missing" if missing else "")
        axes.set_xlabel("time (s)")
        axes.set_ylabel("sequence number")
        axes.legend(loc="upper left")
        _zoom(axes, span, [((p.now - zero) / NS_PER_S, p.seq) for p in came])
    words = f"{len(came)} packets, {len(missing)} missing, {len(behind)} out of order"
    return Picture(figure, words)


def _by_seq(packets: list[VoicePacket], zero: int) -> tuple[list[int], list[float]]:
    return [p.seq for p in packets], [(p.now - zero) / NS_PER_S for p in packets]


def relative_delays(stream: VoiceStream) -> tuple[Any, Any]:
    """When each packet came, in seconds, and how much later than the quickest, in ms.

    Arrival minus timestamp; no clock is compared with another, so the least delay counts as zero.
    """
    rate = clock_rate(stream)
    came = stream.arrived
    now = np.array([p.now for p in came], float)
    media = np.array([p.timestamp for p in came], float) * (NS_PER_S / rate)
    transit = (now - now[0]) - (media - media[0])
    return (now - now[0]) / NS_PER_S, to_ms(transit - transit.min())


def jitters(stream: VoiceStream) -> list[float]:
    """RFC 3550's interarrival jitter after each packet, in ms."""
    meter, found = JitterMeter(clock_rate(stream)), []
    for packet in stream.arrived:
        meter.add(packet.timestamp % (1 << 32), packet.now)
        found.append(to_ms(meter.jitter))
    return found


def delays(traffic: Traffic, which: int = 0) -> Picture:
    """Above how late each packet came; below the jitter that a receiver would report."""
    stream = _voice(traffic, which)
    times, late = relative_delays(stream)
    jitter = jitters(stream)
    with canvas(height=2.4, rows=2) as (figure, rows):
        rows[0].vlines(times, 0, late, color=WAITING, lw=0.8)
        rows[0].plot(times, late, ".", color=PLAYED, ms=3)
        rows[0].set_ylabel("later than the\nquickest (ms)")
        rows[1].plot(times, jitter, color=LINE, lw=1.2)
        rows[1].set_ylabel("jitter, RFC 3550\n(ms)")
        rows[1].set_xlabel("time (s)")
        for axes in rows:
            axes.set_ylim(bottom=0)
    words = f"{len(late)} packets, up to {late.max():.1f} ms late, jitter {jitter[-1]:.2f} ms"
    return Picture(figure, words)


def gaps(**captures: Traffic) -> Picture:
    """Times between one packet with data and the next from the same sender, for each capture."""
    return histogram({n: _gaps(t) for n, t in captures.items()}, "time between packets (ms)", 40)


def _gaps(traffic: Traffic) -> list[float]:
    times: list[int] = []
    if traffic.connections:
        connection = traffic.connections[0]
        sides = [connection.sent(by_client=side) for side in (True, False)]
        times = [s.now for s in max(sides, key=len)]
    elif traffic.voices:
        times = [p.now for p in traffic.voices[0].arrived]
    return [to_ms(int(gap)) for gap in np.diff(times)]
