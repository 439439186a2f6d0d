"""Runs GStreamer's rtpjitterbuffer over arrivals in virtual time; needs the system's python3-gi.

    /usr/bin/python3 benchmarks/gstreamer_buffer.py < arrivals.json > played.json

In: {"latency": ms, "arrivals": [[nanoseconds, sequence number], ...]}. Out: for each packet that
came out, its number and the instant at which a sink plays it, which is its PTS plus the latency.

The element takes the arrival time from the buffer and its timers from the clock, a GstTestClock
that stands still until we move it. Half a millisecond of real time is left to its threads only
where a timer fires or starts. Used by policies.py; imports nothing of labkit, because the Python
that has gi need not have it.
"""

import json
import sys
import time
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstCheck", "1.0")
from gi.repository import Gst, GstCheck  # type: ignore[import-not-found]  # noqa: E402

CAPS = "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111"
SETTLE = 0.0005
AFTER = 5_000_000_000


def rtp(seq: int) -> bytes:
    return (
        bytes([0x80, 111])
        + (seq & 0xFFFF).to_bytes(2, "big")
        + (seq * 960 & 0xFFFFFFFF).to_bytes(4, "big")
        + bytes([0, 0, 0, 1])
        + b"sound"
    )


def advance(clock: Any, until: int) -> None:
    """Move the clock, stopping at each timer on the way."""
    while clock.peek_id_count():
        found, timer = clock.peek_next_pending_id()
        at = Gst.Clock.id_get_time(timer) if found else until + 1
        if at > until:
            break
        clock.set_time(max(at, clock.get_time()))
        clock.process_next_clock_id()
        time.sleep(SETTLE)
    clock.set_time(max(until, clock.get_time()))


def run(arrivals: list[tuple[int, int]], latency: int) -> list[tuple[int, int]]:
    pipeline = Gst.Pipeline.new(None)
    element = Gst.ElementFactory.make("rtpjitterbuffer")
    element.set_property("latency", latency)
    sink = Gst.ElementFactory.make("appsink")
    sink.set_property("sync", False)
    pipeline.add(element)
    pipeline.add(sink)
    element.link(sink)
    clock = GstCheck.TestClock.new_with_start_time(0)
    pipeline.use_clock(clock)
    pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
    pipeline.set_base_time(0)
    source = Gst.Pad.new("src", Gst.PadDirection.SRC)
    source.link(element.get_static_pad("sink"))
    source.set_active(True)
    pipeline.set_state(Gst.State.PLAYING)
    source.push_event(Gst.Event.new_stream_start("stream"))
    source.push_event(Gst.Event.new_caps(Gst.Caps.from_string(CAPS)))
    segment = Gst.Segment()
    segment.init(Gst.Format.TIME)
    source.push_event(Gst.Event.new_segment(segment))

    expected = None
    for now, seq in arrivals:
        advance(clock, now)
        buffer = Gst.Buffer.new_wrapped(rtp(seq))
        buffer.pts = buffer.dts = now
        source.push(buffer)
        if seq != expected:
            time.sleep(SETTLE)  # a gap: its timer starts
        expected = seq + 1
    advance(clock, arrivals[-1][0] + AFTER)
    time.sleep(100 * SETTLE)
    played = []
    while (sample := sink.emit("try-pull-sample", 0)) is not None:
        buffer = sample.get_buffer()
        seq = int.from_bytes(buffer.extract_dup(2, 2), "big")
        played.append((seq, buffer.pts + latency * 1_000_000))
    pipeline.set_state(Gst.State.NULL)
    return played


def main() -> None:
    Gst.init(None)
    job = json.load(sys.stdin)
    json.dump(run(job["arrivals"], job["latency"]), sys.stdout)


if __name__ == "__main__":
    main()
