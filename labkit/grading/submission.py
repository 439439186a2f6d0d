"""Where the submissions are and whose: folders and archives as they come from where people hand in.

    submitted/doe_jane/week06/week06_jitter_buffer.ipynb               nbgrader
    doejane_LATE_12345_678_week06_jitter_buffer-1.ipynb                Canvas, one folder
    Jane Doe_1234_assignsubmission_file_/week06_jitter_buffer.ipynb    Moodle, a folder each
    Jane Doe_1234_assignsubmission_file_week06.ipynb                   Moodle, one folder
    doe_jane/anything.ipynb,  doe_jane.ipynb                           by hand

Each of them may be a folder or a zip, or lie in one. A student has one submission: who handed in
several notebooks has the one graded that is named as it was given out, and of those the newest
version by its number. A student who handed in no notebook has a submission too, without one.

Nothing is unpacked, no link is followed, and nothing but plain files is opened. Names come from
strangers: they are only ever shown, and `slug` makes one that a file can have. This module does not
look into a notebook.
"""

import hashlib
import os
import re
import stat
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from labkit.words.errors import BadInput

MOST_BYTES: Final = 32_000_000
"""Of a notebook. With ten minutes of sound in its outputs it is half as large."""
MOST_FILES: Final = 100_000
"""In all that was handed in."""
CANVAS: Final = re.compile(r"(?P<who>.+?)(?P<late>_LATE)?_(?P<id>\d+)_\d+_(?P<file>.+)")
MOODLE: Final = re.compile(r"(?P<who>.+)_(?P<id>\d+)_assignsubmission_file_?(?P<file>.*)")
ONLINE: Final = re.compile(r".+_\d+_assignsubmission_onlinetext_?.*")
WRAPPERS: Final = frozenset({"submitted", "submissions", "submission"})
WEEK: Final = re.compile(r"week[ _-]?0*(\d{1,2})(?!\d)", re.IGNORECASE)
VERSION: Final = re.compile(r"(?:-(\d+)|\s*\((\d+)\))$")
HIDDEN: Final = re.compile(r"^\.|^__MACOSX$|^~\$")


class CannotRead(Exception):
    """A file that is not read; the message says why, for its student."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file: in a folder, or in an archive."""

    path: Path
    """The file, or the archive."""
    member: str = ""
    """Its name in the archive."""

    def read(self, most: int = MOST_BYTES) -> bytes:
        """The bytes. `CannotRead` when there are too many, or when it is no plain file."""
        try:
            data = self._of_archive(most) if self.member else self._of_file(most)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError,
                EOFError, MemoryError) as error:  # fmt: skip
            raise CannotRead(f"the file cannot be read ({type(error).__name__})") from error
        except Exception as error:  # zlib.error and lzma.LZMAError have no common name
            raise CannotRead(f"the archive is damaged ({type(error).__name__})") from error
        if len(data) > most:
            raise CannotRead(f"the file has more than {most // 1_000_000} MB; clear its outputs")
        return data

    def _of_file(self, most: int) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(self.path, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("no plain file")
            return file.read(most + 1)

    def _of_archive(self, most: int) -> bytes:
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            return file.read(most + 1)


@dataclass(frozen=True, slots=True)
class Submission:
    """What one student handed in."""

    student: str
    """As the file or folder says; with the number of the learning platform, where two are alike."""
    source: Source | None
    """The notebook; None when there is none."""
    file: str = ""
    """Its name, as it was handed in."""
    layout: str = "plain"
    """`nbgrader`, `canvas`, `moodle`, `plain`."""
    number: str = ""
    """Of the student, in the learning platform."""
    submitted: datetime | None = None
    """When, in UTC; None when nothing says so."""
    marked_late: bool = False
    """The platform says so."""
    others: tuple[str, ...] = ()
    """Other files, which are not graded."""

    def read(self) -> bytes:
        """The bytes of the notebook. `CannotRead` when there is none."""
        if self.source is None:
            raise CannotRead("there is no notebook among what was handed in")
        return self.source.read()


@dataclass(frozen=True, slots=True)
class _File:
    parts: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class _Claim:
    """One file, and whose it is."""

    who: str
    number: str
    layout: str
    name: str
    late: bool
    file: _File


def find(where: Path, week: int, released: str = "", without: Sequence[Path] = ()) -> "Found":
    """All submissions of a week, in the order of their students.

    `released` is the name under which the notebook was given out; `without` are folders in which
    there are none.
    """
    if where.is_file() and where.suffix == ".ipynb":
        return Found((_alone(where),), ())
    files, ignored = _files(where, [path.resolve() for path in without])
    claims: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    stamps: dict[tuple[str, ...], _File] = {}
    for file in files:
        if file.parts[-1] == "timestamp.txt":
            stamps[file.parts[:-1]] = file
            continue
        claim = _claim(file)
        if claim is None or (_week(claim, file) or week) != week:
            ignored.append("/".join(file.parts))
        else:
            claims[claim.who, claim.number].append(claim)
    submissions = [_choose(each, week, released, stamps) for each in claims.values()]
    if not submissions:
        layouts = "nbgrader's submitted/, a download of Canvas or Moodle, or STUDENT.ipynb"
        raise BadInput(f"there are no submissions of week {week} in {where}", layouts)
    return Found(tuple(sorted(_apart(submissions), key=lambda s: s.student)), tuple(ignored))


@dataclass(frozen=True, slots=True)
class Found:
    """What there was."""

    submissions: tuple[Submission, ...]
    ignored: tuple[str, ...]
    """Files that are nobody's notebook of this week."""


def _alone(path: Path) -> Submission:
    claim = _claim(_File((path.name,), Source(path)))
    assert claim is not None
    chosen = _choose([claim], 0, "", {})
    return replace(chosen, source=Source(path.resolve()))  # a link that its owner named is meant


# Files ------------------------------------------------------------------------------------------


def _files(where: Path, without: list[Path]) -> tuple[list[_File], list[str]]:
    """Every file, and what is passed over."""
    ignored: list[str] = []
    if where.is_dir():
        files = list(_of_folder(where, without, ignored))
    elif where.suffix == ".zip" and where.is_file():
        files = list(_of_archive(where, (), ignored))
    else:
        raise BadInput(f"{where} is no folder, zip or notebook", "the folder of what was handed in")
    if len(files) > MOST_FILES:
        raise BadInput(f"there are more than {MOST_FILES} files in {where}", "a folder of one week")
    while (top := _wrapper(files, where)) is not None:
        files = [_File(file.parts[1:], file.source) for file in files if file.parts[0] == top]
    return files, ignored


def _of_folder(where: Path, without: list[Path], ignored: list[str]) -> Iterator[_File]:
    for folder, folders, names in os.walk(where):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not HIDDEN.search(name) and (here / name).resolve() not in without
        )
        for name in sorted(names):
            path = here / name
            parts = tuple(_shown(part) for part in path.relative_to(where).parts)
            if HIDDEN.search(name):
                continue
            if path.suffix == ".zip" and not path.is_symlink():
                yield from _of_archive(path, parts[:-1], ignored)
            elif path.suffix == ".ipynb" or path.is_file():
                yield _File(parts, Source(path))


def _of_archive(path: Path, above: tuple[str, ...], ignored: list[str]) -> Iterator[_File]:
    """The files of an archive, none of them unpacked. One that cannot be opened is one file."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()[: MOST_FILES + 1]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        yield _File((*above, _shown(path.name)), Source(path))
        return
    for info in sorted(infos, key=lambda info: info.filename):
        parts = tuple(p for p in PurePosixPath(info.filename).parts if p not in ("/", ".."))
        if info.is_dir() or not parts:
            continue
        if any(HIDDEN.search(part) for part in parts):
            ignored.append(_shown(info.filename))
        else:
            yield _File((*above, *map(_shown, parts)), Source(path, info.filename))


def _wrapper(files: list[_File], where: Path) -> str | None:
    """A folder in which all lies, and which is no student's."""
    notebooks = [file for file in files if file.parts[-1].endswith(".ipynb")]
    tops = {file.parts[0] for file in notebooks if len(file.parts) > 1}
    if len(tops) != 1 or any(len(file.parts) == 1 for file in notebooks):
        return None
    (top,) = tops
    below = [file.parts[1] for file in notebooks]
    platform = any(CANVAS.fullmatch(name) or MOODLE.fullmatch(name) for name in below)
    if MOODLE.fullmatch(top):
        return None
    known = top.lower() in WRAPPERS or top == where.stem or WEEK.match(top) is not None
    return top if known or platform else None


def _shown(name: str) -> str:
    """A name as text that can be written: half characters are replaced."""
    return name.encode("utf-8", "replace").decode()


# Whose ------------------------------------------------------------------------------------------


def _claim(file: _File) -> _Claim | None:
    """Whose file it is. None: nobody's."""
    first, name = file.parts[0], file.parts[-1]
    notebook = name.endswith(".ipynb")
    if ONLINE.fullmatch(first):
        return None
    if match := MOODLE.fullmatch(first):
        name = match["file"] if len(file.parts) == 1 else name
        return _Claim(match["who"], match["id"], "moodle", name, late=False, file=file)
    if len(file.parts) == 1:
        if match := CANVAS.fullmatch(name):
            late = bool(match["late"])
            return _Claim(match["who"], match["id"], "canvas", match["file"], late, file)
        stem = name.removesuffix(".ipynb")
        return _Claim(stem, "", "plain", name, late=False, file=file) if notebook else None
    layout = "nbgrader" if len(file.parts) >= 3 else "plain"
    return _Claim(first, "", layout, name, late=False, file=file)


def _week(claim: _Claim, file: _File) -> int | None:
    """The week that the name of the file or of a folder says; None when none does."""
    for part in (claim.name, *reversed(file.parts[1:-1])):
        if match := WEEK.search(part):
            return int(match[1])
    return None


def _choose(
    claims: list[_Claim], week: int, released: str, stamps: dict[tuple[str, ...], _File]
) -> Submission:
    """The one of a student's files that is graded."""

    def order(claim: _Claim) -> tuple[bool, bool, int, str]:
        stem = claim.name.removesuffix(".ipynb")
        match = VERSION.search(stem)
        version = int((match[1] or match[2])[:9]) if match else 0
        bare = VERSION.sub("", stem) + ".ipynb"
        return bare == released, _week(claim, claim.file) == week, version, claim.name

    notebooks = [claim for claim in claims if claim.file.parts[-1].endswith(".ipynb")]
    best = max(notebooks or claims, key=order)
    others = sorted(claim.name for claim in claims if claim is not best)
    stamp = stamps.get(best.file.parts[:-1])
    return Submission(
        best.who,
        best.file.source if notebooks else None,
        best.name,
        best.layout,
        best.number,
        _time(stamp.source) if stamp is not None else None,
        best.late,
        tuple(others[:20]),
    )


def _time(stamp: Source) -> datetime | None:
    """What nbgrader's timestamp.txt says: "2026-11-20 22:59:01.123456 UTC"."""
    try:
        text = stamp.read(200).decode("ascii").strip().removesuffix(" UTC")
        when = datetime.fromisoformat(text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (CannotRead, ValueError, OverflowError):
        return None


def _apart(submissions: Iterable[Submission]) -> Iterator[Submission]:
    """Two students of one name are told apart by their numbers."""
    by_name: dict[str, list[Submission]] = defaultdict(list)
    for submission in submissions:
        by_name[submission.student].append(submission)
    seen: set[str] = set()
    for name, alike in sorted(by_name.items()):
        for each in sorted(alike, key=lambda submission: submission.number):
            apart = f"{name}_{each.number}" if len(alike) > 1 and each.number else name
            while apart in seen:  # somebody else is called so
                apart += "_"
            seen.add(apart)
            yield replace(each, student=apart)


def slug(student: str) -> str:
    """A name for the files of a student: the same for the same, and for no other.

    What is safe on every system stays as it is. Of another name the strange characters are
    replaced, and a piece of its hash keeps it apart from those that look alike.
    """
    safe = re.sub(r"[^a-z0-9@+=_-]|^-", "_", student.lower())[:60] or "_"
    if safe == student and safe.upper() not in _RESERVED:
        return safe
    return f"{safe}.{hashlib.sha256(student.encode('utf-8', 'replace')).hexdigest()[:8]}"


_RESERVED: Final = frozenset({"CON", "PRN", "AUX", "NUL"}) | {
    f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)
}
