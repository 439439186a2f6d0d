"""Predict first, then run: a guess is written down before the experiment.

    guess = Prediction("not heard, with 60 ms of buffer", 10, "%")
    guess.compare(100 * result.unheard)

Being wrong is the point: what one has guessed wrong, one remembers.
"""


class Prediction:
    """What you expect of `what`, in `unit`; after `compare`, also what was found."""

    def __init__(self, what: str, guess: float, unit: str = "%") -> None:
        self.what = what
        self.guess = guess
        self.unit = unit
        self.found: float | None = None

    def compare(self, found: float) -> "Prediction":
        """Write down what was found; the answer prints both."""
        self.found = found
        return self

    def _say(self, value: float) -> str:
        return f"{_figure(value)} {self.unit}"

    def __repr__(self) -> str:
        head = f"{self.what}:\n  you say {self._say(self.guess)}"
        if self.found is None:
            return head
        return f"{head}, it is {self._say(self.found)}. {self._verdict(self.found)}"

    def _verdict(self, found: float) -> str:
        off = self.guess - found
        if abs(off) <= 0.15 * max(abs(found), abs(self.guess)) or abs(off) < 0.5:
            return "Well predicted!"
        return f"Too {'high' if off > 0 else 'low'} by {_figure(abs(off))}."


def _figure(value: float) -> str:
    """One digit behind the point, where there is something to say with it."""
    return f"{value:.{0 if abs(value) >= 10 or value == int(value) else 1}f}"
