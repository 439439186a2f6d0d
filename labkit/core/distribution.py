"""The shapes of delay that netem knows, as it knows them: tables of 4096 numbers.

`netem` draws a random place in a table and multiplies what it finds by the jitter. The tables
are inverse distribution functions in steps of 1/4096, cut at four times the jitter. We compute
them from the same formulas as iproute2's `netem/*.c`, which NIST Net wrote:

    normal          mean 0, deviation 1
    pareto          4/3 · (u^(-1/3) - 3/2), u uniform: from -2/3 upwards, with a long tail
    paretonormal    a quarter of the first and three quarters of the second, at the same place

The numbers are 16-bit integers in units of 1/8192 of the jitter, as `tc` sends them to the
kernel. So a delay is integer arithmetic, and the same on every machine.

This module draws nothing and knows no delay.
"""

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Final

TABLE_SIZE: Final = 4096
SCALE_BITS: Final = 13
"""An entry of `1 << SCALE_BITS` is one jitter."""
_SCALE: Final = 1 << SCALE_BITS
_SMALLEST, _LARGEST = -(1 << 15), (1 << 15) - 1


def _normal() -> list[int]:
    # tc's table holds the largest value that still rounds down to its place: an eighth further.
    inverse = NormalDist().inv_cdf
    return [round(_SCALE * inverse((i + 0.125) / TABLE_SIZE)) for i in range(TABLE_SIZE)]


def _pareto() -> list[int]:
    survivals = (1 - i / TABLE_SIZE for i in range(TABLE_SIZE))
    return [min(round(_SCALE * 4 / 3 * (u ** (-1 / 3) - 1.5)), _LARGEST) for u in survivals]


@cache
def delay_table(name: str) -> Sequence[int]:
    """The table of a distribution: deviations from the delay, in 1/8192 of the jitter."""
    if name == "normal":
        values = _normal()
    elif name == "pareto":
        values = _pareto()
    else:
        values = [round((n + 3 * p) / 4) for n, p in zip(_normal(), _pareto(), strict=True)]
    return tuple(max(_SMALLEST, min(value, _LARGEST)) for value in values)
