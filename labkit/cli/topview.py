"""What `labkit top` shows: figures as lines of text, as wide and as high as the terminal.

Nothing here reads a clock, a terminal or the network: figures go in, lines come out. Text from the
other end, such as a listener's name, is shown without its control characters: a terminal obeys
those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures, lately
from labkit.words.units import ms, to_ms

LABEL, VALUE, GRAPH = 13, 12, 24
NAME: Final = 24
UNKNOWN: Final = "-"
BASIS: Final = {
    Basis.SENDER_REPORT: "measured: the sender's clock is taken to be ours",
    Basis.HALF_ROUND_TRIP: "estimated: half of the round trip each way",
    None: "",
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What bars and sparklines are drawn with."""

    full: str
    empty: str
    sparks: str
    more: str


BLOCKS: Final = Glyphs("█", "░", "▁▂▃▄▅▆▇█", "…")
ASCII: Final = Glyphs("#", ".", "_.-=+*%#", "~")
"""For terminals that have nothing else."""


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """A bar that is full at 1. What is not nothing shows."""
    filled = min(max(round(share * width), 1 if share > 0 else 0), width)
    return glyphs.full * filled + glyphs.empty * (width - filled)


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs, top: float = 0) -> str:
    """The last `width` values, from 0 up to the largest or to `top`; a gap where none is known."""
    shown = list(values)[-width:]
    highest = max([top, *(v for v in shown if v is not None)], default=0) or 1
    last = len(glyphs.sparks) - 1
    return "".join(
        " " if v is None else glyphs.sparks[round(min(max(v / highest, 0), 1) * last)]
        for v in shown
    )


def page(
    history: Sequence[ReceiverFigures | ServerFigures], width: int, height: int, glyphs: Glyphs
) -> list[str]:
    """The lines for the newest figures; those before them, a second apart, are the graphs."""
    last = history[-1]
    if isinstance(last, ServerFigures):
        lines = _server([f for f in history if isinstance(f, ServerFigures)], height, glyphs)
    else:
        lines = _receiver([f for f in history if isinstance(f, ReceiverFigures)], glyphs)
    return [line[:width].rstrip() for line in lines[:height]]


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


# A receiver ---------------------------------------------------------------------------------------


def _receiver(history: list[ReceiverFigures], glyphs: Glyphs) -> list[str]:
    f = history[-1]
    pairs = list(pairwise(history))
    lost, late = ([lately(name, a, b) for a, b in pairs] for name in ("lost", "late"))
    since = history[-11:][0] if len(history) > 1 else ReceiverFigures()

    def line(label: str, value: str, values: Sequence[float | None], what: str = "") -> str:
        graph = sparkline(values, GRAPH, glyphs)
        return f"  {label:<{LABEL}}{value:>{VALUE}}  {graph:<{GRAPH}}  {what}"

    deepest = max([ms(100), *(h.depth for h in history)])
    fill = bar(f.depth / deepest, GRAPH, glyphs)
    target = "" if f.target is None else f"the policy wants {_ms(f.target)}"
    counted = f"{f.lost} of {f.expected} in all, {f.reordered} reordered, {f.duplicates} twice"
    return [
        line("loss", _percent(lately("lost", since, f)), lost, counted),
        line("late", _percent(lately("late", since, f)), late, f"{f.late} in all"),
        line("jitter", _ms(f.jitter), [h.jitter for h in history]),
        f"  {'buffer':<{LABEL}}{_ms(f.depth):>{VALUE}}  {fill}  {target}",
        line("bitrate", _rate(f.bitrate), [h.bitrate for h in history]),
        line("round trip", _ms(f.round_trip), [h.round_trip for h in history]),
        line(
            "mouth to ear",
            _ms(f.mouth_to_ear),
            [h.mouth_to_ear for h in history],
            BASIS[f.mouth_to_ear_by],
        ),
        "",
        f"  {f.played} frames played, {f.concealed} concealed, {f.held} held",
        f"  {f.received} packets received, {f.refused} refused; {f.underruns} underruns",
    ]


# A server -----------------------------------------------------------------------------------------


def _server(history: list[ServerFigures], height: int, glyphs: Glyphs) -> list[str]:
    f = history[-1]
    room = bar(f.listening / f.max_clients if f.max_clients else 0, GRAPH, glyphs)
    refused = ", ".join(f"{printable(why)}: {count}" for why, count in f.refused.items())
    lines = [
        f"  {'listening':<{LABEL}}{f.listening:>{VALUE}}  {room}  room for {f.max_clients}",
        f"  {'bitrate':<{LABEL}}{_rate(f.bitrate):>{VALUE}}  one copy of the sound",
        f"  {'turned away':<{LABEL}}{f.refused_clients:>{VALUE}}  for want of room",
        f"  {'refused':<{LABEL}}{sum(f.refused.values()):>{VALUE}}  {refused}",
        "",
    ]
    if not f.clients:
        return [*lines, "  nobody listens"]
    lines.append(
        f"  {'listener':<{NAME}}  {'queue':<19}{'lag':>8}{'dropped':>9}{'loss':>9}"
        f"{'jitter':>10}{'round trip':>12}{'gets':>14}"
    )
    worst = sorted(f.clients, key=_trouble, reverse=True)
    fit = max(height - len(lines), 1)
    shown = worst if len(worst) <= fit else worst[: fit - 1]
    lines += [_client(client, glyphs) for client in shown]
    if len(shown) < len(worst):
        lines.append(f"  and {len(worst) - len(shown)} more, with less trouble")
    return lines


def _trouble(client: ClientFigures) -> tuple[float, int, float, int]:
    """Who is worst off comes first."""
    return _fullness(client), client.lag, client.loss or 0, client.dropped


def _fullness(client: ClientFigures) -> float:
    return client.queued / client.queue_limit if client.queue_limit else 0


def _client(c: ClientFigures, glyphs: Glyphs) -> str:
    name = printable(c.name)
    name = name if len(name) <= NAME else name[: NAME - 1] + glyphs.more
    queue = f"{bar(_fullness(c), 10, glyphs)} {c.queued}/{c.queue_limit}"
    return (
        f"  {name:<{NAME}}  {queue:<19}{_ms(c.lag):>8}{c.dropped:>9}{_percent(c.loss):>9}"
        f"{_ms(c.jitter):>10}{_ms(c.round_trip):>12}{_rate(c.bitrate):>14}"
    )


def _ms(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return UNKNOWN
    value = to_ms(nanoseconds)
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:.0f} ms"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.1%}"


def _rate(bits: int | None) -> str:
    return UNKNOWN if bits is None else f"{bits / 1000:.1f} kbit/s"
