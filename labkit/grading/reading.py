"""From the bytes of a stranger's file to the cells of a notebook, or to a sentence why not.

    cells = cells_of(data)           raises `CannotRead`, and nothing else

A file that is made to be large inside, or deep, is counted before it is parsed: a notebook has so
many braces and no more. Everything that is not there is taken for what Jupyter would put there,
for a notebook that went through a mail program or an editor still says what its author wrote.

This module knows no exercise.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from labkit.grading.submission import CannotRead

MOST_BRACES: Final = 300_000
"""Opening ones. Each becomes an object of some hundred bytes."""
MOST_COMMAS: Final = 3_000_000
"""Between the numbers of a picture, say."""
MOST_CELLS: Final = 2000
MOST_SOURCE: Final = 400_000
"""Characters of all cells together. A long notebook has a tenth of it."""
KINDS: Final = ("code", "markdown", "raw")
REFUSED: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class RawCell:
    """One cell as it was handed in."""

    number: int
    """Counting all cells from 1."""
    kind: str
    source: str
    name: str = ""
    """Jupyter's id."""
    grade_id: str = ""
    """nbgrader's."""
    solution: bool = False
    tags: tuple[str, ...] = ()


def cells_of(data: bytes) -> list[RawCell]:
    """The cells of a notebook in version 4 of its format."""
    book = _parsed(data)
    version = book.get("nbformat")
    if "worksheets" in book or (type(version) is int and version < 4):
        raise CannotRead("it is in the old notebook format 3; open and save it in Jupyter")
    rows = book.get("cells")
    if not isinstance(rows, list):
        raise CannotRead("it is JSON, but no notebook: it has no cells")
    if len(rows) > MOST_CELLS:
        raise CannotRead(f"it has {len(rows)} cells; more than {MOST_CELLS} are not read")
    cells = list(_cells(rows))
    if sum(len(cell.source) for cell in cells) > MOST_SOURCE:
        raise CannotRead(f"its cells have more than {MOST_SOURCE} characters")
    if not any(cell.kind == "code" for cell in cells):
        raise CannotRead("it has no cell with code")
    return cells


def _parsed(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise CannotRead("the file is empty")
    if data.count(b"{") + data.count(b"[") > MOST_BRACES or data.count(b",") > MOST_COMMAS:
        raise CannotRead("it holds more lists and numbers than a notebook; clear its outputs")
    try:
        book = json.loads(_text(data))
    except RecursionError:
        raise CannotRead("it is nested deeper than a notebook") from None
    except (ValueError, MemoryError):
        raise CannotRead(f"it is no notebook: {_looks_like(data)}") from None
    if not isinstance(book, dict):
        raise CannotRead("it is JSON, but no notebook")
    return book


def _text(data: bytes) -> str:
    """UTF-8, with or without a mark before it; or as Windows writes it into a file by hand."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    return data.decode("utf-8-sig", "replace")


def _looks_like(data: bytes) -> str:
    head = data[:400].lstrip().lower()
    for mark, what in (
        (b"%pdf", "it is a PDF"),
        (b"pk\x03\x04", "it is a zip"),
        (b"<", "it is a page, perhaps the notebook printed by a browser"),
        (b"{", "its JSON is damaged, perhaps cut off on the way"),
    ):
        if head.startswith(mark):
            return what
    return "it is not JSON"


def _cells(rows: list[Any]) -> Iterator[RawCell]:
    for number, row in enumerate(rows, 1):
        try:
            yield _cell(number, row)
        except REFUSED:  # one cell that is none; the others may be whole
            continue


def _cell(number: int, row: dict[str, Any]) -> RawCell:
    kind = row.get("cell_type", "code")
    if kind not in KINDS:
        raise ValueError(kind)
    source = row.get("source", row.get("input", ""))
    source = source if isinstance(source, str) else "".join(source)
    metadata = row.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    marks = metadata.get("nbgrader")
    marks = marks if isinstance(marks, dict) else {}
    tags = metadata.get("tags")
    tags = tuple(map(_word, tags[:20])) if isinstance(tags, list) else ()
    return RawCell(
        number,
        kind,
        source.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\xa0", " "),
        _word(row.get("id")),
        _word(marks.get("grade_id")),
        marks.get("solution") is True,
        tags,
    )


def _word(value: Any) -> str:
    return value[:80].encode("utf-8", "replace").decode() if isinstance(value, str) else ""
