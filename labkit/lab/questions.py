"""Questions about a shipped capture, answered in the notebook and checked at once, offline.

    ask("04_zero_window")                             fields to fill in, each with its feedback
    answer("04_zero_window", "closed_for", 2670)      the same, without widgets

What is right is computed from the packets by `labkit.lab.answers`, never stored. Each field has
feedback of its own: who is wrong gets an idea, not the answer; a wrong unit, a number one beside
the right one and known mistakes are recognised.

This module reads no packet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Final

from labkit.lab.answers import ANSWERS, Answer
from labkit.lab.captures import Entry, Question, describe
from labkit.lab.show import LATE, LOST, RECOVERED
from labkit.lab.traffic import Traffic, open_capture
from labkit.words.errors import BadInput

Value = float | int | str | None

FACTORS: Final = {
    "ms": ((1000, "seconds"), (0.001, "microseconds")),
    "kbit/s": ((1000, "Mbit/s"), (0.001, "bit/s"), (8, "kilobytes a second")),
    "bytes": ((1 / 8, "bits"),),
    "%": ((100, "a share from 0 to 1"),),
}
"""What one may have answered in, and how much larger its unit is."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is said to one answer. It counts as True when the answer is right."""

    right: bool
    text: str
    answered: bool = True

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        return ("✓ " if self.right else "✗ " if self.answered else "") + self.text

    def _repr_html_(self) -> str:
        colour = RECOVERED if self.right else LOST if self.answered else LATE
        return f'<span style="color:{colour}">{escape(str(self))}</span>'


def answer(capture: str, question: str | int, value: Value) -> Feedback:
    """Check one answer. `question` is its name in the manifest, or its number from 1."""
    entry = describe(capture)
    return check(entry, find(entry, question), value)


def find(entry: Entry, question: str | int) -> Question:
    """A question of a capture, by its name or its number."""
    for number, known in enumerate(entry.questions, 1):
        if question in (number, known.answer):
            return known
    names = ", ".join(known.answer for known in entry.questions)
    raise BadInput(f"{entry.name} has no question {question!r}", names)


def check(entry: Entry, question: Question, value: Value) -> Feedback:
    """Check one answer to a question about the packets of an entry's file."""
    if question.answer not in ANSWERS:
        raise BadInput(f"nobody computes {question.answer!r}", "a function of labkit.lab.answers")
    return judge(question, ANSWERS[question.answer](packets(entry.path)), value)


def packets(path: Path) -> Traffic:
    """The packets of a file; read again when it changed."""
    if not path.is_file():
        raise BadInput(f"there is no capture {path}", f"labkit capture {path.stem}")
    return _packets(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _packets(path: Path, changed: int) -> Traffic:
    del changed
    return open_capture(path)


def judge(question: Question, right: Answer, value: Value) -> Feedback:
    """What to say to an answer."""
    if isinstance(right.value, str):
        return _judge_word(question, right.value, value)
    try:
        number = read_number(value, question.unit)
    except ValueError:
        return Feedback(False, f"A number{_in(question.unit)} is wanted.", answered=bool(value))
    if number is None:
        return Feedback(False, "Not answered yet.", answered=False)
    if _is_right(question, right, number):
        return Feedback(True, "Right.")
    return Feedback(False, next(_ideas(question, right, number)))


def _judge_word(question: Question, right: str, value: Value) -> Feedback:
    said = str(value or "").strip().casefold()
    if not said:
        return Feedback(False, "Not answered yet.", answered=False)
    if said == right.casefold():
        return Feedback(True, "Right.")
    if said not in (choice.casefold() for choice in question.choices):
        return Feedback(False, f"One of these is wanted: {', '.join(question.choices)}.")
    return Feedback(False, question.hint)


def read_number(value: Value, unit: str = "") -> float | None:
    """A number as people write it: "2,670.5 ms", "5 %", "0x1a". None: nothing was written."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = value.strip().removesuffix(unit).strip().replace("_", "").replace("−", "-")  # noqa: RUF001
    if not text:
        return None
    if text.lower().startswith("0x"):
        return float(int(text, 16))
    # One comma and not three digits behind it is a decimal comma; else commas group thousands.
    whole, comma, rest = text.partition(",")
    if comma and "." not in text and "," not in rest and len(rest) != 3:
        return float(f"{whole}.{rest}")
    return float(text.replace(",", ""))


def _is_right(question: Question, right: Answer, number: float) -> bool:
    if isinstance(right.value, frozenset):
        return number in right.value
    assert not isinstance(right.value, str)
    return _near(number, right.value, question.tolerance)


def _near(number: float, wanted: float, tolerance: str) -> bool:
    """Whether a number is as near as it must be; a hair is always allowed."""
    amount, percent, _ = tolerance.partition("%")
    room = float(amount) * (abs(wanted) / 100 if percent else 1)
    return abs(number - wanted) <= room + 1e-6 * max(abs(wanted), 1)


def _ideas(question: Question, right: Answer, number: float) -> Iterator[str]:
    """What to say to a wrong number; the first fits best."""
    for wrong, idea in right.mistakes:
        if _near(number, wrong, question.tolerance):
            yield idea
    if isinstance(right.value, (int, float)):
        for factor, unit in FACTORS.get(question.unit, ()):
            if number and _near(number * factor, right.value, question.tolerance):
                yield f"The digits look right. Is that {unit}? It is asked for{_in(question.unit)}."
        if question.tolerance == "0" and abs(number - right.value) == 1:
            yield "Very near. Is the first counted, or the last, or one too many?"
    yield question.hint


def _in(unit: str) -> str:
    return f" in {unit}" if unit not in ("", "packet", "times") else ""


# In a notebook -------------------------------------------------------------------------------


def ask(capture: str) -> Any:
    """The questions of a capture as fields; where there are no widgets, as text."""
    entry = describe(capture)
    packets(entry.path)
    try:
        import ipywidgets as widgets
    except ImportError:
        return AsText(entry)
    head = widgets.HTML(f"<b>{escape(entry.title)}</b><br>{escape(entry.shows)}")
    return widgets.VBox([head, *(_field(widgets, entry, q) for q in entry.questions)])


def _field(widgets: Any, entry: Entry, question: Question) -> Any:
    """One question: its text, a field, and what is said to the answer."""
    wide = widgets.Layout(width="auto")
    text = widgets.HTML(escape(question.ask), layout=wide)
    if question.choices:
        field = widgets.Dropdown(options=["", *question.choices], layout={"width": "9em"})
    else:
        field = widgets.Text(continuous_update=False, layout={"width": "9em"})
    said = widgets.HTML(layout=wide)

    def judge_it(change: Any) -> None:
        said.value = check(entry, question, change["new"])._repr_html_()

    field.observe(judge_it, "value")
    row = widgets.HBox([field, widgets.HTML(escape(question.unit)), said])
    return widgets.VBox([text, row], layout={"margin": "0.3em 0"})


class AsText:
    """The questions of a capture, where there are no widgets."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __repr__(self) -> str:
        name = self._entry.name
        lines = [f"{name}: {self._entry.title}"]
        for question in self._entry.questions:
            lines += [question.ask, f'    answer("{name}", "{question.answer}", …)']
        return "\n".join(lines)
