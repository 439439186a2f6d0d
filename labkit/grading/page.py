"""The page that a student gets: one file, no script, nothing from the network, light and dark.

At the top what was reached, then what was put right in the notebook, then each exercise with its
parts: where one lost points, the steps that led there, what was expected and found, the hint, and
the picture. The seed is not on it unless it is released: then each part has the line that does the
same again. Everything that a student's code or file name said is escaped.

The page says the same for the same result, to the byte, and decides nothing.
"""

import base64
from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from labkit.checks.report import PartReport, Report
from labkit.grading.drawing import svg
from labkit.grading.pagestyle import STYLE
from labkit.grading.result import Result, Status, fingerprint

LAST_STEPS: Final = 12
"""Of a part that lost points; the rest is folded away."""
FEW_STEPS: Final = 4
"""Are shown at once."""
UNWRITTEN: Final = "unwritten"
MARK: Final = "labkit-page"
"""Names what a page was made from (`page_id`)."""


class Sheet(NamedTuple):
    """What a page is made from."""

    result: Result
    reports: tuple[Report, ...]
    """Empty when nothing was checked."""
    file: str
    seed: int | None = None
    """None: it is a secret."""


def page_id(result: Result, *, released: bool) -> str:
    """Names what a page would be made from: a page with another name is out of date."""
    parts = (result.student, result.content, result.seed, result.checks, str(released))
    return fingerprint(*(part.encode("utf-8", "replace") for part in parts))


def page(sheet: Sheet) -> str:
    """The whole page."""
    result = sheet.result
    title = escape(f"{_week(result.assignment)} · {result.student}")
    body = "".join(_body(sheet))
    mark = page_id(result, released=sheet.seed is not None)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="{MARK}" content="{mark}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>{body}</main>\n"
        "</body>\n</html>\n"
    )


def _body(sheet: Sheet) -> Iterator[str]:
    yield _head(sheet)
    result = sheet.result
    if result.status is not Status.GRADED:
        yield _closed(result)
        return
    if result.repairs:
        yield _repairs(result)
    for report in sheet.reports:
        yield _exercise(sheet, report)
    yield f"<footer>{_footer(sheet)}</footer>"


def _week(assignment: str) -> str:
    number = assignment.removeprefix("week")
    return f"Week {int(number)}" if number.isdecimal() else assignment


def _number(points: float) -> str:
    return f"{points:g}"


# The top ----------------------------------------------------------------------------------------


def _head(sheet: Sheet) -> str:
    result = sheet.result
    rows = "".join(
        f'<a href="#e{escape(each.name)}"><span>{escape(each.name)}</span>'
        f"<span>{escape(each.title)}</span>{_bar(each.points, each.of)}"
        f"<b>{_number(each.points)}<i> of {_number(each.of)}</i></b></a>"
        for each in result.exercises
    )
    name = f'<p class="file">{escape(sheet.file)}</p>' if sheet.file else ""
    nav = f'<nav aria-label="exercises">{rows}</nav>' if sheet.reports else ""
    return (
        f'<header><div class="who"><p class="week">{escape(_week(result.assignment))}</p>'
        f"<h1>{escape(result.student)}</h1>{name}</div>{_ring(result.points, result.of)}</header>"
        f"{nav}"
    )


def _ring(points: float, of: float) -> str:
    """The points as a ring that is full when all are reached."""
    share = min(1.0, points / of) if of else 0.0
    around = 2 * 3.14159265 * 52
    arc = (
        f'<circle cx="60" cy="60" r="52" class="arc" stroke-dasharray="{share * around:.1f} '
        f'{around:.1f}" transform="rotate(-90 60 60)"/>'
        if share
        else ""
    )
    return (
        f'<svg class="ring {_kind(points, of)}" viewBox="0 0 120 120" role="img" '
        f'aria-label="{_number(points)} of {_number(of)} points">'
        f'<circle cx="60" cy="60" r="52" class="track"/>{arc}'
        f'<text x="60" y="64" class="big">{_number(points)}</text>'
        f'<text x="60" y="84" class="small">of {_number(of)}</text></svg>'
    )


def _bar(points: float, of: float) -> str:
    share = min(1.0, points / of) if of else 0.0
    return f'<span class="bar {_kind(points, of)}"><i style="width:{share:.1%}"></i></span>'


def _kind(points: float, of: float) -> str:
    return "full" if points >= of else "some" if points else "none"


def _closed(result: Result) -> str:
    """Nothing was checked, and why."""
    if result.status is Status.UNREADABLE:
        head = "Your notebook could not be read"
        then = (
            "Nothing in it was run, so it has no points yet. Open it in Jupyter, run it from top "
            "to bottom, save it, and hand in the file that ends in <code>.ipynb</code>."
        )
    else:
        head = "Your notebook is not graded yet"
        then = "That is the grader's fault and not yours. Whoever grades will see this too."
    return (
        f'<section class="card closed"><h2>{head}</h2><p>{_words(_sentence(result.problem))}</p>'
        f"<p>{then}</p></section>"
    )


def _repairs(result: Result) -> str:
    items = "".join(f"<li>{_words(_sentence(told))}</li>" for told in result.repairs[:40])
    return (
        '<section class="card repairs"><h2>Put right, or noted, before grading</h2>'
        f"<p>None of this cost points by itself.</p><ul>{items}</ul></section>"
    )


def _footer(sheet: Sheet) -> str:
    if sheet.seed is not None:
        return f"Checked with seed {sheet.seed}: the lines above do the same in your notebook."
    return (
        "Checked with inputs that nobody saw before, and with the expectations that "
        "<code>check</code> shows you in your notebook."
    )


# Exercises --------------------------------------------------------------------------------------


def _exercise(sheet: Sheet, report: Report) -> str:
    parts = "".join(_part(sheet, report, part) for part in report.parts)
    printed = (
        f"<details class='printed'><summary>What your code printed</summary>"
        f"<pre>{escape(report.printed)}</pre></details>"
        if report.printed.strip()
        else ""
    )
    problem = f"<p class='problem'>{_words(report.problem)}</p>" if report.problem else ""
    return (
        f'<section class="card" id="e{escape(report.exercise)}"><h2><span>{escape(report.exercise)}'
        f"</span> {escape(report.title)}<b>{_number(report.points)}<i> of {_number(report.of)}</i>"
        f"</b></h2>{problem}{parts}{printed}</section>"
    )


def _part(sheet: Sheet, report: Report, part: PartReport) -> str:
    kind = _kind(part.points, part.of)
    sign = {"full": "✓", "some": "◐", "none": "✗"}[kind]
    row = (
        f'<div class="part {kind}"><span class="sign">{sign}</span>'
        f"<span>{escape(part.title)}</span>"
        f"<b>{_number(part.points)}<i> of {_number(part.of)}</i></b></div>"
    )
    if part.finding is not None:
        return f"{row}{_finding(sheet, report, part)}"
    return row + (_picture(part) if part.drawing is not None else "")


def _finding(sheet: Sheet, report: Report, part: PartReport) -> str:
    finding = part.finding
    assert finding is not None
    if finding.name == UNWRITTEN:
        where = f" <code>{escape(finding.where)}</code>" if finding.where else ""
        return f'<div class="why"><p>{_words(finding.hint)}{where}</p></div>'
    rows = [("expected", f"{_words(finding.what)}: <code>{escape(finding.wanted)}</code>")]
    rows.append(("found", f'<code class="found">{escape(finding.found)}</code>'))
    if finding.where:
        rows.append(("in", f"<code>{escape(finding.where)}</code>"))
    if sheet.seed is not None:
        rows.append(("again", f"<code>{escape(report.replay(part.name))}</code>"))
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return (
        f'<div class="why"><dl>{table}</dl><p class="hint">{_words(finding.hint)}</p>'
        f"{_picture(part)}{_steps(part)}{_capture(report, part)}</div>"
    )


def _steps(part: PartReport) -> str:
    """The last steps; the ones before them can be opened."""
    if not part.steps:
        return ""
    before, last = part.steps[:-LAST_STEPS], part.steps[-LAST_STEPS:]
    opened = " open" if len(part.steps) <= FEW_STEPS else ""
    folded = (
        f"<details><summary>{len(before)} steps before these</summary>{_list(before, 1)}</details>"
        if before
        else ""
    )
    return (
        f'<details class="steps"{opened}><summary>The way there, {len(part.steps)} '
        f"{'step' if len(part.steps) == 1 else 'steps'}</summary>"
        f"{folded}{_list(last, len(before) + 1)}</details>"
    )


def _list(steps: tuple[str, ...], first: int) -> str:
    items = "".join(f"<li>{escape(step)}</li>" for step in steps)
    return f'<ol start="{first}">{items}</ol>'


def _picture(part: PartReport) -> str:
    return f"<figure>{svg(part.drawing)}</figure>" if part.drawing is not None else ""


def _capture(report: Report, part: PartReport) -> str:
    """The packets of the run, for Wireshark."""
    if part.drawing is None or not part.drawing.get("arrivals"):
        return ""
    from labkit.checks.picture import pcapng

    data = base64.b64encode(pcapng(part.drawing)).decode("ascii")
    name = f"{report.exercise.replace('.', '_')}_{part.name}.pcapng"
    return (
        f'<p class="more"><a download="{escape(name)}" '
        f'href="data:application/octet-stream;base64,{data}">Its packets, for Wireshark</a></p>'
    )


def _words(text: str) -> str:
    """Prose, in which `code` may stand."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that nobody closed is a character
        return escape(text)
    return "".join(
        f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    whole = text[:1].upper() + text[1:]
    return whole if whole.endswith((".", "?", "!", "…")) else whole + "."
