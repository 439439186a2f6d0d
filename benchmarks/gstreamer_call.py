"""One end of a call by GStreamer, for live_latency.py; needs the system's python3-gi.

    /usr/bin/python3 benchmarks/gstreamer_call.py receive LATENCY_MS FRAMES
    /usr/bin/python3 benchmarks/gstreamer_call.py send PORT FRAMES BITRATE COMPLEXITY

`receive` prints the port it listens on, then [[sequence number, when it was heard], ...]. `send`
prints when frame 0 was complete. All times are nanoseconds of CLOCK_MONOTONIC, which is GStreamer's
system clock and Python's `time.monotonic_ns`.

A live source hands a frame over when it is complete. `audiotestsrc` does so at the instant of the
PTS, as if it knew the sound 20 ms ahead, so the PTS it gives is when the frame is complete. The
first frame is not sent: `opusenc` makes it 6.5 ms shorter (its lookahead), and GStreamer would take
that for a fast packet and play everything 6.5 ms early until it has forgotten it.

`rtpjitterbuffer` holds a packet only as long as it must to put the stream in order; what waits for
the end of the latency is the sink. Its processing deadline, another 20 ms by default, is set to 0.
Imports nothing of labkit, because the Python that has gi need not have it.
"""

import json
import sys
import time
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # type: ignore[import-not-found]  # noqa: E402

CAPS = "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111"
SENDER = """
    audiotestsrc is-live=true samplesperbuffer=960 num-buffers={frames}
    ! audio/x-raw,rate=48000,channels=1
    ! opusenc name=encoder frame-size=20 bitrate={bitrate} complexity={complexity}
    ! rtpopuspay pt=111 seqnum-offset=0 ! udpsink host=127.0.0.1 port={port} sync=false async=false
"""
RECEIVER = f"""
    udpsrc name=source address=127.0.0.1 port=0 caps="{CAPS}"
    ! rtpjitterbuffer name=buffer latency={{latency}} ! rtpopusdepay ! opusdec
    ! fakesink name=sink sync=true processing-deadline=0 signal-handoffs=true
"""
FRAME = 20_000_000
PATIENCE_S = 5


def send(port: int, frames: int, bitrate: int, complexity: int) -> int:
    """Send all frames but the first in real time; when the first sent was complete."""
    pipeline = Gst.parse_launch(
        SENDER.format(port=port, frames=frames + 1, bitrate=bitrate, complexity=complexity)
    )
    first: list[int] = []

    def drop(pad: Any, info: Any) -> Any:
        if first:
            return Gst.PadProbeReturn.REMOVE
        first.append(info.get_buffer().pts)
        return Gst.PadProbeReturn.DROP

    pad = pipeline.get_by_name("encoder").get_static_pad("src")
    pad.add_probe(Gst.PadProbeType.BUFFER, drop)
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS)
    complete = pipeline.get_base_time() + first[0] + FRAME
    pipeline.set_state(Gst.State.NULL)
    return int(complete)


def receive(latency: int, frames: int) -> list[tuple[int, int]]:
    """Listen until the last frame is heard, or nothing is for a while."""
    pipeline = Gst.parse_launch(RECEIVER.format(latency=latency))
    arrived: list[tuple[int, int]] = []  # PTS and sequence number, in order
    heard: list[tuple[int, int]] = []  # PTS and when

    def arrive(pad: Any, info: Any) -> Any:
        buffer = info.get_buffer()
        arrived.append((buffer.pts, int.from_bytes(buffer.extract_dup(2, 2), "big")))
        return Gst.PadProbeReturn.OK

    def hear(sink: Any, buffer: Any, pad: Any) -> None:
        heard.append((buffer.pts, time.monotonic_ns()))

    pad = pipeline.get_by_name("buffer").get_static_pad("src")
    pad.add_probe(Gst.PadProbeType.BUFFER, arrive)
    pipeline.get_by_name("sink").connect("handoff", hear)
    pipeline.set_state(Gst.State.PLAYING)
    print(pipeline.get_by_name("source").get_property("port"), flush=True)
    wait(heard, frames)
    pipeline.set_state(Gst.State.NULL)
    numbers = dict(arrived)
    return [(numbers[pts], when) for pts, when in heard if pts in numbers]


def wait(heard: list[tuple[int, int]], frames: int) -> None:
    """Return when `frames` came out, or some did and no more come."""
    before, since = 0, time.monotonic()
    while len(heard) < frames and (not before or time.monotonic() - since < PATIENCE_S):
        time.sleep(0.2)
        if len(heard) != before:
            before, since = len(heard), time.monotonic()


def main() -> None:
    Gst.init(None)
    what, *numbers = sys.argv[1:]
    if what == "send":
        print(json.dumps(send(*map(int, numbers))))
    elif what == "receive":
        print(json.dumps(receive(*map(int, numbers))))


if __name__ == "__main__":
    main()
