"""Who is in the class: a list in CSV, as people write it or as Canvas and Moodle export it.

Columns are known by their heads, in any order and case. Whatever else is there is left alone, and
so are rows that are no student: Canvas's points possible and its test student.
"""

import csv
from collections.abc import Iterator
from typing import Final

from labkit.grading.cells import read
from labkit.grading.standing import Student
from labkit.words.errors import BadInput

HEADS: Final = {
    "id": ("student", "student id", "sis user id", "id number", "id"),
    "name": ("name", "full name", "student name"),
    "email": ("email", "email address", "e-mail"),
    "section": ("section", "group"),
    "login": ("login", "sis login id", "username"),
}


def read_roster(text: str) -> list[Student]:
    """The students of a list. `BadInput` names the row that cannot be used."""
    try:
        rows = read(text)
    except csv.Error as error:
        raise BadInput(f"that is no CSV: {error}", "a table saved as CSV, UTF-8") from error
    if not rows:
        raise BadInput("the list is empty", "a first line such as id,name,email")
    heads = [head.strip().casefold() for head in rows[0]]
    of_canvas = "sis user id" in heads
    found: dict[str, Student] = {}
    for number, row in enumerate(rows[1:], 2):
        said = {head: cell.strip() for head, cell in zip(heads, row, strict=False)}
        student = _canvas(said) if of_canvas else _plain(said)
        if student is None:
            continue
        if not student.id:
            raise BadInput(f"row {number} has no id", "a column id, as submissions name students")
        if student.id in found:
            raise BadInput(f"row {number}: {student.id} is there twice", "remove one of the rows")
        found[student.id] = student
    if not found:
        raise BadInput("the list has no student", "a column id, as submissions name students")
    return list(found.values())


def _canvas(said: dict[str, str]) -> Student | None:
    if not said.get("id") or said.get("student", "").casefold() == "student, test":
        return None
    identity = said.get("sis user id") or said.get("sis login id") or ""
    login = said.get("sis login id", "")
    return Student(
        identity, said.get("student", ""), "", said.get("section", ""), said["id"], login
    )


def _plain(said: dict[str, str]) -> Student | None:
    if not any(said.values()):
        return None
    fields = {field: next(_of(said, heads), "") for field, heads in HEADS.items()}
    if not fields["name"]:
        parts = (said.get("first name", ""), said.get("last name", "") or said.get("surname", ""))
        fields["name"] = " ".join(part for part in parts if part)
    return Student(**fields)


def _of(said: dict[str, str], heads: tuple[str, ...]) -> Iterator[str]:
    return (said[head] for head in heads if said.get(head))
