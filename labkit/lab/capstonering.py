"""The last part of the capstone's call: from the program to the sound card (weeks 2 and 12).

What the receiver plays is written into a ring, frame by frame, and a card takes 10 ms at a time,
a little late now and then. The ring may be a student's own. A ring that is right changes nothing
but the instant; one that gives other samples than the kit's has stumbled.

This module opens no sound card.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, Final

import numpy as np

from labkit.core.ringbuffer import RingBuffer
from labkit.endpoints.receiver import Heard
from labkit.lab.capstoneparts import Stumbled
from labkit.words.format import Samples
from labkit.words.units import ms

LEAD: Final = ms(60)
"""Of sound in the ring before the card begins."""
BLOCK_MS: Final = 10
LATEST: Final = 8
"""Milliseconds that the card may be late."""
HOLDS_MS: Final = 200


def to_card(heard: Sequence[Heard], rate: int, channels: int, seed: int, own: Any) -> Samples:
    """What the card played, shape (samples, channels). `own` makes a ring, None is the kit's."""
    capacity, block = rate * HOLDS_MS // 1000, rate * BLOCK_MS // 1000
    kits = RingBuffer(capacity, channels)
    ring = None if own is None else own(capacity, channels)
    dice, played = Random(f"{seed} card"), []
    due = heard[0].now + LEAD if heard else 0
    for each in heard:
        while due <= each.now:
            played.append(_read(kits, ring, block))
            late = ms(dice.randrange(LATEST)) if dice.random() < 0.1 else 0
            due = heard[0].now + LEAD + len(played) * ms(BLOCK_MS) + late
        if ring is not None:
            ring.write(each.played)
        kits.write(each.played)
    while kits.fill:
        played.append(_read(kits, ring, min(block, kits.fill)))
    return np.concatenate(played) if played else np.zeros((0, channels), np.int16)


def _read(kits: RingBuffer, ring: Any, count: int) -> Samples:
    wanted = kits.read(count)
    if ring is None:
        return wanted
    found = ring.read(count)
    if not isinstance(found, np.ndarray) or not np.array_equal(found, wanted):
        raise Stumbled("ring", "read did not give what was written")
    return np.asarray(found, np.int16)
