"""The shipped captures: what each shows, how it was taken, and whether that is still true.

    capture("04_zero_window")          its packets: a `labkit.lab.traffic.Traffic`
    describe("04_zero_window")         what it shows and what can be asked of it
    verify()                           everything that is wrong with the folder; nothing, we hope

The words are in `captures/manifest.toml`, written by hand. Below its marker line stands what
`labkit capture` measured when it took the capture, written by it: digest, packets, programs.

A capture's claims are Wireshark's display filters with a number of packets each; `verify` counts
them with tshark, the judge that we did not write.

This module takes no capture: `labkit.lab.recipes` does.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any, Final

from labkit.lab.traffic import Traffic, open_capture
from labkit.resources import captures_folder
from labkit.words.errors import BadInput

MARKER: Final = "# What follows is written by `labkit capture`.\n"
SMALL: Final = 200_000
"""Bytes that one capture may have."""
ALL: Final = 3_000_000
"""Bytes that all of them may have together."""
CLAIM: Final = re.compile(r"(==|>=|<=|>|<) *(\d+)")
COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": eq, ">=": ge, "<=": le, ">": gt, "<": lt,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a capture can answer. The answer is not here: it is computed."""

    ask: str
    answer: str
    """Which function of `labkit.lab.answers` computes it."""
    hint: str
    """An idea for those who are wrong."""
    unit: str = ""
    tolerance: str = "0"
    """How far off an answer may be: "5 %", or a number in the unit."""
    choices: tuple[str, ...] = ()
    """What can be answered, where it is no number."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was measured when a capture was taken."""

    sha256: str
    packets: int
    bytes: int
    seconds: float
    programs: tuple[str, ...]
    """Host and command, as they were started; empty for virtual time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One capture of the manifest."""

    name: str
    week: int
    title: str
    shows: str
    profile: str | dict[str, Any]
    """A shipped profile, or words for `labkit.lab.links.link`."""
    seed: int
    at: str
    """Where it was taken: "sent", on the link with what was lost; or the name of a host."""
    claims: dict[str, str]
    questions: tuple[Question, ...]
    taken: Taken | None

    @property
    def command(self) -> str:
        """What takes it again."""
        return f"labkit capture {self.name}"

    @property
    def path(self) -> Path:
        """Its file."""
        return captures_folder() / f"{self.name}.pcapng"

    def __str__(self) -> str:
        lines = [f"{self.name} (week {self.week}): {self.title}", self.shows.strip()]
        if self.taken:
            lines.append(f"{self.taken.packets} packets in {self.taken.seconds:g} s; taken by:")
            lines += [f"  {program}" for program in self.taken.programs] or ["  virtual time"]
        network = self.profile if isinstance(self.profile, str) else json.dumps(self.profile)
        lines.append(f"network: {network}, seed {self.seed}; taken at: {self.at}")
        lines += [f"  ? {question.ask}" for question in self.questions]
        return "\n".join(lines)

    __repr__ = __str__


def manifest(folder: Path | None = None) -> dict[str, Entry]:
    """Every capture by its name, in the order of the weeks."""
    path = (folder or captures_folder()) / "manifest.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    taken = table.pop("taken", {})
    return {name: _entry(name, words, taken.get(name)) for name, words in sorted(table.items())}


def _entry(name: str, words: dict[str, Any], taken: dict[str, Any] | None) -> Entry:
    questions = tuple(
        Question(**(q | {"choices": tuple(q.get("choices", ()))}))
        for q in words.pop("questions", ())
    )
    if taken is not None:
        taken = taken | {"programs": tuple(taken["programs"])}
    return Entry(
        name=name, questions=questions, taken=Taken(**taken) if taken is not None else None, **words
    )


def describe(name: str) -> Entry:
    """What a capture shows. `BadInput` when there is none of that name, or of that number."""
    known = manifest()
    found = [each for each in known if each == name or each.startswith(f"{name}_")]
    if len(found) != 1:
        some = ", ".join(found or known)
        raise BadInput(f"there is no capture called {name!r}", f"one of {some}")
    return known[found[0]]


def capture(name: str) -> Traffic:
    """The packets of a shipped capture."""
    return open_capture(describe(name).path)


def offer(week: int | None = None) -> str:
    """A shipped capture, in words, for those who cannot capture themselves."""
    known = [e for e in manifest().values() if week in (None, e.week)] or [*manifest().values()]
    return f'a shipped capture: capture("{known[0].name}")' if known else "a shipped capture"


# Verifying -----------------------------------------------------------------------------------


def verify(folder: Path | None = None, names: Sequence[str] = ()) -> list[str]:
    """What is wrong with the captures and their manifest, a line each."""
    folder = folder or captures_folder()
    known = manifest(folder)
    chosen = {name: known[name] for name in names or known}
    problems = [] if names else list(_folder_problems(folder, known))
    for name, entry in chosen.items():
        problems += [f"{name}: {why}" for why in _problems(folder / f"{name}.pcapng", entry)]
    return problems


def _folder_problems(folder: Path, known: dict[str, Entry]) -> Iterator[str]:
    files = [path for path in folder.iterdir() if path.suffix in (".pcapng", ".pcap")]
    for path in sorted(files):
        if path.stem not in known or path.suffix != ".pcapng":
            yield f"{path.name}: the manifest does not list it"
    if sum(path.stat().st_size for path in files) > ALL:
        yield f"all together: more than {ALL} bytes"


def _problems(path: Path, entry: Entry) -> Iterator[str]:
    if not path.is_file() or entry.taken is None:
        yield f"not taken yet: {entry.command}"
        return
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.taken.sha256:
        yield f"another file than the manifest's: take it again with {entry.command}"
    if len(data) > SMALL:
        yield f"{len(data)} bytes, more than {SMALL}"
    traffic = open_capture(path)
    if traffic.problem is not None:
        yield f"damaged: {traffic.problem}"
    if len(traffic) != entry.taken.packets:
        yield f"{len(traffic)} packets, not {entry.taken.packets}"
    yield from _strangers(traffic)
    if shutil.which("tshark"):
        yield from _false_claims(path, entry.claims)


def _strangers(traffic: Traffic) -> Iterator[str]:
    """Nothing of the machine that took it may be in it."""
    for packet in traffic:
        for host, _ in (packet.source, packet.destination):
            if not host.startswith(("10.9.", "192.168.", "224.", "239.")):
                yield f"packet {packet.number}: {host} is no address of a lab"
                return


def _false_claims(path: Path, claims: dict[str, str]) -> Iterator[str]:
    for wanted, found in counts(path, list(claims)).items():
        match = CLAIM.fullmatch(claims[wanted])
        if match is None:
            yield f'a claim such as ">= 1" is expected, not {claims[wanted]!r}'
        elif not COMPARE[match[1]](found, int(match[2])):
            yield f"{found} packets are {wanted}, not {claims[wanted]}"


DECODE: Final = ("-d", "udp.port==5000,rtp", "-d", "udp.port==5002,rtp", "-d", "udp.port==5004,rtp")
"""RTP is bound to no port, so tshark must be told where it is."""


def counts(path: Path, filters: Sequence[str]) -> dict[str, int]:
    """How many packets pass each of some of Wireshark's display filters, in one run of tshark."""
    table = ",".join(["io,stat,0", *filters])
    command = ["tshark", "-n", "-q", "-r", str(path), *DECODE, "-z", table]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BadInput(f"tshark does not take {' or '.join(filters)}: {done.stderr.strip()}")
    rows = [line for line in done.stdout.splitlines() if "<>" in line]
    if not rows:  # all packets in one instant
        return dict.fromkeys(filters, 0)
    # frames, bytes, frames, bytes ...; a long filter makes the table wider than its columns
    cells = [int(cell) for cell in rows[-1].split("|")[2:] if cell.strip()]
    return dict(zip(filters, cells[::2], strict=True))


# Writing -------------------------------------------------------------------------------------


def measured(path: Path, programs: Sequence[str]) -> Taken:
    """What the manifest keeps of a file."""
    data = path.read_bytes()
    traffic = open_capture(path)
    length = (traffic.packets[-1].now - traffic.start) / 1e9 if len(traffic) else 0.0
    digest = hashlib.sha256(data).hexdigest()
    return Taken(digest, len(traffic), len(data), round(length, 3), tuple(programs))


def write_taken(name: str, taken: Taken, folder: Path | None = None) -> None:
    """Put what was measured into the manifest, below its marker."""
    path = (folder or captures_folder()) / "manifest.toml"
    words, _, _ = path.read_text(encoding="utf-8").partition(MARKER)
    known = {n: e.taken for n, e in manifest(folder).items()} | {name: taken}
    tables = (_table(n, t) for n, t in sorted(known.items()) if t is not None)
    path.write_text(words + MARKER + "".join(tables), encoding="utf-8")


def _table(name: str, taken: Taken) -> str:
    programs = "".join(f"    {json.dumps(program)},\n" for program in taken.programs)
    return (
        f"\n[taken.{name}]\nsha256 = {json.dumps(taken.sha256)}\npackets = {taken.packets}\n"
        f"bytes = {taken.bytes}\nseconds = {taken.seconds}\n"
        + (f"programs = [\n{programs}]\n" if programs else "programs = []\n")
    )
