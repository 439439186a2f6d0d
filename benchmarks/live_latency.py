"""Live on loopback: what is added to the delay of frame and buffer, beside GStreamer.

    python benchmarks/live_latency.py [--rounds 3] [--seconds 10] [--json]

A tone in Opus frames of 20 ms goes as RTP through two sockets on 127.0.0.1 into a buffer of
60 ms. A frame that is complete at C should be heard at C + 60 ms. How much later it really comes
out is what timers, the encoder, two sockets, the decoder and the machine's other work have added.

              20 ms frame    added    60 ms buffer
    captured |-----------|C--------|----------------| heard
                          encode, send, receive       decode

- labkit: `Sender`, `RtpSession`, `open_udp`, `Receiver` and `Fixed(60 ms)`, in two processes with
  the event loop of our commands; and again in one process with asyncio's own, as in a notebook
- GStreamer (`gstreamer_call.py`): a live `audiotestsrc`, `opusenc`, `rtpopuspay` and `udpsink`, to
  `udpsrc`, `rtpjitterbuffer latency=60`, `rtpopusdepay`, `opusdec` and a synchronised sink, in two
  processes; without the system's python3-gi it is left out

Both encode at the same bitrate and complexity, both set their line by the fastest packet, and both
call a function in Python, which reads the same monotonic clock, when a frame comes out. They take
turns; the first two seconds of each turn are not counted. A quantile is the median of those of the
turns, so that what else the machine did in one of them does not decide. The maximum is of all.
The goal: p99 under 3 ms.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.codec.opus import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import tone
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.live.clock import now
from labkit.live.loop import run
from labkit.live.udp import open_udp
from labkit.words.machine import Address, Event
from labkit.words.seqnum import ahead32
from labkit.words.units import ms, ticks_to_ns, to_ms

GSTREAMER = ["/usr/bin/python3", str(Path(__file__).parent / "gstreamer_call.py")]
CODEC = Opus(32_000)
BUFFER_MS = 60
WARM_UP_S = 2
FRAME_S = 0.02
GOAL_MS = 3.0
OURS, TOGETHER, PEER = "labkit", "labkit, asyncio's own loop", "GStreamer"

Released = dict[int, int]
"""For each frame that came out: its number, and how many nanoseconds after it was complete."""


# labkit -------------------------------------------------------------------------------------------


def sender_for(duration_s: float) -> Sender:
    voice = Voice(CODEC, tone(duration_s=duration_s))
    return Sender(RtpSession(Role.SENDER, ssrc=voice.ssrc), voice)


def origin(voice: Voice) -> tuple[int, int]:
    """When the first frame was complete, and its timestamp."""
    assert voice.started is not None
    return voice.started + voice.frame_ns, voice.first_timestamp


async def send(duration_s: float) -> None:
    """The other process: speak once to whoever joins, and tell on stdout where and when."""
    sender = sender_for(duration_s)
    endpoint = await open_udp(sender)
    print(json.dumps(endpoint.address), flush=True)
    while not sender.session.closed:
        await asyncio.sleep(0.5)
    endpoint.close()
    assert sender.voice is not None
    print(json.dumps(origin(sender.voice)), flush=True)


async def receive(peer: Address) -> list[tuple[int, int]]:
    """Listen to the end: the timestamp of each frame that was heard, and when."""
    heard: list[tuple[int, int]] = []
    finished = asyncio.Event()

    def take(event: Event) -> None:
        if isinstance(event, Heard) and event.timestamp is not None:
            heard.append((event.timestamp, now()))
        elif isinstance(event, Finished):
            finished.set()

    receiver = Receiver(RtpSession(Role.RECEIVER, peer=peer), CODEC, policy=Fixed(ms(BUFFER_MS)))
    endpoint = await open_udp(receiver, on_event=take)
    await finished.wait()  # also when the sender falls silent: the session gives up by itself
    endpoint.close()
    return heard


def released(heard: list[tuple[int, int]], complete: int, first_timestamp: int) -> Released:
    rate, frame = CODEC.format.clock_rate, CODEC.frame_samples
    found = {}
    for timestamp, when in heard:
        ticks = ahead32(timestamp, first_timestamp)
        found[ticks // frame] = when - complete - ticks_to_ns(ticks, rate)
    return found


def two_processes(duration_s: float) -> Released:
    command = [sys.executable, __file__, "--send", str(duration_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        host, port = json.loads(child.stdout.readline())
        heard = run(receive((host, port)))
        complete, first_timestamp = json.loads(child.stdout.readline())
    return released(heard, complete, first_timestamp)


async def one_process(duration_s: float) -> Released:
    sender = sender_for(duration_s)
    endpoint = await open_udp(sender)
    heard = await receive(endpoint.address)
    endpoint.close()
    assert sender.voice is not None
    return released(heard, *origin(sender.voice))


# GStreamer ----------------------------------------------------------------------------------------


def gstreamer_is_here() -> bool:
    check = [*GSTREAMER, "check"]
    try:
        return subprocess.run(check, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def gstreamer(duration_s: float) -> Released:
    frames = round(duration_s / FRAME_S)
    receiving = [*GSTREAMER, "receive", str(BUFFER_MS), str(frames)]
    with subprocess.Popen(receiving, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = receiver.stdout.readline().strip()
        sending = [*GSTREAMER, "send", port, str(frames), str(CODEC.bitrate), str(CODEC.complexity)]
        complete = json.loads(subprocess.check_output(sending))
        heard = json.loads(receiver.stdout.readline())
    return {number: when - complete - number * ms(20) for number, when in heard}


# Results ------------------------------------------------------------------------------------------


def added(found: Released, seconds: float) -> list[float]:
    """Milliseconds beyond frame and buffer of every frame after the warm-up."""
    first = round(WARM_UP_S / FRAME_S)
    counted = range(first, first + round(seconds / FRAME_S))
    return [to_ms(found[number]) - BUFFER_MS for number in counted if number in found]


def quantile(values: Sequence[float], of: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(of * len(ordered)), len(ordered) - 1)]


def summary(turns: list[list[float]], frames: int) -> dict[str, float]:
    """The medians over the turns of their quantiles, and what there is but one of."""
    figures: dict[str, float] = {
        name: statistics.median(quantile(turn, of) for turn in turns)
        for name, of in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    figures["max"] = max(max(turn) for turn in turns)
    figures = {name: round(value, 3) for name, value in figures.items()}
    return {**figures, "frames": frames, "missing": frames - sum(map(len, turns))}


def measure(rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    duration_s = seconds + WARM_UP_S
    contestants: dict[str, Callable[[], Released]] = {
        OURS: lambda: two_processes(duration_s),
        TOGETHER: lambda: asyncio.run(one_process(duration_s)),
    }
    if gstreamer_is_here():
        contestants[PEER] = lambda: gstreamer(duration_s)
    turns: dict[str, list[list[float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            turns[name].append(added(contestant(), seconds))
    frames = rounds * round(seconds / FRAME_S)
    return {name: summary(each, frames) for name, each in turns.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    lines = [
        f"| added, ms (goal: p99 < {GOAL_MS:g}) | p50 | p95 | p99 | max | frames | missing |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in found.items():
        figures = " | ".join(f"{row[key]:.2f}" for key in ("p50", "p95", "p99", "max"))
        lines.append(f"| {name} | {figures} | {row['frames']} | {row['missing']} |")
    if PEER in found:
        ratio = found[OURS]["p99"] / found[PEER]["p99"]
        lines.append(f"\nlabkit's p99 is {ratio:.1f} times GStreamer's")
    else:
        lines.append("\nGStreamer is not here: apt-get install python3-gi gir1.2-gstreamer-1.0")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=10, help="of sound counted in each turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--send", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send is not None:
        run(send(options.send))
        return
    found = measure(options.rounds, options.seconds)
    print(json.dumps(found) if options.json else table(found))


if __name__ == "__main__":
    main()
