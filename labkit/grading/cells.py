"""Cells of CSV that are read as they were written, by Python and by spreadsheets.

A spreadsheet takes a cell that begins with = + - @, a tab or a line end for a formula, and runs it:
a student whose name is `=HYPERLINK(…)` then writes into the instructor's sheet (OWASP, "CSV
Injection"). Such a text gets an apostrophe in front, which spreadsheets do not show; `restored`
takes it away again. All text is quoted, so that no separator splits it, and numbers are not.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

Value = str | float | None
"""Of a cell. None is empty."""
_DANGEROUS: Final = re.compile(r"'*\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The four signs also in the width of East Asian letters, and after spaces or apostrophes."""


def safe(text: str) -> str:
    """A text that no spreadsheet computes."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def restored(cell: str) -> str:
    """The text that `safe` was given."""
    return cell[1:] if cell.startswith("'") and _DANGEROUS.match(cell[1:]) else cell


def write(rows: Iterable[Sequence[Value]]) -> str:
    """Rows as CSV: text quoted and safe, numbers bare, nothing for None (RFC 4180, but for LF)."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Value) -> str | float | int:
    if value is None:
        return ""
    if isinstance(value, str):
        return safe(value)
    return int(value) if value == int(value) else value


def read(text: str) -> list[list[str]]:
    """The rows of a CSV, with what `safe` did undone; also with the mark that Excel begins with."""
    return [
        [restored(cell) for cell in row] for row in csv.reader(io.StringIO(text.lstrip("\ufeff")))
    ]
