"""Delay traces: what a network did to a stream, packet by packet, as text.

One line a packet: its one-way delay in milliseconds, or `lost`. Lines that start with `#` say
what the trace is. Packets leave at even intervals; the course's traces have 20 ms.

    # A good link that stops for 100 to 300 ms every few seconds and then catches up.
    31.52
    lost
    218.07

This module reads no files: who has the text passes it in.
"""

import math

from labkit.words.errors import BadInput
from labkit.words.units import ms

LOST = "lost"
LONGEST_MS = 60_000.0
"""A delay of more than a minute is a mistake in the file."""


def parse_delay_trace(text: str) -> list[int | None]:
    """Nanoseconds of delay for each packet, None for a lost one. `BadInput` names a bad line."""
    delays: list[int | None] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if word and not word.startswith("#"):
            delays.append(None if word == LOST else _delay(word, number))
    if not delays:
        raise BadInput("the delay trace has no packets", "one delay in milliseconds a line")
    return delays


def _delay(word: str, number: int) -> int:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST_MS:
        raise BadInput(
            f"line {number} of the delay trace is no delay: {word[:40]!r}",
            f"milliseconds from 0 to {LONGEST_MS:g}, or `{LOST}`",
        )
    return ms(value)
