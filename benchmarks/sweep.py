"""Sweeps: how much sooner they are done by several processes than by one, in the same run.

    python benchmarks/sweep.py [--json] [--processes N]

The sweep has two policies on three networks with ten seeds: 60 calls of five seconds, with Opus.
Starting the processes counts. The figures of both must be equal to the bit.
"""

import argparse
import json
import statistics
import time

import numpy as np

from labkit import Adaptive, Call, Fixed, ms, speech, sweep
from labkit.core.source import Clip
from labkit.lab.spread import processors

ROUNDS = 3
SECONDS = 5
LINKS = ["wifi-busy", "train", "voip-10"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--processes", type=int, default=processors(), help="(every core)")
    options = parser.parse_args()
    voice = speech()
    call = Call(Clip(voice.samples[: SECONDS * voice.sample_rate], voice.sample_rate))
    took: dict[int, list[float]] = {1: [], options.processes: []}
    figures = []
    for _ in range(ROUNDS):
        for processes, times in took.items():
            begun = time.perf_counter()
            found = sweep(
                call,
                policy=[Fixed(ms(60)), Adaptive()],
                link=LINKS,
                seeds=range(10),
                processes=processes,
            )
            times.append(time.perf_counter() - begun)
            figures.append(found.figures)
    assert all(np.array_equal(figures[0], each, equal_nan=True) for each in figures)
    medians = {processes: statistics.median(times) for processes, times in took.items()}
    if options.json:
        print(json.dumps(medians))
        return
    print("| processes | 60 calls, s | times one |")
    print("| ---: | ---: | ---: |")
    for processes, seconds in medians.items():
        print(f"| {processes} | {seconds:.2f} | {medians[1] / seconds:.2f} |")


if __name__ == "__main__":
    main()
