"""What a dashboard shows: tiles with a name, a number and a graph, and a table.

`View` is the content. `html` makes one string of it, with graphs in SVG, some kilobytes, so that an
update is one message to the page; `labkit.lab.dashboardcanvas` draws the same in the page. Colours
of text are the notebook's own, so it can be read on a dark page too; those of the graphs mean what
they mean in every picture (`labkit.lab.show`).

Nothing here knows a widget or a clock. What comes from the other end is escaped.
"""

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from typing import Final, NamedTuple

from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures, lately
from labkit.lab.show import GREY, LATE, LOST, PLAYED, RECOVERED
from labkit.words.units import NS_PER_S, seconds, to_ms

WIDTH, HEIGHT = 172, 40
SPAN: Final = seconds(30)
"""How much of the past a graph shows."""
RECENT: Final = seconds(2)
"""Shares are those of so long a time."""
MOST_CLIENTS: Final = 40
"""Rows of the table: who is worst off."""

STYLE: Final = (files("labkit.lab") / "static" / "dashboard.css").read_text(encoding="utf-8")


class Line(NamedTuple):
    """Values over time; None is a gap."""

    colour: str
    values: Sequence[float | None]


class Tile(NamedTuple):
    """A name, a number, a graph. `note` is HTML; the graph reaches at least up to `top`."""

    label: str
    value: str
    note: str
    lines: Sequence[Line]
    top: float


class View(NamedTuple):
    """Everything there is to see. `times` are seconds before now; `table` is HTML."""

    now: int
    times: Sequence[float]
    tiles: Sequence[Tile]
    table: str = ""


Moment = tuple[int, ReceiverFigures]
"""Figures, and when they were so."""


def receiver_view(history: Sequence[Moment]) -> View:
    """The tiles of a receiver; `history` is at most `SPAN` long, the newest last."""
    now, f = history[-1]
    times = [(t - now) / NS_PER_S for t, _ in history]

    def of(get: Callable[[ReceiverFigures], int | None]) -> list[float | None]:
        return [get(figures) for _, figures in history]

    lost, late, concealed = (shares(history, name) for name in ("lost", "late", "concealed"))
    tiles = [
        Tile("loss", _percent(lost[-1]), f"{f.lost} of {f.expected} packets",
             [Line(LOST, lost)], top=0.05),
        Tile("late", _percent(late[-1]), f"{f.late} packets, {f.reordered} reordered",
             [Line(LATE, late)], top=0.05),
        Tile("concealed", _percent(concealed[-1]), f"{f.concealed} frames, {f.held} held",
             [Line(RECOVERED, concealed)], top=0.05),
        Tile("jitter", _ms(f.jitter), "RFC 3550",
             [Line(LATE, of(lambda f: f.jitter))], top=seconds(0.01)),
        Tile("buffer", _ms(f.depth), f"wanted: {_ms(f.target)}",
             [Line(GREY, of(lambda f: f.target)), Line(PLAYED, of(lambda f: f.depth))],
             top=seconds(0.1)),
        Tile("mouth to ear", _ms(f.mouth_to_ear), _basis(f.mouth_to_ear_by),
             [Line(PLAYED, of(lambda f: f.mouth_to_ear))], top=seconds(0.2)),
        Tile("bitrate", _rate(f.bitrate), f"{f.played} frames played",
             [Line(PLAYED, of(lambda f: f.bitrate))], top=40_000),
    ]  # fmt: skip
    if f.round_trip is not None:  # who only listens over RTP never knows it
        trips = [Line(PLAYED, of(lambda f: f.round_trip))]
        tiles.append(Tile("round trip", _ms(f.round_trip), "", trips, top=seconds(0.05)))
    return View(now, times, tiles)


def shares(history: Sequence[Moment], field: str) -> list[float | None]:
    """For each moment, the share of `field` in the packets of the `RECENT` time before it."""
    found: list[float | None] = []
    start = 0
    for now, figures in history:
        while history[start][0] < now - RECENT:
            start += 1
        found.append(lately(field, history[start][1], figures))
    return found


def server_view(history: Sequence[tuple[int, ServerFigures]]) -> View:
    """The tiles of a server, and a table of its listeners, the worst off first."""
    now, f = history[-1]
    times = [(t - now) / NS_PER_S for t, _ in history]
    deepest = [max((c.queued for c in s.clients), default=0) for _, s in history]
    turned_away: list[float | None] = [s.refused_clients for _, s in history]
    refused = ", ".join(f"{escape(why)}: {count}" for why, count in f.refused.items())
    tiles = [
        Tile("listening", f"{f.listening} of {f.max_clients}", "",
             [Line(PLAYED, [s.listening for _, s in history])], top=2),
        Tile("bitrate", _rate(f.bitrate), "of one copy",
             [Line(PLAYED, [s.bitrate for _, s in history])], top=40_000),
        Tile("longest queue", str(deepest[-1]), "packets", [Line(LATE, deepest)], top=10),
        Tile("turned away", str(f.refused_clients), refused,
             [Line(LOST, turned_away)], top=5),
    ]  # fmt: skip
    return View(now, times, tiles, table(f.clients))


def table(clients: Sequence[ClientFigures]) -> str:
    """One row for each listener."""
    if not clients:
        return "<div>nobody listens</div>"
    worst = sorted(clients, key=lambda c: (_full(c), c.lag, c.loss or 0), reverse=True)
    rows = "".join(map(_row, worst[:MOST_CLIENTS]))
    if len(worst) > MOST_CLIENTS:
        rows += (
            f'<tr><td colspan="8">and {len(worst) - MOST_CLIENTS} more, with less trouble</td></tr>'
        )
    names = ("listener", "queue", "lag", "dropped", "loss", "jitter", "round trip", "gets")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _full(client: ClientFigures) -> float:
    return min(client.queued / client.queue_limit, 1.0) if client.queue_limit else 0.0


def _row(c: ClientFigures) -> str:
    colour = LOST if _full(c) >= 0.9 else LATE if _full(c) >= 0.5 else PLAYED
    queue = (
        f'<span class="queue"><i style="width:{_full(c):.0%};background:{colour}"></i></span>'
        f"{c.queued}/{c.queue_limit}"
    )
    cells = (
        escape(c.name[:60]), queue, _ms(c.lag), str(c.dropped), _percent(c.loss), _ms(c.jitter),
        _ms(c.round_trip), "-" if c.bitrate is None else _rate(c.bitrate),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


# Parts --------------------------------------------------------------------------------------------


def html(view: View) -> str:
    """All of it, as one piece of a page."""
    tiles = "".join(_tile(tile, view.times) for tile in view.tiles)
    return f'<style>{STYLE}</style><div class="labkit-dash">{tiles}{view.table}</div>'


def _tile(tile: Tile, times: Sequence[float]) -> str:
    return (
        f'<div class="tile">{escape(tile.label)}<b>{escape(tile.value)}</b>'
        f'{graph(times, tile.lines, tile.top)}<div class="note">{tile.note}</div></div>'
    )


def graph(times: Sequence[float], lines: Sequence[Line], top: float) -> str:
    """Lines over the last `SPAN`; the right edge is now, the bottom is 0."""
    highest = max([top, *(v for line in lines for v in line.values if v is not None)])
    span = SPAN / NS_PER_S
    paths = []
    for line in lines:
        points = []
        joined = False
        for t, value in zip(times, line.values, strict=True):
            if value is None:
                joined = False
                continue
            x = WIDTH * (1 + t / span)
            y = HEIGHT - 1 - (HEIGHT - 3) * max(value, 0) / highest
            points.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}")
            joined = True
        paths.append(f'<path d="{"".join(points)}" fill="none" stroke="{line.colour}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><path d="M0 {HEIGHT - 0.5}H{WIDTH}" '
        f'stroke="{GREY}" stroke-width="0.5"/>{"".join(paths)}</svg>'
    )


def _basis(basis: Basis | None) -> str:
    return {None: "", Basis.SENDER_REPORT: "measured, one clock"}.get(basis, "estimated")


def _ms(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "-"
    value = to_ms(nanoseconds)
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:.0f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _rate(bits: int) -> str:
    return f"{bits / 1000:.1f} kbit/s"
