"""The class's leaderboard: lines that students' own machines wrote, merged and shown (week 12).

    board = read_boards(["ada.jsonl", "ben.jsonl"])
    print(board); board.show(); board.refused

A line is somebody's word. It is read as what a stranger sent: of bounded size, of exactly the form
that `ReportCard.line` has, with numbers that can be; whatever is not is refused, with its file, its
line and the field. What passes may still be untrue: a name is what its owner chose, and whoever can
write a file can write a better score into it. To know, make the calls again (docs/capstone.md).

This module runs nobody's code.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from labkit.lab.capstone import LONGEST_NAME
from labkit.lab.capstoneparts import BY_WORD
from labkit.lab.show import GREY, PLAYED, Picture, canvas
from labkit.words.errors import BadInput

MOST_BYTES: Final = 8192
"""Of one line."""
MOST_LINES: Final = 2000
"""Of one file."""
MOST_NETWORKS: Final = 16
RANGES: Final = {
    "stoi": (-1.0, 1.0),
    "r": (0.0, 100.0),
    "delay_ms": (0.0, 60_000.0),
    "unheard": (0.0, 1.0),
    "dropped": (0.0, 1e6),
    "fooled": (0.0, 1e6),
}
"""What a figure of one network can be; RFC 3611 and ITU-T G.107 for the two in the middle."""


class Entry(NamedTuple):
    """One card, as somebody says it was."""

    name: str
    parts: tuple[str, ...]
    r: float
    stoi: float
    delay_ms: float
    """Mean of its networks."""
    unheard: float
    """Likewise, 0 to 1."""
    seed: int
    version: str
    networks: tuple[str, ...]

    @property
    def terms(self) -> tuple[Any, ...]:
        """Only cards of the same terms can be compared."""
        return self.seed, self.version, self.networks


@dataclass(frozen=True)
class Board:
    """The last card of each name, the best first."""

    entries: tuple[Entry, ...]
    refused: tuple[str, ...]
    """`file:line: why` for every line that was not read."""

    def __str__(self) -> str:
        lines = ["place  name                 parts     R   STOI   delay  not heard   seed  labkit"]
        for place, e in enumerate(self.entries, 1):
            lines.append(
                f"{place:>5}  {e.name[:20]:<20} {len(e.parts):>5} {e.r:>5.1f} {e.stoi:>6.3f} "
                f"{e.delay_ms:>4.0f} ms {e.unheard:>10.1%} {e.seed:>6}  {e.version}"
            )
        if len({entry.terms for entry in self.entries}) > 1:
            lines.append("Not all crossed the same networks with the same seed and labkit.")
        lines.append("These figures are the students' own word.")
        return "\n".join(lines)

    __repr__ = __str__

    def show(self) -> Picture:
        """Everybody as a point: delay, and what was not heard."""
        with canvas(height=3.8) as (figure, rows):
            axes = rows[0]
            for place, entry in enumerate(self.entries):
                at = entry.delay_ms, 100 * entry.unheard
                colour = PLAYED if place == 0 else GREY
                axes.plot(*at, "*" if place == 0 else "o", color=colour, ms=13 if place == 0 else 8)
                # Names are a stranger's: `$` would begin mathematics.
                said = entry.name[:20].replace("$", r"\$")
                axes.annotate(said, at, (0, 9), textcoords="offset points", ha="center", fontsize=9)
            axes.margins(0.15, 0.25)
            axes.set_xlabel("mouth to ear (ms), mean of the networks")
            axes.set_ylabel("not heard (%)")
        return Picture(figure, f"The cards of {len(self.entries)} students: delay, not heard")


def read_boards(paths: Sequence[str | Path]) -> Board:
    """Merge files. `BadInput` when one cannot be read at all."""
    found: dict[str, Entry] = {}
    refused: list[str] = []
    for path in map(Path, paths):
        for number, data in _lines(path):
            if number > MOST_LINES:
                refused.append(f"{path.name}:{number}: more than {MOST_LINES} lines")
                break
            try:
                entry = read_line(data)
            except ValueError as error:
                refused.append(f"{path.name}:{number}: {error}")
            else:
                found.pop(entry.name, None)
                found[entry.name] = entry
    ranked = sorted(found.values(), key=lambda e: (-e.r, -e.stoi, e.name))
    return Board(tuple(ranked), tuple(refused))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Not blank, and no longer than one byte too long."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                end = line
                while not end.endswith(b"\n") and (end := file.readline(MOST_BYTES)):
                    pass  # what follows of a line that is too long is not kept
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", "labkit course leaderboard FILE…") from None


def read_line(data: bytes) -> Entry:
    """One line. `ValueError` says which field is wrong; it quotes nothing of it."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} bytes")
    try:
        card = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    wanted = {"labkit", "name", "seed", "parts", "r", "stoi", "networks"}
    if not isinstance(card, dict) or set(card) != wanted:
        raise ValueError(f"its fields are not {', '.join(sorted(wanted))}")
    name, version = _text(card, "name", LONGEST_NAME), _text(card, "labkit", 30)
    seed, parts, networks = card["seed"], card["parts"], card["networks"]
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise ValueError("seed is no number from 0 to 2^32 - 1")
    if type(parts) is not list or not all(type(p) is str and p in BY_WORD for p in parts):
        raise ValueError("parts are not places of a call")
    if len(set(parts)) < len(parts):
        raise ValueError("parts are named twice")
    if type(networks) is not dict or not 0 < len(networks) <= MOST_NETWORKS:
        raise ValueError(f"networks are not 1 to {MOST_NETWORKS}")
    if not all(0 < len(n) <= LONGEST_NAME and n.isprintable() for n in networks):
        raise ValueError("networks have names that cannot be shown")
    rows = [_figures(figures) for figures in networks.values()]
    means = {key: sum(row[key] for row in rows) / len(rows) for key in RANGES}
    for key, room in (("r", 0.02), ("stoi", 0.001)):
        if abs(_number(card, key, *RANGES[key]) - means[key]) > room:
            raise ValueError(f"{key} is not the mean of its networks")
    return Entry(
        name, tuple(parts), means["r"], means["stoi"], means["delay_ms"], means["unheard"],
        seed, version, tuple(networks),
    )  # fmt: skip


def _figures(figures: Any) -> dict[str, float]:
    if not isinstance(figures, dict) or set(figures) != set(RANGES):
        raise ValueError(f"the figures of a network are not {', '.join(RANGES)}")
    return {key: _number(figures, key, *ends) for key, ends in RANGES.items()}


def _number(row: dict[str, Any], key: str, least: float, most: float) -> float:
    value = row[key]
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{key} is no number from {least:g} to {most:g}")
    return float(value)


def _text(row: dict[str, Any], key: str, most: int) -> str:
    value = row[key]
    if type(value) is not str or not 0 < len(value) <= most or not value.isprintable():
        raise ValueError(f"{key} is not 1 to {most} printable characters")
    return value
