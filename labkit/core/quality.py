"""How good it sounds, as figures: STOI for the sound itself, the E-model for the call (week 6).

**STOI** compares what was heard with what was said and estimates how much of it is understood.
It hears loss, concealment and coding; it cannot hear delay.

**The E-model** (ITU-T G.107, 06/2015) has never heard the sound: it estimates from delay and loss
what people in a conversation would say of it, as a rating R from 0 to 100, and from that the mean
opinion score, MOS, from 1 to 4.5. Its default values give

    R = 93.2 - Idd(delay) - Ie-eff(loss)

and that is all that is used here: nobody hears an echo (headsets), no room is noisy, and the
advantage factor A is 0. It was made for the telephone band of 300 to 3400 Hz, so it cannot say
that 48 kHz sounds better than 8 kHz. Both are estimates: use them to compare, not to boast.

This module knows no packets, no clock and no codec but by their figures in the E-model.
"""

import warnings
from collections.abc import Callable, Sequence
from math import log, log2
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.format import Samples
from labkit.words.units import to_ms

# STOI --------------------------------------------------------------------------------------------


def stoi(reference: Samples, degraded: Samples, sample_rate: int) -> float:
    """Short-time objective intelligibility, near 0 (nothing is understood) to 1 (all of it is).

    Taal, Hendriks, Heusdens and Jensen, "An Algorithm for Intelligibility Prediction of
    Time-Frequency Weighted Noisy Speech", IEEE TASLP 19(7), 2011, by their method's port `pystoi`.
    Both sounds have shape (samples, channels), are mixed down to one channel, and must be of equal
    length and aligned: on the spoken sample a shift of 20 ms costs as much as 30 % of loss. What
    it cannot say: it is made for speech, looks at 150 Hz to 4.3 kHz only, skips what is silent in
    the reference, and does not tell pleasant from unpleasant.

    `BadInput` when the lengths differ, or when there is less than about 0.4 s of speech.
    """
    if len(reference) != len(degraded):
        raise BadInput(
            f"STOI compares sounds of one length, not {len(reference)} and {len(degraded)} samples",
            "align the two and fill the shorter up with silence",
        )
    said, heard = _mixed_down(reference), _mixed_down(degraded)
    if not said.any():
        raise BadInput("the reference is silence: there is nothing to understand", "speech")
    too_short = BadInput("too little speech for STOI", "at least half a second of it")
    if len(said) < 0.4 * sample_rate:
        raise too_short
    from pystoi import stoi as taal

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(taal(said, heard, sample_rate))
        except RuntimeWarning as warning:  # pystoi would go on and give 0.00001
            raise too_short from warning


def _mixed_down(samples: Samples) -> npt.NDArray[np.float64]:
    mixed: npt.NDArray[np.float64] = samples.mean(axis=1)
    return mixed


# The E-model -------------------------------------------------------------------------------------

R_DEFAULT: Final = 93.2
"""R with every parameter of G.107 at its default (G.107 section 7.7)."""


class Impairment(NamedTuple):
    """What a codec costs in the E-model, and who says so."""

    ie: float
    """Equipment impairment factor Ie: points of R that the coding costs without loss."""
    bpl: float
    """Packet-loss robustness factor Bpl: percent of loss that costs half of what is left."""
    source: str


G711: Final = Impairment(0, 4.3, "ITU-T G.113 Appendix I, without loss concealment")
G711_PLC: Final = Impairment(0, 25.1, "ITU-T G.113 Appendix I, with G.711 Appendix I")
G729A: Final = Impairment(11, 19, "ITU-T G.113 Appendix I, with voice activity detection")


def opus(bitrate: float, *, fec: bool = False) -> Impairment:
    """Opus at `bitrate` bits a second. A heuristic: no ITU figures are behind it.

    Ie = 55 - 4.6 ln(bitrate) between 0 and 30, which is 8.6 at 24 kbit/s, 7.3 at 32 and 4.1 at 64;
    Bpl = 10, and 20 with FEC. From the open-source estimator `rtcscore` (Gustavo García).
    """
    ie = min(max(55 - 4.6 * log(bitrate), 0), 30)
    return Impairment(ie, 20 if fec else 10, "heuristic: rtcscore")


def idd(delay: int) -> float:
    """Points of R that the delay from mouth to ear costs, in a call without echo.

    `delay` is in nanoseconds. Idd of G.107 section 7.4 with the defaults sT = 1
    and mT = 100 ms: nothing up to 100 ms, 3 points at 200, 15 at 300, 24 at 400.
    """
    if to_ms(delay) <= 100:
        return 0.0
    x = log2(to_ms(delay) / 100)
    return float(25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))


def cole_rosenbluth(delay: int) -> float:
    """The same cost as two straight lines, fitted to G.107 *with* its default echo.

    Cole and Rosenbluth, "Voice over IP Performance Monitoring", ACM SIGCOMM CCR 31(2), 2001. Much
    of the literature on jitter buffers uses it; every millisecond costs something.
    """
    milliseconds = to_ms(delay)
    return 0.024 * milliseconds + 0.11 * max(milliseconds - 177.3, 0)


def r_factor(
    delay: int,
    loss: float,
    *,
    ie: float = G711_PLC.ie,
    bpl: float = G711_PLC.bpl,
    burst_ratio: float = 1.0,
    delay_cost: Callable[[int], float] = idd,
) -> float:
    """The E-model's rating, 0 to 100: above 80 people are satisfied, below 60 hardly anybody is.

    `delay` is from mouth to ear, in nanoseconds; `loss` is the fraction of sound that was missing
    when its turn came, 0 to 1, late packets included; `ie` and `bpl` are of an `Impairment`.
    """
    if not 0 <= loss <= 1 or delay < 0 or burst_ratio <= 0 or bpl <= 0:
        raise LocalProtocolError("the E-model needs 0 <= loss <= 1 and no negative delay")
    percent = 100 * loss
    # Ie-eff, section 7.5: the more a codec costs by itself, the less is left to lose.
    effective = ie + (95 - ie) * percent / (percent / burst_ratio + bpl)
    return min(max(R_DEFAULT - delay_cost(delay) - effective, 0.0), 100.0)


def mos(r: float) -> float:
    """The mean opinion score of a rating, 1 to 4.5 (G.107 Annex B).

    The polynomial falls below 1 for ratings under 6.5, where it means nothing: there it is 1.
    """
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6) if r > 0 else 1.0


def burst_ratio(lost: Sequence[bool]) -> float:
    """How much longer losses come in a row than chance would have it (BurstR, G.107 section 7.5).

    `lost` says of each packet in turn whether it was lost. 1 is random loss; 2 means that runs of
    lost packets are twice as long on average. Without any loss, or any packet left, it is 1.
    """
    losses = sum(lost)
    if losses in {0, len(lost)}:
        return 1.0
    runs = sum(1 for before, here in zip([False, *lost], lost, strict=False) if here and not before)
    # Chance alone gives runs of 1 / (1 - p) on average.
    return losses / runs * (1 - losses / len(lost))
