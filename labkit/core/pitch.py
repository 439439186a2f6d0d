"""Where a sound is most like itself: the one measurement that stretching and concealing share.

Voiced speech repeats its waveform 80 to 400 times a second. A stretch of it is most like the
stretch one period before, or two, so the lag with the greatest normalised correlation is a period
or a multiple of it. Either will do for those who only want to splice without a click.

This module knows no rates, no frames and no gaps.
"""

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.floating]
"""One channel of sound, or several summed: shape (samples,)."""


def likeness(template: Sound, sound: Sound) -> Sound:
    """How like `template` each stretch of `sound` is: 1 the same, 0 nothing in common.

    Normalised cross-correlation, of shape (len(sound) - len(template) + 1,).
    """
    sums = np.cumsum(np.concatenate(([0], sound.astype(np.float64) ** 2)))
    energies = sums[len(template) :] - sums[: -len(template)]
    scale = np.sqrt(energies * np.sum(template.astype(np.float64) ** 2)) + 1
    alike: Sound = np.correlate(sound, template) / scale
    return alike
