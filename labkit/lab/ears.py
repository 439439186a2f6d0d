"""Delay that can be heard: what is said in one ear, and what arrives of it in the other.

    listen({"one queue": both_ears(result)})

A voice that comes half a second late sounds as good as one in time, as long as one hears nothing
else. Beside what was said, its delay is an echo.

This module plays nothing.
"""

import numpy as np

from labkit.lab.result import Result
from labkit.words.format import Samples


def both_ears(result: Result) -> Samples:
    """Left what was said, right what was heard, both in real time: shape (samples, 2), 16 bits.

    Zero is the instant at which the first sample was spoken. Nothing on the right: nothing came.
    """
    said, heard = result.reference[:, 0], result.audio[:, :1].ravel()
    delays = result.timeline.mouth_to_ear_ms()
    begin = round(float(delays[0]) * result.codec.sample_rate / 1000) if len(delays) else 0
    both = np.zeros((max(len(said), begin + len(heard)), 2), np.int16)
    both[: len(said), 0] = said
    both[begin : begin + len(heard), 1] = heard
    return both
