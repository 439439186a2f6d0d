"""A trace that `--trace` wrote, as columns and as a picture.

    log = load_trace("call.jsonl")
    log["loss"], log["depth"]         numpy columns beside log.t, in the units of the figures
    log.clients()["queued"]           of a server: one column for each listener
    log.show()                        loss, jitter, depth, delay; what happened, as marks

A file that is still being written may end in half a line; that line is left out. Anything else
that is no JSON is a `BadInput` that names it. The part that was put aside (`FILE.1`) is read too.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from labkit.lab.show import GREY, LATE, LOST, PLAYED, RECOVERED, Picture, canvas
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_MS

Column = npt.NDArray[np.float64]
FIGURES: Final = ("receiver", "server")
MARKS: Final = {"joined": RECOVERED, "closed": GREY, "refused": LOST}


@dataclass(frozen=True)
class TraceLog:
    """Lines of figures and of events, in the order of writing."""

    figures: list[dict[str, Any]] = field(repr=False)
    events: list[dict[str, Any]] = field(repr=False)

    @property
    def t(self) -> Column:
        """Seconds since the trace began, of every line of figures."""
        return self["t"]

    def __getitem__(self, name: str) -> Column:
        """One figure as a column; what was not known then is not a number (nan)."""
        if not any(name in line for line in self.figures):
            raise BadInput(f"the trace has no {name!r}", f"one of {', '.join(self.names)}")
        return np.array([_number(line.get(name)) for line in self.figures])

    @property
    def names(self) -> list[str]:
        """What there is a column of."""
        plain = (k for line in self.figures for k, v in line.items() if _plain(v))
        return sorted(set(plain) - {"what", "mouth_to_ear_by"})

    def clients(self, name: str = "queued") -> dict[str, Column]:
        """One figure of every listener that a server had: nan while it was not there."""
        present = [{c["name"]: c for c in line.get("clients", ())} for line in self.figures]
        everybody = dict.fromkeys(client for line in present for client in line)
        return {
            who: np.array([_number(line.get(who, {}).get(name)) for line in present])
            for who in everybody
        }

    def show(self) -> Picture:
        """What the trace says, over time."""
        if not self.figures:
            raise BadInput("the trace has no figures yet", "wait a second")
        server = self.figures[0]["what"] == "server"
        return self._show_server() if server else self._show_receiver()

    def _show_receiver(self) -> Picture:
        with canvas(height=1.9, rows=3) as (figure, rows):
            rows[0].plot(self.t, 100 * self._rate("lost"), color=LOST, label="lost")
            rows[0].plot(self.t, 100 * self._rate("late"), color=LATE, label="late")
            rows[0].set_ylabel("% of packets")
            for name, colour in (("depth", PLAYED), ("target", GREY), ("jitter", LATE)):
                rows[1].plot(self.t, self[name] / NS_PER_MS, color=colour, label=name)
            rows[1].set_ylabel("ms")
            rows[2].plot(
                self.t, self["mouth_to_ear"] / NS_PER_MS, color=PLAYED, label="mouth to ear"
            )
            rows[2].set_ylabel("ms")
            self._finish(rows)
        last = self.figures[-1]
        words = f"{last['received']} packets received, {last['lost']} lost, {last['late']} late"
        return Picture(figure, words)

    def _show_server(self) -> Picture:
        with canvas(height=1.9, rows=2) as (figure, rows):
            rows[0].step(self.t, self["listening"], color=PLAYED, label="listening", where="post")
            rows[0].set_ylabel("listeners")
            for who, queued in self.clients("queued").items():
                rows[1].plot(self.t, queued, lw=1, label=who)
            rows[1].set_ylabel("packets in queue")
            self._finish(rows)
        return Picture(figure, f"up to {int(np.nanmax(self['listening']))} listeners")

    def _finish(self, rows: Any) -> None:
        """Marks for what happened, legends, and the time below."""
        for axes in rows:
            for event in self.events:
                if (colour := MARKS.get(event["what"])) is not None:
                    axes.axvline(event["t"], color=colour, lw=0.8, ls=":")
            axes.set_ylim(bottom=0)
            if 0 < len(axes.get_legend_handles_labels()[0]) <= 8:
                axes.legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=8)  # above
        rows[-1].set_xlabel("time (s)")

    def _rate(self, name: str) -> Column:
        """The share of the packets expected from one line to the next; nan where none were."""
        expected, counted = np.diff(self["expected"]), np.diff(self[name])
        share = np.full(len(self.figures), np.nan)
        np.divide(counted, expected, out=share[1:], where=expected > 0)
        return share


def load_trace(path: str | Path) -> TraceLog:
    """Read a trace, and the part of it that was put aside."""
    path = Path(path)
    before = path.with_name(path.name + ".1")
    lines = [
        line for part in (before, path) if part != before or part.exists() for line in _read(part)
    ]
    return TraceLog(
        [line for line in lines if line["what"] in FIGURES],
        [line for line in lines if line["what"] not in FIGURES],
    )


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(f"cannot read {path}: {why}", "a file that --trace wrote") from error
    found = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            found.append(json.loads(line))
            if not {"t", "what"} <= found[-1].keys():
                raise ValueError("no t and what")  # noqa: TRY301 - one sentence for both
        except (ValueError, AttributeError) as error:
            what = f"{path}, line {number} is no line of a trace: {error}"
            raise BadInput(what, "a file that --trace wrote") from error
    return found


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
