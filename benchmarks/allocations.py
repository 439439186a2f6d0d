"""Where the hot path allocates: bytes that each stage of a voice has in hand, and what it keeps.

    python benchmarks/allocations.py [--packets 20000]

Each stage takes the same packets, alone (`labkit.lab.hotpath`). `in hand` is the most that
tracemalloc saw beyond what was there before a packet, the median of all packets; `kept` is what is
still there afterwards, for each packet. A stage that keeps anything grows for as long as the call
lasts.
"""

import argparse

from labkit.lab.hotpath import allocations, stages


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--packets", type=int, default=20_000)
    packets = options.parse_args().packets
    print("| stage | in hand, bytes | kept, bytes a packet |")
    print("| --- | ---: | ---: |")
    for name, held in allocations(stages(), packets).items():
        print(f"| {name} | {held.in_hand:,.0f} | {held.kept:,.1f} |")


if __name__ == "__main__":
    main()
