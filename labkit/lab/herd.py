"""A crowd of clients that all lose their server at once (week 4).

    herd({"each second": lambda failures, draw: 1000})

A rule says how many milliseconds to wait after so many failures; `draw` is thrown for each client
and each wait, from 0 to 1. The server is gone for three seconds, and then lets a few in each tenth
of a second, for each handshake costs it something. Whoever finds no room is refused, and waits.

What one client sees of a rule is `labkit.core.reconnect`; here is what the server sees of it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from labkit.lab.show import LATE, RECOVERED, Picture, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rule = Callable[[int, float], float]
"""Milliseconds to wait after so many failures (1 for the first), by a draw from 0 to 1."""

BIN: Final = 100
"""Milliseconds of a column."""
LONGEST: Final = 60_000
"""Milliseconds after which we look no longer."""


@dataclass
class Crowd:
    """What a server sees of one rule."""

    name: str
    clients: int
    gone: int
    """Milliseconds that the server is gone."""
    attempts: Counter[int] = field(default_factory=Counter)
    """By the tenth of a second."""
    accepted: Counter[int] = field(default_factory=Counter)
    last: float = 0.0
    """When the last client was back, in milliseconds; or the end of our patience."""

    @property
    def worst(self) -> int:
        """Attempts in the fullest tenth of a second since the server is back."""
        return max((n for at, n in self.attempts.items() if at * BIN >= self.gone), default=0)

    def __str__(self) -> str:
        total = sum(self.attempts.values())
        back = sum(self.accepted.values())
        end = f"all back after {self.last / 1000:.1f} s"
        if back < self.clients:
            end = f"{self.clients - back} of {self.clients} not back after a minute"
        return f"{self.name}: {total} attempts, then up to {self.worst} in 100 ms, {end}"


class Herd(Picture):
    """The picture of some crowds; it prints what each came to."""

    def __init__(self, crowds: list[Crowd]) -> None:
        self.crowds = crowds
        with canvas(height=1.75, rows=len(crowds)) as (figure, rows):
            seconds = max(6.0, min(12.0, max(c.last for c in crowds) / 1000 + 0.5))
            for axes, crowd in zip(rows, crowds, strict=True):
                _draw(axes, crowd)
                axes.set_xlim(0, seconds)
            rows[-1].set_xlabel("time since the server died (s)")
            handles, labels = rows[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=3)
        super().__init__(figure, "; ".join(map(str, crowds)))

    def __repr__(self) -> str:
        return "\n".join(map(str, self.crowds))


def herd(
    rules: Mapping[str, Rule],
    *,
    clients: int = 200,
    gone: int = 3000,
    room: int = 10,
    seed: int = 0,
) -> Herd:
    """`clients` lose a server for `gone` milliseconds; then it lets in `room` each 100 ms."""
    return Herd([_crowd(name, rule, clients, gone, room, seed) for name, rule in rules.items()])


def _crowd(name: str, rule: Rule, clients: int, gone: int, room: int, seed: int) -> Crowd:
    crowd, dice = Crowd(name, clients, gone), Random(f"{seed} herd")
    # All hear of the end within some milliseconds: the network is not quite the same for each.
    queue = [(dice.uniform(0, 20) + rule(1, dice.random()), each, 1) for each in range(clients)]
    heapq.heapify(queue)
    while queue:
        now, client, failures = heapq.heappop(queue)
        if now > LONGEST:
            crowd.last = LONGEST
            break
        column = int(now // BIN)
        crowd.attempts[column] += 1
        if now >= gone and crowd.accepted[column] < room:
            crowd.accepted[column] += 1
            crowd.last = now
        else:
            wait = max(1.0, rule(failures + 1, dice.random()))
            heapq.heappush(queue, (now + wait, client, failures + 1))
    return crowd


def _draw(axes: "Axes", crowd: Crowd) -> None:
    columns = sorted(crowd.attempts)
    times = [(column + 0.5) * BIN / 1000 for column in columns]
    heights = [crowd.attempts[column] for column in columns]
    let_in = [crowd.accepted[column] for column in columns]
    width = 0.9 * BIN / 1000
    axes.axvspan(0, crowd.gone / 1000, color="#F6D3C4", alpha=0.6, lw=0, label="no server")
    axes.bar(times, heights, width, color=LATE, label="refused")
    axes.bar(times, let_in, width, color=RECOVERED, label="let in")
    axes.set_ylabel("attempts\nin 100 ms")
    axes.set_title(str(crowd), fontsize=9.5)
