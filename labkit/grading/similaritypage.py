"""Similar submissions as a page: pairs, the most alike first, and their passages side by side.

The page is one file, for the instructor's eyes. It begins with what it does not say.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from labkit.grading.pagestyle import STYLE
from labkit.grading.similarity import K, Pair, Passage, Prints, Similarities, Work, passages

SHOWN: Final = 40
"""Pairs."""
LONGEST: Final = 400
"""Lines of a cell."""
COLOURS: Final = 6
WARNING: Final = (
    "Short exercises have few good answers, and people who learn together write alike. What stands "
    "here says where to look, and no more: talk with both before you think anything of either."
)
MORE: Final = """
main{max-width:82rem}
.warn{border-left:4px solid var(--orange);padding:.8rem 1.2rem;background:var(--card);
border-radius:0 10px 10px 0;margin:1.4rem 0}
.warn p{margin:.2rem 0 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--quiet);font-weight:400;font-size:.85rem;padding:.2rem .6rem}
td{padding:.4rem .6rem;border-top:1px solid var(--line);overflow-wrap:anywhere}
td a{color:inherit;text-decoration-color:var(--line)}
td .bar{width:10rem;max-width:30vw}
.sides{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem}
.side h3{font-size:.95rem;margin:.3rem 0;overflow-wrap:anywhere}
.cell{color:var(--quiet);font-size:.8rem;margin:.7rem 0 .15rem}
pre{margin:0;padding:.6rem 0;background:var(--soft);border-radius:8px;overflow:auto;max-height:none;
font:.78rem/1.5 var(--mono);color:var(--ink)}
pre span,pre mark{display:block;padding:0 .8rem;min-height:1.5em;white-space:pre;color:inherit;
background:none;border-left:4px solid transparent;min-width:max-content}
pre mark{border-color:var(--m);background:color-mix(in srgb,var(--m) 15%,transparent)}
.m0{--m:#0072b2}.m1{--m:#e69f00}.m2{--m:#009e73}.m3{--m:#cc79a7}.m4{--m:#56b4e9}.m5{--m:#d55e00}
.quiet{color:var(--quiet)}
@media (max-width:48rem){.sides{grid-template-columns:1fr}}
"""


class Shown(NamedTuple):
    """A pair, with what it has in common."""

    pair: Pair
    passages: tuple[Passage, ...]
    left: float
    """The share of its own tokens that is in the other one."""
    right: float


def page(found: Similarities, works: Sequence[Work], title: str, least: float = 0.2) -> str:
    """The page: pairs with at least that score."""
    sources = {work.name: work.cells for work in works}
    pairs = [pair for pair in found.pairs if pair.score >= least]
    shown = [_shown(pair, found) for pair in pairs[:SHOWN]]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}: similarity</title><style>{STYLE}{MORE}</style><main>"
        f'<header><div class="who"><p class="week">{escape(title)}</p><h1>Similarity</h1></div>'
        f'</header><div class="warn"><b>Similarity is not proof.</b><p>{WARNING}</p></div>'
        f"{_summary(found, pairs, least)}{_table(shown)}"
        f"{''.join(_pair(i, each, found, sources) for i, each in enumerate(shown))}</main></html>\n"
    )


def _shown(pair: Pair, found: Similarities) -> Shown:
    left, right = found.prints[pair.left], found.prints[pair.right]
    those = tuple(passages(left, right))
    sides = [[(p.left, p.length) for p in those], [(p.right, p.length) for p in those]]
    return Shown(pair, those, _covered(left, sides[0]), _covered(right, sides[1]))


def _covered(prints: Prints, spans: Sequence[tuple[int, int]]) -> float:
    inside = {i for first, length in spans for i in range(first, first + length)}
    own = sum(not prints.given[i] for i in inside)
    return own / prints.own if prints.own else 0.0


def _summary(found: Similarities, pairs: Sequence[Pair], least: float) -> str:
    many = len(found.prints)
    said = f"{many} submissions, {many * (many - 1) // 2} pairs, of which {len(pairs)} share"
    said += f" {least:.0%} or more of their fingerprints"
    if len(pairs) > SHOWN:
        said += f"; the first {SHOWN} are shown"
    said += f". Not counted: what the release gave, matches of fewer than {K} tokens"
    said += f", and {found.common} fingerprints that many have. Names, comments and layout make no"
    return f'<p class="quiet">{said} difference.</p>'


def _table(shown: Sequence[Shown]) -> str:
    if not shown:
        return "<p>No two submissions are so much alike.</p>"
    rows = "".join(
        f'<tr><td><a href="#p{i}">{escape(each.pair.left)}</a></td><td>{each.left:.0%}</td>'
        f"<td>{escape(each.pair.right)}</td><td>{each.right:.0%}</td>"
        f'<td><span class="bar"><i style="width:{each.pair.score:.0%}"></i></span></td>'
        f"<td>{sum(p.length for p in each.passages)}</td></tr>"
        for i, each in enumerate(shown)
    )
    return (
        '<div class="card"><table><tr><th>one<th>of its own code<th>the other<th>of its own code'
        f"<th>alike<th>tokens</tr>{rows}</table></div>"
    )


def _pair(
    number: int, shown: Shown, found: Similarities, sources: Mapping[str, Mapping[int, str]]
) -> str:
    pair = shown.pair
    left = _side(pair.left, found, sources, [(p.left, p.length) for p in shown.passages])
    right = _side(pair.right, found, sources, [(p.right, p.length) for p in shown.passages])
    head = f"{escape(pair.left)} <span>and</span> {escape(pair.right)}<b>{pair.score:.0%}</b>"
    return (
        f'<section class="card" id="p{number}"><h2>{head}</h2>'
        f'<div class="sides">{left}{right}</div></section>'
    )


def _side(
    name: str,
    found: Similarities,
    sources: Mapping[str, Mapping[int, str]],
    spans: Sequence[tuple[int, int]],
) -> str:
    """One of both: its cells that have a passage, with the same colour for the same passage."""
    marks: dict[int, dict[int, int]] = defaultdict(dict)
    row = found.prints[name].tokens
    for colour, (first, length) in enumerate(spans):
        cell = row[first].cell
        for line in range(row[first].line, row[first + length - 1].line + 1):
            marks[cell].setdefault(line, colour % COLOURS)
    cells = "".join(
        f'<p class="cell">cell {cell}</p><pre>{"".join(_lines(sources[name][cell], lines))}</pre>'
        for cell, lines in sorted(marks.items())
    )
    return f'<div class="side"><h3>{escape(name)}</h3>{cells}</div>'


def _lines(source: str, marks: Mapping[int, int]) -> Iterator[str]:
    for number, line in enumerate(source.split("\n")[:LONGEST], 1):
        text = escape(line[:LONGEST])
        if number in marks:
            yield f'<mark class="m{marks[number]}">{text}</mark>'
        else:
            yield f"<span>{text}</span>"
