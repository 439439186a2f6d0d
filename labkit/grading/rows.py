"""Rows of a gradebook: what counts of those that were added one after the other."""

import difflib
import unicodedata
from typing import Any

from sqlalchemy import Connection, func, insert, select

from labkit.grading import tables as t
from labkit.grading.result import Result
from labkit.grading.standing import Remark
from labkit.words.errors import BadInput


def current(db: Connection) -> dict[tuple[str, str], tuple[int, Result]]:
    """The record that counts, with its number, by student and assignment."""
    last = select(func.max(t.adoptions.c.id)).group_by(
        t.adoptions.c.student, t.adoptions.c.assignment
    )
    rows = db.execute(
        select(t.results.c.id, t.results.c.record)
        .join(t.adoptions, t.adoptions.c.result == t.results.c.id)
        .where(t.adoptions.c.id.in_(last))
    )
    those = ((row.id, Result.from_json(row.record)) for row in rows)
    return {(result.student, result.assignment): (number, result) for number, result in those}


def remarks(db: Connection) -> dict[tuple[str, str], Remark]:
    """The last points and the last comment of each."""
    found: dict[tuple[str, str], Remark] = {}
    for row in db.execute(select(t.remarks).order_by(t.remarks.c.id)):
        key = row.student, row.exercise
        was = found.get(key, Remark())
        if row.kind == "points":
            found[key] = was._replace(points=row.points)
        else:
            found[key] = was._replace(comment=row.comment or "")
    return found


def add(db: Connection, table: Any, **row: Any) -> int:
    """Put in a row; its number, if it has one."""
    key = db.execute(insert(table).values(**row)).inserted_primary_key
    return int(key[0]) if key and isinstance(key[0], int) else 0


def ensure(db: Connection, table: Any, column: Any, value: str) -> None:
    """A row with this key."""
    if db.execute(select(column).where(column == value)).first() is None:
        add(db, table, **{column.name: name(value, "name")})


def known(db: Connection, column: Any, value: str, what: str) -> None:
    """`BadInput`, with names that are like it, when there is no such row."""
    names = list(db.execute(select(column)).scalars())
    if value not in names:
        near = difflib.get_close_matches(value, names, 3) or sorted(names)[:8]
        raise BadInput(
            f"there is no {what} {value!r}", ", ".join(near) or "labkit gradebook import"
        )


def text(value: str, what: str) -> str:
    """Text that every database takes."""
    if len(value) > 10_000 or "\0" in value or not encodes(value):
        raise BadInput(f"this {what} is too long, or not text", "fewer than 10 000 characters")
    return value


def name(value: str, what: str) -> str:
    """Text in one line, that does nothing to a terminal."""
    if any(unicodedata.category(char) == "Cc" for char in value):
        raise BadInput(f"this {what} has control characters: {value[:60]!r}", "one line of text")
    return text(value, what)


def encodes(value: str) -> bool:
    """Whether it has no half of a pair."""
    return not any("\ud800" <= char <= "\udfff" for char in value)
