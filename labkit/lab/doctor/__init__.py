"""What this machine can do, and what to type for what it cannot.

    $ labkit doctor

Every answer comes from trying: a namespace is made, loopback is opened for capture, a datagram is
sent to ourselves. Each trial has a time limit, changes nothing that outlives it, and cannot take
the others down. All run at once, so that the slowest decides how long it takes.

The exit code is 0 when the course can run, which takes Python and libopus, and 1 when it cannot:
for all else there is a way around, which the report names.
"""

import html
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from labkit import __version__
from labkit.lab.doctor import network, programs, sound
from labkit.lab.doctor.remedies import describe
from labkit.lab.doctor.trial import Capability, Status

__all__ = ["Capability", "Report", "Status", "examine", "main", "report"]

TRIALS: Final[tuple[Callable[[], Capability | list[Capability]], ...]] = (
    programs.python,
    programs.opus,
    sound.devices,
    programs.tshark,
    programs.capture_rights,
    network.namespaces,
    network.tun,
    network.netem,
    network.udp,
    network.port,
    programs.ffmpeg,
    programs.gstreamer,
    programs.chromium,
    network.bubblewrap,
    sound.pulseaudio,
)
"""In the order of the report."""

NEEDED: Final = {programs.PYTHON.name, programs.LIBOPUS.name}
"""Without these the course cannot run."""


def examine() -> list[Capability]:
    """Try everything, at once. Takes the time of the slowest trial, and never raises."""
    with ThreadPoolExecutor(len(TRIALS)) as pool:
        return [answer for answers in pool.map(_try, TRIALS) for answer in answers]


def _try(trial: Callable[[], Capability | list[Capability]]) -> list[Capability]:
    try:
        answer = trial()
    except Exception as error:  # noqa: BLE001  (a doctor who faints helps nobody)
        name = trial.__name__.replace("_", " ")
        why = f"the trial failed: {type(error).__name__}: {error}"
        answer = Capability(name, Status.MISSING, why, "", "please report this line")
    return answer if isinstance(answer, list) else [answer]


LEFT: Final = "text-align: left; vertical-align: top"
BREAKS: Final = f"{LEFT}; overflow-wrap: anywhere"
STYLES: Final = (LEFT, LEFT, BREAKS, BREAKS, BREAKS)
"""Of the table's columns: long paths break, and a narrow page needs no scroll bar."""


class Report:
    """Capabilities as a page: text where it is printed, a table where a notebook shows it."""

    def __init__(self, capabilities: Sequence[Capability]) -> None:
        self.capabilities = tuple(capabilities)

    @property
    def can_run(self) -> bool:
        """Nothing is missing that the course cannot do without."""
        return not any(c.name in NEEDED and c.status is Status.MISSING for c in self.capabilities)

    @property
    def verdict(self) -> str:
        """The whole report in one sentence."""
        if not self.can_run:
            return "The course cannot run here yet: do what stands beside Python and libopus."
        lacking = [c.name for c in self.capabilities if c.status is not Status.OK]
        if lacking:
            return f"The course runs. Not or not quite here: {', '.join(lacking)}."
        return "The course runs, with everything."

    def __str__(self) -> str:
        width = max((len(c.name) for c in self.capabilities), default=0)
        indent = " " * (width + 12)
        lines = [f"labkit {__version__} on {describe()}", ""]
        for c in self.capabilities:
            lines.append(f"  {c.status:<8}{c.name:<{width}}  {c.found}")
            lines.append(f"{indent}for {c.use}")
            if c.remedy:
                lines.append(f"{indent}try: {c.remedy}")
        return "\n".join([*lines, "", self.verdict])

    def _repr_html_(self) -> str:
        cells = ((c.status, c.name, c.found, c.use, c.remedy) for c in self.capabilities)
        rows = "".join(f"<tr>{_row('td', row)}</tr>" for row in cells)
        head = f"<tr>{_row('th', ('', '', 'here', 'for', 'try'))}</tr>"
        where = html.escape(f"labkit {__version__} on {describe()}")
        return f"<p>{where}</p><table>{head}{rows}</table><p>{html.escape(self.verdict)}</p>"


def _row(tag: str, cells: Sequence[str]) -> str:
    """Cells of a row of the table."""
    pairs = zip(STYLES, cells, strict=True)
    return "".join(f'<{tag} style="{style}">{html.escape(cell)}</{tag}>' for style, cell in pairs)


def report() -> Report:
    """Examine this machine; print the result, or let a notebook show it."""
    return Report(examine())


def main() -> int:
    """The command `labkit doctor`. Returns its exit code."""
    result = report()
    encoding = sys.stdout.encoding or "ascii"
    # A Windows console may lack a letter of somebody's device name.
    sys.stdout.write(str(result).encode(encoding, "replace").decode(encoding) + "\n")
    return 0 if result.can_run else 1
