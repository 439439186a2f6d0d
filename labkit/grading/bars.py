"""Bars beside each other, as SVG that takes its colours from the page."""

from collections.abc import Sequence
from html import escape


def bars(
    counts: Sequence[int],
    labels: Sequence[str],
    marks: Sequence[str],
    titles: Sequence[str],
    alt: str,
    below: str,
    middle: float | None = None,
    middle_said: str = "",
    late: int = -1,
) -> str:
    """Bars beside each other. `late` is the first one that is of another colour."""
    width, height, foot, head = 760, 210, 42, 26
    each = width / len(counts)
    most = max([*counts, 1])
    every = max(1, -(-len(counts) * 34 // width))
    parts = [f'<line x1="0" x2="{width}" y1="{height - foot}" y2="{height - foot}"/>']
    if middle is not None:
        x = min(max(middle * each, 1), width - 1)
        side = "end" if x > width / 2 else "start"
        shift = -6 if side == "end" else 6
        parts.append(
            f'<line class="middle" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - foot}"/>'
        )
        parts.append(
            f'<text class="middle" text-anchor="{side}" x="{x + shift:.1f}" y="12">'
            f"{escape(middle_said)}</text>"
        )
    for i, count in enumerate(counts):
        tall = (height - foot - head) * count / most
        x, y, center = i * each + each * 0.1, height - foot - tall, (i + 0.5) * each
        colour = ' class="late"' if 0 <= late <= i else ""
        parts.append(
            f'<rect{colour} x="{x:.1f}" y="{y:.1f}" width="{each * 0.8:.1f}" '
            f'height="{tall:.1f}" rx="3"><title>{escape(titles[i])}</title></rect>'
        )
        if marks[i]:
            spot = f'x="{center:.1f}" y="{y - 6:.1f}"'
            parts.append(f'<text class="value" text-anchor="middle" {spot}>{marks[i]}</text>')
        if i % every == 0:
            spot = f'x="{center:.1f}" y="{height - foot + 18}"'
            parts.append(f'<text text-anchor="middle" {spot}>{escape(labels[i])}</text>')
    parts.append(f'<text text-anchor="middle" x="{width / 2}" y="{height - 6}">{below}</text>')
    return (
        f'<div class="scroll"><svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(alt)}">'
        f"{''.join(parts)}</svg></div>"
    )
