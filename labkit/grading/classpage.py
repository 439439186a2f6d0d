"""The class report as one page: the points as a picture, and what is hard, hardest first.

No name stands beside a mistake, unless the page is made with names: so it can be shown in the
lecture. Who has handed in nothing is listed, for somebody may have to be asked. The page loads
nothing from anywhere and looks light or dark as the reader's system does.
"""

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import Final

from labkit.grading.bars import bars
from labkit.grading.classreport import ClassFigures, ExerciseFigures, PartFigures
from labkit.grading.classstyle import CLASS_STYLE
from labkit.grading.standing import Student

WORST: Final = 6
"""Mistakes at the top of the page."""
BARS: Final = 20
"""Of the picture, at most."""


def page(figures: ClassFigures, students: Mapping[str, Student], *, names: bool = False) -> str:
    """The page; with `names`, who made which mistake."""
    said = {each: _name(students[each]) for each in students} if names else None
    body = "".join(
        (
            _tiles(figures),
            _card("Points", _histogram(figures), _about(figures)),
            _worst(figures, said),
            *(_exercise(each, figures, said) for each in figures.exercises),
            _hours(figures),
            _people(figures, names=names),
            _repairs(figures),
        )
    )
    title = escape(_title(figures.assignment))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}: class report</title><style>{CLASS_STYLE}</style><main>"
        f'<header><div class="who"><p class="week">Class report</p><h1>{title}</h1></div></header>'
        f"{body}</main></html>\n"
    )


def _title(assignment: str) -> str:
    number = assignment.removeprefix("week")
    return f"Week {int(number)}" if number.isdecimal() else assignment


def _name(student: Student) -> str:
    return student.name or student.id


def _number(value: float) -> str:
    return f"{round(value, 2):g}"


def _card(title: str, body: str, note: str = "", mark: str = "") -> str:
    head = f"<span>{escape(mark)}</span>" if mark else ""
    tail = f'<span class="note">{escape(note)}</span>' if note else ""
    return f'<section class="card"><h2>{head}{escape(title)}{tail}</h2>{body}</section>'


# At the top --------------------------------------------------------------------------------------


def _tiles(figures: ClassFigures) -> str:
    handed = figures.graded + len(figures.unreadable) + len(figures.failed)
    everybody = handed + len(figures.missing)
    tiles = [
        (f"{handed}<i> of {everybody}</i>", "handed in"),
        (f"{_number(figures.median)}<i> of {_number(figures.of)}</i>", "median points"),
        (f"{sum(p >= figures.of for p in figures.points)}", "with all points"),
    ]
    if figures.late:
        tiles.append((f"{figures.late}", "late"))
    if figures.unreadable:
        tiles.append((f"{len(figures.unreadable)}", "unreadable"))
    if figures.failed:
        tiles.append((f"{len(figures.failed)}", "not graded yet"))
    if figures.excused:
        tiles.append((f"{figures.excused}", "excused"))
    cells = "".join(
        f'<div class="tile"><b>{big}</b><span>{said}</span></div>' for big, said in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _about(figures: ClassFigures) -> str:
    if not figures.points:
        return "nobody was graded"
    ordered = figures.points
    quarter = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    return f"half of the class has {_number(quarter[0])} to {_number(quarter[1])}"


def _histogram(figures: ClassFigures) -> str:
    """How many have how many points."""
    top = max(figures.of, *figures.points, 1) if figures.points else max(figures.of, 1)
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e6) if top / s <= BARS)
    bins = int(top // step) + 1
    counts = [0] * bins
    for points in figures.points:
        counts[int(points // step)] += 1
    labels = [
        _number(i * step) if step == 1 else f"{_number(i * step)}-" for i in range(bins)
    ]  # a bar begins at its label
    marks = [str(count) if count else "" for count in counts]
    titles = [
        f"{count} with {_number(i * step)} or more, and less than {_number((i + 1) * step)}"
        for i, count in enumerate(counts)
    ]
    where = (figures.median / step + (0.5 if step == 1 else 0)) if figures.points else None
    alt = f"How many of {len(figures.points)} have how many of {_number(figures.of)} points"
    return bars(
        counts, labels, marks, titles, alt, "points", where, f"median {_number(figures.median)}"
    )


def _worst(figures: ClassFigures, names: Mapping[str, str] | None) -> str:
    worst = figures.worst[:WORST]
    if not worst:
        return _card("What most get wrong", "<p>Nothing: everybody has all points.</p>")
    items = "".join(
        f'<li><b class="big">{each.many}<small>of {figures.graded}</small></b><div>'
        f"<p>{_prose(each.said) or escape(each.hint)}</p>"
        f'<p class="what">{escape(each.exercise)} {escape(_titles(each.titles))}</p>'
        f"{_who(each.students, names)}</div></li>"
        for each in worst
    )
    note = "by the hint that they got"
    return _card("What most get wrong", f'<ul class="worst">{items}</ul>', note)


def _titles(titles: Sequence[str]) -> str:
    """Of the parts that failed: two, and how many more."""
    more = f" · and {len(titles) - 2} more" if len(titles) > 2 else ""
    return " · ".join(titles[:2]) + more


def _who(students: Sequence[str], names: Mapping[str, str] | None) -> str:
    if names is None:
        return ""
    people = ", ".join(sorted(names[each] for each in students))
    return f'<p class="people">{escape(people)}</p>'


def _prose(text: str) -> str:
    """Text in which `code` may stand."""
    parts = text.split("`")
    return "".join(
        f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(parts)
    )


# Exercise by exercise ----------------------------------------------------------------------------


def _exercise(each: ExerciseFigures, figures: ClassFigures, names: Mapping[str, str] | None) -> str:
    key = (
        '<div class="key"><span><i class="f"></i>all points</span>'
        '<span><i class="s"></i>some</span><span><i class="n"></i>none</span></div>'
    )
    rows = "".join(_part(part, names) for part in each.parts)
    notes = []
    if each.cpu_ms:
        longest = each.cpu_ms[-1] / 1000
        middle = median(each.cpu_ms) / 1000
        notes.append(f"It computes for {middle:.2g} s (median), at most for {longest:.2g} s.")
    if each.unchecked:
        notes.append(f"In {each.unchecked} nothing could be checked.")
    tail = f'<p class="quiet">{" ".join(notes)}</p>' if notes else ""
    full = f"{each.full} of {figures.graded} have all points"
    note = f"mean {_number(round(each.mean, 1))} of {_number(each.of)}; {full}"
    return _card(each.title, key + rows + tail, note, each.name)


def _part(part: PartFigures, names: Mapping[str, str] | None) -> str:
    whole = max(part.full + part.some + part.none, 1)
    split = "".join(
        f'<i class="{kind}" style="flex:{count}" title="{count} of {whole}: {said}"></i>'
        for kind, count, said in (
            ("f", part.full, "all points"),
            ("s", part.some, "some"),
            ("n", part.none, "none"),
        )
        if count
    )
    row = (
        f'<div class="row"><span>{escape(part.title)}</span><span class="split">{split}</span>'
        f"<span>{part.full / whole:.0%}</span></div>"
    )
    if not part.mistakes:
        return row
    hints = "".join(
        f'<div class="miss"><b>{each.many}</b><div><p>{_prose(each.said)} '
        f'<code>{escape(each.hint)}</code></p><p class="what">{_prose(each.expectation)}</p>'
        f"{_who(each.students, names)}</div></div>"
        for each in part.mistakes
    )
    kinds = len(part.mistakes)
    summary = "one kind of mistake" if kinds == 1 else f"{kinds} kinds of mistakes"
    return f'{row}<details class="hints"><summary>{summary}</summary>{hints}</details>'


# Below -------------------------------------------------------------------------------------------

_EDGES: Final = (-168, -72, -48, -24, -12, -6, -3, -1, 0, 1, 3, 6, 12, 24, 48, 72, 168)


def _hours(figures: ClassFigures) -> str:
    """When they handed in, by the deadline."""
    if not figures.margins:
        return ""
    after = [-margin for margin in figures.margins]
    counts = [0] * (len(_EDGES) + 1)
    for hours in after:
        counts[sum(hours > edge for edge in _EDGES)] += 1
    names = ["> 7 d", "7 d", "3 d", "2 d", "24 h", "12 h", "6 h", "3 h", "1 h"]
    labels = [*names, *reversed(names)]
    last = max(i for i, count in enumerate(counts) if count)
    shown = max(last + 1, 9)
    titles = [
        f"{count}: {labels[i]} {'before' if i < 9 else 'after'}" for i, count in enumerate(counts)
    ]
    marks = [str(count) if count else "" for count in counts]
    plot = bars(
        counts[:shown],
        labels[:shown],
        marks[:shown],
        titles[:shown],
        "When submissions came",
        "at most so long before the deadline" + (", and after it" if shown > 9 else ""),
        late=9,
    )
    return _card("When it was handed in", plot)


def _people(figures: ClassFigures, *, names: bool) -> str:
    said = []
    for title, those in (
        ("No submission", figures.missing),
        ("Not graded yet: the grader could not finish, grade again", figures.failed),
    ):
        if those:
            people = ", ".join(escape(_name(each)) for each in those)
            said.append(f'<p class="quiet">{title} ({len(those)})</p><p class="names">{people}</p>')
    if figures.unreadable:
        title = f"Could not be read ({len(figures.unreadable)})"
        people = ", ".join(escape(_name(each)) for each in figures.unreadable)
        shown = f'<p class="names">{people}</p>' if names else ""
        said.append(f'<p class="quiet">{title}</p>{shown}')
    return _card("Who has to be asked", "".join(said)) if said else ""


def _repairs(figures: ClassFigures) -> str:
    if not figures.repairs:
        return ""
    rows = "".join(
        f'<div class="miss"><b>{many}</b><div>{_prose(repair)}</div></div>'
        for repair, many in figures.repairs[:12]
    )
    return _card("What was put right in notebooks", rows)
