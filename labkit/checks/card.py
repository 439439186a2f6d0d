"""How a report looks: a card in a notebook, text in a terminal.

The card works on light and on dark pages: it takes the page's own colours for text and tints the
rest so thinly that both shine through. It has no script and needs no network. Pictures are drawn
when the card is shown, a capture of the failing run hangs on it as a link.

This module decides nothing.
"""

import base64
from collections.abc import Iterator
from html import escape
from typing import Final

from labkit.checks.report import Finding, PartReport, Report

GREEN, RED, BLUE = "#009E73", "#D55E00", "#0072B2"
UNWRITTEN: Final = "unwritten"
"""The hint of a part for which there is no code: nothing else needs to be said."""
LAST_STEPS: Final = 12
"""Of a part that failed; the rest is counted."""


# Text ------------------------------------------------------------------------------------------


def text(report: Report) -> str:
    """The whole report in a terminal."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    head = f"{report.exercise}  {report.title}".rstrip()
    if report.problem:
        yield f"{head}: not checked"
        yield f"    {report.problem}"
        return
    yield f"{head}: {_points(report.points, report.of)} (seed {report.seed})"
    before = None
    for part in report.parts:
        yield f"  {_mark(part)} {part.title}  {_points(part.points, part.of)}"
        if part.finding is not None and not _said(part.finding, before):
            yield from _finding_lines(report, part)
        before = part.finding or before
    if report.printed:
        yield "  your code printed:"
        yield from (f"    {line}" for line in report.printed.splitlines()[:10])


def _said(finding: Finding, before: Finding | None) -> bool:
    """Whether this was just said: all parts lack the same code, and once is enough."""
    return (
        before is not None
        and finding.name == before.name == UNWRITTEN
        and finding.where == before.where
    )


def _finding_lines(report: Report, part: PartReport) -> Iterator[str]:
    finding = part.finding
    assert finding is not None
    if finding.name == UNWRITTEN:
        yield f"     {finding.hint}"
        yield f"     {finding.where}"
        return
    skipped, steps = _last_steps(part)
    if skipped:
        yield f"       … {skipped} steps"
    for number, step in steps:
        yield f"    {number:>4}. {step}"
    yield f"     expected: {finding.what}"
    yield f"               {finding.wanted}"
    yield f"     found:    {finding.found}"
    if finding.where:
        yield f"     in:       {finding.where}"
    yield f"     hint:     {finding.hint}"
    yield f"     again:    {report.replay(part.name)}"


def _points(points: float, of: float) -> str:
    return f"{points:g} of {of:g}"


def _mark(part: PartReport) -> str:
    if part.passed:
        return "✓"
    return "◐" if part.points else "✗"


def _last_steps(part: PartReport) -> tuple[int, list[tuple[int, str]]]:
    """How many are left out at the front, and the last ones with their numbers."""
    numbered = list(enumerate(part.steps, 1))
    return max(0, len(numbered) - LAST_STEPS), numbered[-LAST_STEPS:]


# HTML ------------------------------------------------------------------------------------------

_INK = "var(--jp-content-font-color1, currentColor)"
_CARD = (
    f"max-width:52em;margin:.4em 0;border:1px solid rgba(128,128,128,.35);border-radius:8px;"
    f"overflow:hidden;color:{_INK};font-family:system-ui,sans-serif;font-size:14px;line-height:1.45"
)
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12.5px"
_QUIET = "opacity:.7"


def html(report: Report) -> str:
    """The whole report as a card."""
    colour = GREEN if report.passed else RED if not report.points else BLUE
    first = next((part for part in report.parts if part.finding is not None), None)
    body = "".join(_part(report, part, opened=part is first) for part in report.parts)
    if report.problem:
        style = "padding:.5em 1em .7em;white-space:pre-line"
        body = f'<div style="{style}">{_words(report.problem)}</div>'
    if report.printed:
        body += _folded("Your code printed", _pre(report.printed))
    return f'<div class="labkit-check" style="{_CARD}">{_head(report, colour)}{body}</div>'


def _head(report: Report, colour: str) -> str:
    score = "not checked" if report.problem else _points(report.points, report.of)
    share = report.points / report.of if report.of else 0
    bar = (
        '<div style="height:3px;background:rgba(128,128,128,.25)">'
        f'<div style="height:3px;width:{share:.0%};background:{colour}"></div></div>'
    )
    return (
        '<div style="display:flex;gap:.7em;align-items:baseline;padding:.55em 1em;'
        'background:rgba(128,128,128,.09)">'
        f'<span style="{_QUIET}">{escape(report.exercise)}</span>'
        f'<b style="flex:1">{escape(report.title)}</b>'
        f'<span style="{_QUIET};font-size:12px">seed {report.seed}</span>'
        f'<b style="border-bottom:2px solid {colour}">{score}</b></div>{bar}'
    )


def _part(report: Report, part: PartReport, *, opened: bool) -> str:
    """A line; below it what went wrong, open for the first one that did, else folded."""
    colour = GREEN if part.passed else BLUE if part.points else RED
    row = (
        '<div style="display:flex;gap:.6em;align-items:baseline">'
        f'<span style="color:{colour};font-weight:bold;width:1em">{_mark(part)}</span>'
        f'<span style="flex:1">{escape(part.title)}</span>'
        f'<span style="{_QUIET}">{_points(part.points, part.of)}</span></div>'
    )
    more = ""
    if part.finding is not None:
        more = _unfold("why", _finding(report, part), opened=opened)
    elif part.drawing is not None:
        more = _unfold("picture", _picture(part), opened=False)
    return f'<div style="padding:.35em 1em">{row}{more}</div>'


def _unfold(word: str, inside: str, *, opened: bool) -> str:
    summary = f'<summary style="{_QUIET};margin-left:1.6em;font-size:12px">{word}</summary>'
    return f"<details{' open' if opened else ''}>{summary}{inside}</details>"


def _finding(report: Report, part: PartReport) -> str:
    finding = part.finding
    assert finding is not None
    if finding.name == UNWRITTEN:
        words = f"{_words(finding.hint)} {_code(finding.where)}"
        return f'<div style="margin:.2em 0 .3em 1.6em">{words}</div>'
    skipped, steps = _last_steps(part)
    listed = "".join(f'<li value="{number}">{escape(step)}</li>' for number, step in steps)
    before = f'<div style="{_QUIET}">… {skipped} steps before</div>' if skipped else ""
    items = f'<ol style="margin:.2em 0;padding-left:2.6em">{listed}</ol>'
    told = f'<div style="{_MONO};margin-left:1.6em">{before}{items}</div>' if listed else ""
    rows = [("expected", f"{_words(finding.what)}: {_code(finding.wanted)}")]
    rows.append(("found", _code(finding.found)))
    if finding.where:
        rows.append(("in", _code(finding.where)))
    cells = "".join(
        f'<div style="{_QUIET};text-align:right">{name}</div><div>{value}</div>'
        for name, value in rows
    )
    table = (
        '<div style="display:grid;grid-template-columns:max-content 1fr;gap:.15em .8em;'
        f'align-items:baseline;margin:.3em 0 .3em 1.6em">{cells}</div>'
    )
    hint = (
        '<div style="margin:.35em 0 .35em 1.6em;padding:.35em .8em;border-left:3px solid '
        f'{BLUE};background:rgba(0,114,178,.10)">{_words(finding.hint)}</div>'
    )
    again = (
        f'<div style="margin-left:1.6em;{_QUIET};font-size:12px">again: '
        f"{_code(report.replay(part.name))}{_capture(report, part)}</div>"
    )
    return f"{told}{table}{hint}{_picture(part)}{again}"


def _words(text: str) -> str:
    """Prose, in which `code` may stand."""
    parts = text.split("`")
    return "".join(_code(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def _code(words: str) -> str:
    return f'<code style="{_MONO};background:none;color:inherit">{escape(words)}</code>'


def _pre(words: str) -> str:
    style = f"{_MONO};margin:.3em 0;white-space:pre-wrap;color:inherit;background:none"
    return f'<pre style="{style}">{escape(words)}</pre>'


def _folded(title: str, inside: str) -> str:
    return (
        f'<details style="padding:.2em 1em .5em"><summary style="{_QUIET}">{title}</summary>'
        f"{inside}</details>"
    )


def _picture(part: PartReport) -> str:
    if part.drawing is None:
        return ""
    from labkit.checks.picture import draw

    picture = draw(part.drawing)
    data = base64.b64encode(picture.png()).decode("ascii")
    return (
        f'<img alt="{escape(picture.alt)}" src="data:image/png;base64,{data}" style="display:block;'
        "width:calc(100% - 1.6em);max-width:46em;margin:.4em 0 .4em 1.6em;"
        'border-radius:6px;background:white">'
    )


def _capture(report: Report, part: PartReport) -> str:
    """The packets of the run, for Wireshark."""
    from labkit.checks.picture import has_packets, pcapng

    if part.drawing is None or not has_packets(part.drawing):
        return ""
    data = base64.b64encode(pcapng(part.drawing)).decode("ascii")
    name = f"check_{report.exercise.replace('.', '_')}_{part.name}.pcapng"
    link = f'download="{name}" href="data:application/octet-stream;base64,{data}"'
    return f' · <a {link} style="color:inherit">its packets, for Wireshark</a>'
