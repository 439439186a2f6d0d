"""A streamer of each transport under attack, with listeners who go on hearing.

    make siege                          # ten minutes
    python benchmarks/siege.py [--seconds S] [--protos tcp,wss,…] [--scale X] [--json]

For each of tcp, ws, wss, udp, rtp and quic a `streamer serve` runs, with a metrics port, and with
tokens where there are any. Two `receiver connect` listen to each, and every few seconds one more
comes for three seconds. Meanwhile `tests/attacks.py`, which says what and how often, attacks every
port and every metrics port from this process. It takes about a third of a core, and two cores are
enough for all of it. Attackers and newcomers yield to the others (nice(2)): elsewhere they would
have machines of their own, and what is tested is not who gets this one's processor.

Every second it is noted what each streamer holds: resident memory and file descriptors, from
`/proc`. Before the attack there are ten quiet seconds, and after it the streamers have twelve to
forget it.

The promises, and exit code 1 when one is broken:

- no streamer ends, and none prints a traceback; each prints at most `MAX_LINES` lines a second
- memory does not grow: when the attack has filled what may be filled, in the first quarter, the
  median of the last is at most `MAX_GROWTH` above that of the second; and the most at any time is
  `MAX_MEMORY` above the quiet seconds
- file descriptors have a bound, and afterwards are as many as before
- who listened before hears at least `MIN_HEARD` of all frames, of which `MAX_LATE` may be late
- who comes meanwhile is let in, and hears
- the metrics are there whenever they are asked for, count what was refused, and name nobody who
  has not joined

A frame is late when it comes after its turn in a jitter buffer of `--buffer-ms`: the machine may be
busy for so long.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from attacks import Address, Target, besiege
from programs import Program, address_of, listening, serving

from labkit.core import token
from labkit.core.figures import ReceiverFigures, ServerFigures
from labkit.live.certs import make_folder
from labkit.live.metricsreader import read_figures
from labkit.live.secretfile import make_secret, read_secret
from labkit.words.errors import BadInput

PROTOS = ("tcp", "ws", "wss", "udp", "rtp", "quic")
LISTENERS = 2
QUIET, FORGET = 10.0, 12.0
"""Seconds before and after."""
YIELDING = 10
"""How nice attackers and newcomers are."""
VISIT, VISIT_EVERY = 3.0, 5.0
"""Seconds that a newcomer listens, and between two of them."""

MAX_LINES = 25
"""`labkit.cli.serving` says 5 a second of each of three kinds, and 10 who joined."""
MAX_GROWTH, MAX_MEMORY = 4 << 20, 64 << 20
MAX_DESCRIPTORS = 64 + 64 + 8 + 64
"""Seats, places at the door, readers of metrics; and connections that are about to go."""
MIN_HEARD, MAX_LATE = 0.995, 0.005


@dataclass
class Held:
    """What a streamer holds at an instant."""

    memory: int
    descriptors: int
    cpu: float


@dataclass
class Fort:
    """A streamer, who listens to it, and what was seen of it."""

    proto: str
    server: Program
    address: Address
    metrics: Address
    listeners: list[Program]
    before: list[Held] = field(default_factory=list)
    during: list[Held] = field(default_factory=list)
    after: list[Held] = field(default_factory=list)
    attacks: Counter[str] = field(default_factory=Counter)
    visits: list[tuple[int, str]] = field(default_factory=list)
    """Exit code and last words of each newcomer."""
    unanswered: int = 0
    """Times that the metrics were asked for in vain."""
    lines_before: int = 0
    figures: ServerFigures = field(default_factory=ServerFigures)
    heard: list[ReceiverFigures] = field(default_factory=list)
    due: float = 1.0
    """Frames that were said meanwhile."""
    most_named: int = 0
    """Listeners with a name in the metrics, at most."""

    def look(self, into: list[Held]) -> None:
        """Note what it holds now."""
        into.append(held(self.server.pid))


def held(pid: int) -> Held:
    """From /proc: pages, open files, and ticks of processor time."""
    folder = Path("/proc") / str(pid)
    try:
        pages = int((folder / "statm").read_text().split()[1])
        ticks = (folder / "stat").read_text().rpartition(")")[2].split()
        cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
        return Held(pages * os.sysconf("SC_PAGE_SIZE"), descriptors, cpu)
    except (OSError, IndexError):
        return Held(0, 0, 0.0)  # it has ended, which is told otherwise


# Building -----------------------------------------------------------------------------------------


class Camp:
    """The folder with certificates and tokens, and the options that need them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder / "certs", names=["localhost", "127.0.0.1"])
        make_secret(folder / "secret")
        tomorrow = int(time.time()) + 86400
        self.token = token.issue(read_secret(folder / "secret"), "siege", tomorrow)
        (folder / "token").write_text(self.token)

    def serving(self, proto: str) -> list[object]:
        """Options of a streamer."""
        certs = ["--certs", self.folder / "certs"] if proto in ("wss", "quic") else []
        secret = ["--secret", self.folder / "secret"] if proto in ("ws", "wss", "quic") else []
        return [*certs, *secret]

    def listening(self, proto: str) -> list[object]:
        """Options of a receiver."""
        certs = ["--certs", self.folder / "certs"] if proto in ("wss", "quic") else []
        shown = ["--token", self.folder / "token"] if proto in ("ws", "wss", "quic") else []
        return [*certs, *shown]


def build(proto: str, camp: Camp, stack: ExitStack, buffer_ms: int) -> Fort:
    """A streamer and its listeners, as soon as they hear."""
    more = ["--loop", "--metrics", 0, *camp.serving(proto)]
    server = stack.enter_context(serving(proto, "speech", *more))
    address = split(address_of(server))
    metrics = metrics_of(server)
    fort = Fort(proto, server, address, metrics, [])
    for number in range(LISTENERS):
        out = camp.folder / f"{proto}{number}.wav"
        options = ["--buffer-ms", buffer_ms, "--metrics", 0, *camp.listening(proto)]
        where = f"{address[0]}:{address[1]}"
        fort.listeners.append(stack.enter_context(listening(proto, where, out, *options)))
    for listener in fort.listeners:
        listener.wait_for("receiving")
    return fort


def split(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return host, int(port)


def metrics_of(program: Program) -> Address:
    return split(program.wait_for(r"metrics on http://([^/]+)/")[1])


def figures_of(program: Program) -> ServerFigures | ReceiverFigures:
    host, port = metrics_of(program)
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as page:
        return read_figures(page.read().decode())


# The siege ----------------------------------------------------------------------------------------


async def hold_out(
    forts: list[Fort], camp: Camp, duration: float, scale: float, buffer_ms: int
) -> None:
    """Quiet, attack, quiet; everything is noted in the forts."""
    await watch(forts, "before", QUIET)
    at_start = [(time.monotonic(), heard_so_far(fort)) for fort in forts]
    for fort in forts:
        fort.lines_before = len(fort.server.lines)
    async with asyncio.TaskGroup() as group:
        for number, fort in enumerate(forts):
            group.create_task(attack(fort, camp, duration, scale, number))
        group.create_task(watch(forts, "during", duration))
        group.create_task(visit(forts, camp, duration, buffer_ms))
    for fort, (begin, start) in zip(forts, at_start, strict=True):
        fort.due = (time.monotonic() - begin) * 50
        fort.heard = list(map(minus, heard_so_far(fort), start))
    await watch(forts, "after", FORGET)


async def attack(fort: Fort, camp: Camp, duration: float, scale: float, number: int) -> None:
    target = Target(fort.proto, fort.address, fort.metrics, camp.token, Random(number))
    fort.attacks = await besiege(target, duration, scale)


async def watch(forts: list[Fort], part: str, duration: float) -> None:
    """Every second what they hold, every fifth the metrics too."""
    begin = time.monotonic()
    for second in range(round(duration)):
        await asyncio.sleep(max(0, begin + second + 1 - time.monotonic()))
        for fort in forts:
            fort.look(getattr(fort, part))
            if second % 5 == 0:
                try:
                    figures = await asyncio.to_thread(figures_of, fort.server)
                except (OSError, BadInput):
                    fort.unanswered += 1
                    continue
                assert isinstance(figures, ServerFigures)
                fort.figures = figures
                fort.most_named = max(fort.most_named, len(figures.clients))


async def visit(forts: list[Fort], camp: Camp, duration: float, buffer_ms: int) -> None:
    """Newcomers, one after the other, at each in turn."""
    begin = time.monotonic()
    number = 0
    while time.monotonic() < begin + duration - VISIT_EVERY - VISIT:
        fort = forts[number % len(forts)]
        number += 1
        fort.visits.append(await asyncio.to_thread(one_visit, fort, camp, buffer_ms))
        await asyncio.sleep(max(0, begin + number * VISIT_EVERY - time.monotonic()))


def one_visit(fort: Fort, camp: Camp, buffer_ms: int) -> tuple[int, str]:
    where = f"{fort.address[0]}:{fort.address[1]}"
    options = ["--seconds", VISIT, "--buffer-ms", buffer_ms, *camp.listening(fort.proto)]
    with listening(fort.proto, where, camp.folder / "visit.wav", *options) as visitor:
        os.setpriority(os.PRIO_PROCESS, visitor.pid, YIELDING)
        with contextlib.suppress(Exception):  # told by its exit code, None when it hangs
            visitor.finish()
        code = visitor.process.poll()
        return -1 if code is None else code, visitor.lines[-1] if visitor.lines else ""


def heard_so_far(fort: Fort) -> list[ReceiverFigures]:
    found = []
    for listener in fort.listeners:
        try:
            found.append(figures_of(listener))
        except (OSError, BadInput):
            found.append(ReceiverFigures())  # it has ended, or hears nothing
    return [each for each in found if isinstance(each, ReceiverFigures)]


def minus(later: ReceiverFigures, earlier: ReceiverFigures) -> ReceiverFigures:
    names = ("received", "expected", "late", "played", "concealed", "held", "lost")
    each = {name: getattr(later, name) - getattr(earlier, name) for name in names}
    return ReceiverFigures(**each)


# What came of it ----------------------------------------------------------------------------------


@dataclass
class Outcome:
    """Of one streamer; memory in megabytes."""

    proto: str
    attacks_per_second: float
    quiet_mb: float
    second_mb: float
    last_mb: float
    most_mb: float
    descriptors: tuple[int, int, int]
    """Before, at most, after."""
    core: float
    """The part of a core that it took."""
    lines_per_second: float
    refused: int
    named: int
    heard: float
    late: float
    visits: int
    visits_heard: int
    unanswered: int
    broken: list[str]
    """Promises."""


def judge(fort: Fort, duration: float) -> Outcome:
    """Every figure, and every promise that was broken."""
    memory = [each.memory for each in fort.during]
    quarter = max(len(memory) // 4, 1)
    quiet = statistics.median(each.memory for each in fort.before)
    second = statistics.median(memory[quarter : 2 * quarter] or memory)
    last = statistics.median(memory[-quarter:])
    open_before = max(each.descriptors for each in fort.before)
    most_open = max(each.descriptors for each in fort.during)
    open_after = fort.after[-1].descriptors
    lines = (len(fort.server.lines) - fort.lines_before) / duration
    heard = min((min(each.played / fort.due, 1.0) for each in fort.heard), default=0.0)
    late = max((each.late / fort.due for each in fort.heard), default=1.0)
    good = sum(code == 0 and played(words) > VISIT * 25 for code, words in fort.visits)
    refused = sum(fort.figures.refused.values())
    promises = {
        f"ended with {fort.server.process.poll()}": fort.server.process.poll() is None,
        "printed a traceback": "Traceback" not in fort.server.output,
        "printed too much": lines <= MAX_LINES,
        "memory grew": last - second <= MAX_GROWTH,
        "took too much memory": max(memory) - quiet <= MAX_MEMORY,
        "too many descriptors": most_open <= MAX_DESCRIPTORS,
        "kept descriptors": open_after <= open_before + 2,
        "a listener ended": all(each.process.poll() is None for each in fort.listeners),
        "frames were not heard": heard >= MIN_HEARD,
        "frames were late": late <= MAX_LATE,
        "a newcomer was kept out": good == len(fort.visits),
        "metrics were not answered": fort.unanswered == 0,
        "nothing was counted": refused > 0,
        "too many names in the metrics": fort.most_named <= 64,
    }
    return Outcome(
        proto=fort.proto,
        attacks_per_second=sum(fort.attacks.values()) / duration,
        quiet_mb=quiet / 2**20,
        second_mb=second / 2**20,
        last_mb=last / 2**20,
        most_mb=max(memory) / 2**20,
        descriptors=(open_before, most_open, open_after),
        core=(fort.during[-1].cpu - fort.during[0].cpu) / max(len(fort.during) - 1, 1),
        lines_per_second=lines,
        refused=refused,
        named=fort.most_named,
        heard=heard,
        late=late,
        visits=len(fort.visits),
        visits_heard=good,
        unanswered=fort.unanswered,
        broken=[words for words, kept in promises.items() if not kept],
    )


def played(words: str) -> int:
    found = re.search(r"played (\d+) packets", words)
    return int(found[1]) if found else 0


def table(outcomes: list[Outcome]) -> str:
    """As it stands in docs/hostility.md."""
    columns = (
        "attacks/s", "MB quiet", "second quarter", "last", "most", "descriptors", "of a core",
        "lines/s", "refused", "heard", "late", "newcomers",
    )  # fmt: skip
    rows = [f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for each in outcomes:
        before, most, after = each.descriptors
        cells = (
            f"{each.attacks_per_second:.0f}", f"{each.quiet_mb:.0f}", f"{each.second_mb:.1f}",
            f"{each.last_mb:.1f}", f"{each.most_mb:.1f}", f"{before}, {most}, {after}",
            f"{each.core:.0%}", f"{each.lines_per_second:.1f}", f"{each.refused}",
            f"{each.heard:.2%}", f"{each.late:.2%}", f"{each.visits_heard} of {each.visits}",
        )  # fmt: skip
        rows.append(f"| {each.proto} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--protos", default=",".join(PROTOS), help="with commas between")
    parser.add_argument("--scale", type=float, default=1, help="times as many attacks (1)")
    parser.add_argument("--buffer-ms", type=int, default=120, help="of the listeners (120)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each")
    options = parser.parse_args()

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it tells what becomes of attackers
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        camp = Camp(Path(name))
        forts = [
            build(proto, camp, stack, options.buffer_ms) for proto in options.protos.split(",")
        ]
        os.nice(YIELDING)
        asyncio.run(hold_out(forts, camp, options.seconds, options.scale, options.buffer_ms))
        outcomes = [judge(fort, options.seconds) for fort in forts]
        if options.json:
            for outcome in outcomes:
                print(json.dumps(vars(outcome)))
        else:
            print(table(outcomes))
        attacker = os.times()
        share = (attacker.user + attacker.system) / options.seconds
        print(f"the attacker took {share:.0%} of a core", file=sys.stderr)
        for fort, outcome in zip(forts, outcomes, strict=True):
            for words in outcome.broken:
                print(f"{outcome.proto}: {words}", file=sys.stderr)
            if outcome.broken:
                for program in (fort.server, *fort.listeners):
                    print(program.command, *program.lines[-12:], sep="\n  ", file=sys.stderr)
                heard = [(each.played, each.late, each.concealed, each.held) for each in fort.heard]
                print(fort.figures.refused, fort.unanswered, fort.visits, heard, file=sys.stderr)
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
