"""Before week 1: one small exercise, to see what a check and its card are. It counts for nothing.

Its answer stands in the notebook, `notebooks/week00_start.ipynb`, and nobody hands it in: so there
is no solution, and who asks how far one is does not see it.
"""

from typing import Final

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part

RATES: Final = (8000, 16_000, 24_000, 48_000)


def _second(bench: Bench) -> None:
    for rate in RATES:
        found = bench.call("samples", rate, 1000)
        mistakes = [(rate * 1000, "milliseconds"), (rate * 1000.0, "milliseconds")]
        what = f"a second of sound, {rate} samples a second"
        bench.equal(found, rate, what, "whole", mistakes)


def _shorter(bench: Bench) -> None:
    for length in (20, 10, bench.rng.randrange(30, 400, 10)):
        rate = bench.rng.choice(RATES)
        found = bench.call("samples", rate, length)
        wanted = rate * length // 1000
        what = f"{length} ms of sound, {rate} samples a second"
        bench.equal(found, wanted, what, "whole", [(rate * length, "milliseconds")])


EXERCISES: Final = (
    Exercise(
        "00.1",
        "How many samples?",
        ("samples",),
        (
            Part("second", "In a second", 1, _second),
            Part("shorter", "In a frame, or any other time", 1, _shorter),
        ),
        {
            "milliseconds": "The rate is for a second. How many milliseconds does one have?",
            "whole": "Samples are counted: a whole number. `//` divides and leaves out the rest.",
        },
    ),
)
