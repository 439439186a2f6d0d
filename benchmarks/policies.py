"""Every delay policy and two other jitter buffers, over the ten shipped delay traces.

    python benchmarks/policies.py [--seed N] [--markdown] [--picture docs/img/jitter-buffers.png]

A cell is `lost + waited / delay`: the percentage of frames that arrived and were never played, the
percentage of turns at which the listener waited for a frame that did come, and the mean delay in
ms of the frames played, above the smallest delay of the network. Without `--seed` it reads the
shipped traces; with it, it makes the same ten networks on another day.

Where the numbers come from:

- our `JitterBuffer` with each policy, in virtual time (`labkit.core.delayscore`)
- `fixed =`: our `Fixed`, its delay searched until its mean delay is that of `Adaptive`
- aiortc's `JitterBuffer` has no clock: it hands a frame on when four are complete. A sound card
  with a turn every 20 ms empties what it handed on, and waits when there is nothing
- GStreamer's `rtpjitterbuffer` with a latency of 60, 100 and 200 ms (its default), in virtual
  time; a frame is played at its PTS plus the latency, and lost if it arrived after that. When a
  packet is late by more than the latency, the element moves all PTS after it, and slowly back:
  where PTS leave a hole the listener waits. That frames overlap on the way back is not counted,
  though a sink that cannot scale sound in time has to cut there
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiortc.jitterbuffer import JitterBuffer as AiortcBuffer
from aiortc.rtp import RtpPacket

from labkit.core.delaypolicy import Adaptive, DelayPolicy, Fixed
from labkit.core.delayscore import DelayScore, replay
from labkit.core.jitterbuffer import JitterBuffer
from labkit.core.referencepolicies import FourJitter, NetEqLike, Percentile, Ramjee1, Ramjee4
from labkit.resources import trace_names, trace_path
from labkit.words.delaytrace import parse_delay_trace
from labkit.words.packet import Packet
from labkit.words.units import ms, to_ms

HERE = Path(__file__).parent
FRAME = ms(20)
SYSTEM_PYTHON = "/usr/bin/python3"
ADAPTIVE, EQUAL = "Adaptive", "fixed ="
POLICIES: dict[str, Callable[[], DelayPolicy]] = {
    ADAPTIVE: Adaptive,
    "Ramjee 1": Ramjee1,
    "Ramjee 4": Ramjee4,
    "4 J": FourJitter,
    "0.99 quantile": Percentile,
    "NetEq-like": NetEqLike,
}
LATENCIES = (60, 100, 200)
HOLE = ms(5)
"""A PTS that jumps by less is evened out by the sink."""

Delays = Sequence[int | None]


class AiortcWithSoundCard:
    """aiortc's buffer behind our face, and a queue that a sound card empties."""

    def __init__(self) -> None:
        self._buffer = AiortcBuffer(capacity=16, prefetch=4)
        self._packets: dict[int, Packet] = {}
        self._queue: list[Packet] = []

    def push(self, packet: Packet, now: int) -> None:
        """Add it; what comes out is queued for the sound card."""
        theirs = RtpPacket(sequence_number=packet.seq, timestamp=packet.timestamp)
        setattr(theirs, "_data", b"sound")  # noqa: B010 - as aiortc's receiver sets it
        self._packets[packet.timestamp] = packet
        _, frame = self._buffer.add(theirs)
        if frame is not None:
            self._queue.append(self._packets.pop(frame.timestamp))

    def pull(self, now: int) -> Packet | None:
        """The turn of the sound card."""
        return self._queue.pop(0) if self._queue else None


def ours(policy: DelayPolicy, delays: Delays) -> DelayScore:
    return replay(JitterBuffer(policy), delays)


def fixed_of_equal_delay(delay: int, delays: Delays) -> DelayScore:
    """The fixed delay whose mean is no less than this, to a quarter of a millisecond."""
    least, most = 0, ms(1000)
    while most - least > ms(0.25):
        middle = (least + most) // 2
        if ours(Fixed(middle), delays).delay < delay:
            least = middle
        else:
            most = middle
    return ours(Fixed(most), delays)


def gstreamer(latency: int, delays: Delays) -> DelayScore:
    arrivals = sorted((i * FRAME + d, i) for i, d in enumerate(delays) if d is not None)
    job = json.dumps({"latency": latency, "arrivals": arrivals})
    script = str(HERE / "gstreamer_buffer.py")
    run = subprocess.run(
        [SYSTEM_PYTHON, script], input=job, capture_output=True, text=True, check=True
    )
    came = {i: at for at, i in arrivals}
    lines = [at - i * FRAME for i, at in json.loads(run.stdout) if came[i] <= at]
    holes = [after - before for before, after in pairwise(lines) if after - before > HOLE]
    base = min(d for d in delays if d is not None)
    mean = sum(lines) // max(1, len(lines)) - base
    return DelayScore(len(delays), len(arrivals), len(lines), sum(holes) // FRAME, mean)


def has_gstreamer() -> bool:
    probe = "import gi; gi.require_version('GstCheck', '1.0'); from gi.repository import GstCheck"
    try:
        run = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False)
    except OSError:
        return False
    return run.returncode == 0


def scores(delays: Delays, with_gstreamer: bool) -> dict[str, DelayScore]:
    """The row of one trace."""
    row = {name: ours(policy(), delays) for name, policy in POLICIES.items()}
    row[EQUAL] = fixed_of_equal_delay(row[ADAPTIVE].delay, delays)
    row["aiortc"] = replay(AiortcWithSoundCard(), delays)
    if with_gstreamer:
        for latency in LATENCIES:
            row[f"GStreamer {latency}"] = gstreamer(latency, delays)
    return row


def load(seed: int | None) -> dict[str, Delays]:
    if seed is None:
        return {name: parse_delay_trace(trace_path(name).read_text()) for name in trace_names()}
    spec = importlib.util.spec_from_file_location(
        "make_traces", HERE.parent / "netem" / "make_traces.py"
    )
    assert spec is not None
    assert spec.loader is not None
    maker: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return {name: parse_delay_trace(maker.render(name, seed)) for name in maker.NETWORKS}


def cell(score: DelayScore) -> str:
    waited = f"+{score.waited_percent:.1f}" if score.waited else ""
    return f"{score.lost_percent:.2f}{waited} / {to_ms(score.delay):.0f}"


def table(rows: dict[str, dict[str, DelayScore]], markdown: bool) -> str:
    names = list(next(iter(rows.values())))
    lines = [["trace", *names]] + [[t, *(cell(r[n]) for n in names)] for t, r in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    joint = " | " if markdown else "  "
    text = [
        joint.join(word.ljust(w) for word, w in zip(line, widths, strict=True)) for line in lines
    ]
    if markdown:
        text.insert(1, joint.join("-" * w for w in widths))
        text = [f"| {line} |" for line in text]
    return "\n".join(text)


def beats(other: DelayScore, mine: DelayScore) -> bool:
    """Whether the other one is better in both: loses fewer, with less delay."""
    return other.lost_percent < mine.lost_percent and other.delay < mine.delay


def beats_heard(other: DelayScore, mine: DelayScore) -> bool:
    """The same, but a turn of waiting counts as a frame lost."""
    theirs = other.lost_percent + other.waited_percent
    return theirs < mine.lost_percent + mine.waited_percent and other.delay < mine.delay


def verdict(rows: dict[str, dict[str, DelayScore]]) -> str:
    lines = []
    fewer = [t for t, r in rows.items() if r[ADAPTIVE].lost_percent < r[EQUAL].lost_percent]
    quieter = [
        t
        for t, r in rows.items()
        if r[ADAPTIVE].lost_percent + r[ADAPTIVE].waited_percent
        < r[EQUAL].lost_percent + r[EQUAL].waited_percent
    ]
    lines.append(f"fewer frames lost than the fixed delay of equal mean delay: {len(fewer)} of 10")
    lines.append(f"... also if waiting counts as losing: {len(quieter)} of 10")
    for title, better in (("on both loss and delay", beats), ("... waiting counted", beats_heard)):
        who = [f"{n} on {t}" for t, r in rows.items() for n in r if better(r[n], r[ADAPTIVE])]
        lines.append(f"beaten {title}: {', '.join(who) or 'never'}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    with_gstreamer = has_gstreamer()
    if not with_gstreamer:
        print("GStreamer is left out: no python3-gi with GstCheck", file=sys.stderr)
    rows = {name: scores(delays, with_gstreamer) for name, delays in load(options.seed).items()}
    print(table(rows, options.markdown))
    print()
    print(verdict(rows))


if __name__ == "__main__":
    main()
