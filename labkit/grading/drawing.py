"""Pictures of what a check did, for a page: SVG that takes the page's colours, light or dark.

The drawings are those of `labkit.checks.picture`, which makes an image of them in a notebook. A
page for each of three hundred students wants something lighter: text of a few kilobytes, sharp at
any size, drawn in a millisecond. Colours are classes (`played`, `wrong`, `late`) that the page's
own style gives a colour; words in it are escaped. This module decides nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Any, Final

from labkit.words.units import to_ms

WIDTH: Final = 760
LEFT: Final = 74
"""Of the names of rows and of the numbers on an axis."""
MOST_TURNS: Final = 22
"""In one picture: the last ones."""
MOST_BYTES: Final = 20


def svg(drawing: Mapping[str, Any]) -> str:
    """The picture of a drawing; empty for one of an unknown kind."""
    draw = _KINDS.get(drawing.get("kind", ""))
    return draw(drawing) if draw is not None else ""


def _svg(height: float, words: str, shapes: Iterator[str] | Sequence[str]) -> str:
    return (
        f'<svg class="drawing" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(words)}">{"".join(shapes)}</svg>'
    )


def _text(x: float, y: float, words: object, kind: str = "", anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
        f"{escape(str(words))}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, about so many."""
    rough = max(high - low, 1e-9) / count
    power = float(10.0 ** floor(log10(rough)))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    return [step * n for n in range(ceil(low / step), floor(high / step) + 1)]


# Turns ------------------------------------------------------------------------------------------

Turn = tuple[int, int | None]


def _turns(drawing: Mapping[str, Any]) -> str:
    """Arrivals above; below them what each turn had to give, and what it gave."""
    wanted: list[Turn] = [tuple(turn) for turn in drawing["wanted"]][-MOST_TURNS:]
    begin: int = wanted[0][0]
    frame: int = drawing["frame"]
    yours: list[Turn] = [tuple(turn) for turn in drawing["yours"] if turn[0] >= begin]
    arrivals = [tuple(a) for a in drawing["arrivals"] if a[0] >= begin - 3 * frame]
    begin = min([begin, *(int(now) for now, _, _ in arrivals)])
    end = max([now + frame for now, _ in wanted] + [int(now) for now, _, _ in arrivals])
    scale: float = (WIDTH - LEFT - 14) / max(end - begin, 1)

    def at(now: int) -> float:
        return LEFT + (now - begin) * scale

    differ = [
        (now, seq) for (now, seq), (_, other) in zip(yours, wanted, strict=False) if seq != other
    ]
    words = "; ".join(
        f"at {to_ms(now):.0f} ms your turn gives {_named(seq)}" for now, seq in differ
    )
    return _svg(
        182, words or "every turn as wanted", _turn_shapes(at, arrivals, wanted, yours, frame)
    )


def _turn_shapes(
    at: Callable[[int], float],
    arrivals: Sequence[tuple[int, int, str]],
    wanted: Sequence[Turn],
    yours: Sequence[Turn],
    frame: int,
) -> Iterator[str]:
    for y, name in ((52, "arrivals"), (94, "wanted"), (136, "yours")):
        yield _text(LEFT - 14, y + 4, name, "row", "end")
    last = max([now for now, _ in wanted] + [now for now, _, _ in arrivals])
    first = min([now for now, _ in wanted] + [now for now, _, _ in arrivals])
    for tick in _ticks(to_ms(first), to_ms(last + frame), 8):
        x = at(round(tick * 1e6))
        yield _line(x, 50, x, 158, "grid")
        yield _text(x, 175, f"{tick:g} ms", "tick")
    ends = [-1e9] * 3  # of what stands in each of three lines above the dots
    for now, seq, note in arrivals:
        x, words = at(now), f"{seq} {note}".strip()
        half = 3.4 * len(words) + 2
        line = next((n for n, end in enumerate(ends) if end <= x - half), ends.index(min(ends)))
        ends[line] = x + half
        yield _line(x, 44 - 13 * line, x, 78, "drop")
        yield f'<circle cx="{x:.1f}" cy="52" r="4.5" class="{"late" if note else "played"}"/>'
        yield _text(x, 41 - 13 * line, words, "seq")
    for y, turns in ((78, wanted), (120, yours)):
        for n, (now, given) in enumerate(turns):
            wrong = turns is yours and n < len(wanted) and given != wanted[n][1]
            yield from _turn(at(now) + 1, y, at(now + frame) - at(now) - 2, given, wrong=wrong)


def _turn(x: float, y: float, width: float, seq: int | None, *, wrong: bool) -> Iterator[str]:
    kind = "gap" if seq is None else "played"
    if wrong:
        kind = "gap wronggap" if seq is None else "wrong"
    yield (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="32" rx="4" class="{kind}"/>')
    if seq is not None and width > 7 * len(str(seq)):
        yield _text(x + width / 2, y + 21, seq, "on")


def _named(seq: int | None) -> str:
    return "nothing" if seq is None else str(seq)


# Frontier ---------------------------------------------------------------------------------------


def _frontier(drawing: Mapping[str, Any]) -> str:
    """Delay to the right, loss upward: one point is a star, several are a line."""
    series = {name: sorted(map(tuple, points)) for name, points in drawing["points"].items()}
    every = [point for points in series.values() for point in points]
    low, high = min(x for x, _ in every), max(x for x, _ in every)
    top = max(1.0, *(y for _, y in every)) * 1.08
    margin = 0.05 * max(high - low, 1)
    low, high = low - margin, high + margin
    base, height = 206, 196

    def spot(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - 20), base - y / top * height

    shapes: list[str] = []
    for tick in _ticks(low, high, 8):
        x, _ = spot((tick, 0))
        shapes += [
            _line(x, base - height, x, base, "grid"),
            _text(x, base + 18, f"{tick:g}", "tick"),
        ]
    for tick in _ticks(0, top, 5):
        _, y = spot((low, tick))
        shapes += [_line(LEFT, y, WIDTH - 20, y, "grid")]
        shapes.append(_text(LEFT - 8, y + 4, f"{tick:g} %", "tick", "end"))
    shapes.append(_text(WIDTH - 20, base + 36, "mouth-to-ear delay, ms", "tick", "end"))
    shapes.append(_text(LEFT, 22 - 12, drawing.get("ylabel", ""), "tick", "start"))
    for n, (name, points) in enumerate(series.items()):
        shapes += _series(name, [spot(point) for point in points], n)
    return _svg(base + 44, f"delay against {drawing.get('ylabel', '')}", shapes)


def _series(name: str, spots: Sequence[tuple[float, float]], n: int) -> Iterator[str]:
    kind = f"series{n % 4}"
    x, y = spots[len(spots) // 3 if len(spots) > 1 else 0]
    right = x < WIDTH * 0.8
    if len(spots) == 1:
        yield f'<path d="{_star(x, y, 9)}" class="{kind} fill"/>'
    else:
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in spots)
        yield f'<polyline points="{line}" class="{kind} stroke"/>'
        yield from (
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" class="{kind} fill"/>' for a, b in spots
        )
    shift = 13 if right else -13
    yield _text(x + shift, y - 8, name, f"{kind} name", "start" if right else "end")


def _star(x: float, y: float, size: float) -> str:
    """Five points; their places on the unit circle."""
    places = (
        (0.0, -1.0), (0.235, -0.324), (0.951, -0.309), (0.38, 0.124), (0.588, 0.809),
        (0.0, 0.4), (-0.588, 0.809), (-0.38, 0.124), (-0.951, -0.309), (-0.235, -0.324),
    )  # fmt: skip
    return "M" + " L".join(f"{x + a * size:.1f},{y + b * size:.1f}" for a, b in places) + " Z"


# Bytes ------------------------------------------------------------------------------------------


def _bytes(drawing: Mapping[str, Any]) -> str:
    """Two rows of bytes under the names of their fields."""
    wanted, yours = (bytes.fromhex(drawing[name])[:MOST_BYTES] for name in ("wanted", "yours"))
    step = (WIDTH - LEFT - 14) / MOST_BYTES
    longest = max(len(wanted), len(yours))
    shapes = [
        _text(LEFT - 14, 59, "wanted", "row", "end"),
        _text(LEFT - 14, 93, "yours", "row", "end"),
    ]
    for n, (name, first, last) in enumerate(drawing["fields"]):
        end = min(last + 1, longest)
        if end > first:
            x, width = LEFT + first * step, (end - first) * step
            shapes.append(
                f'<rect x="{x + 1:.1f}" y="34" width="{width - 2:.1f}" height="72" rx="5" '
                f'class="field{n % 2}"/>'
            )
            shapes.append(_text(x + width / 2, 24, name, "seq"))
    for y, data in ((59, wanted), (93, yours)):
        for at, byte in enumerate(data):
            wrong = y > 80 and data[at : at + 1] != wanted[at : at + 1]
            shapes.append(
                _text(LEFT + (at + 0.5) * step, y, f"{byte:02x}", "hex bad" if wrong else "hex")
            )
    shapes += [_text(LEFT + (at + 0.5) * step, 122, at, "tick") for at in range(0, longest, 4)]
    differ = [str(at) for at in range(len(yours)) if yours[at : at + 1] != wanted[at : at + 1]]
    return _svg(130, f"bytes that differ: {', '.join(differ) or 'none'}", shapes)


_KINDS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "turns": _turns,
    "frontier": _frontier,
    "bytes": _bytes,
}
