"""The tables of a gradebook, for SQLite and PostgreSQL.

    students        who is in the class
    assignments     what is due, when, and what it weighs
    exercises       the columns: what an assignment consists of
    results         one record of the grader each, never changed
    imports         one for each time that records were taken in
    adoptions       which record counts for a student since which import; the last one does
    remarks         points and comments given by hand; the last one of each kind counts
    extensions      days more, or excused; the last one counts
    policies        how a total is made; the last one counts

What people decide is only ever added to: a decision is a row, and a later one takes its place
without wiping it out. So two people who write at once lose nothing, an import cannot overwrite what
was given by hand, and who asks why a grade is what it is finds every step. Points are whole
hundredths, times are UTC.
"""

from typing import Final

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA: Final = "labkit gradebook 1"
"""What `meta` says in a database that is ours."""

metadata: Final = MetaData()

meta: Final = Table("meta", metadata, Column("schema", String, primary_key=True))

students: Final = Table(
    "students",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False, default=""),
    Column("email", Text, nullable=False, default=""),
    Column("section", Text, nullable=False, default=""),
    Column("canvas", Text, nullable=False, default=""),  # the ID that Canvas gave
    Column("login", Text, nullable=False, default=""),
)

assignments: Final = Table(
    "assignments",
    metadata,
    Column("name", String, primary_key=True),
    Column("due", String),  # UTC, ISO 8601; null: no deadline
    Column("zone", String, nullable=False, default="UTC"),
    Column("weight", Integer, nullable=False, default=100),  # hundredths
    Column("canvas", Text, nullable=False, default=""),
)

exercises: Final = Table(
    "exercises",
    metadata,
    Column("name", String, primary_key=True),
    Column("assignment", ForeignKey(assignments.c.name), nullable=False),
    Column("title", Text, nullable=False),
    Column("of", Integer, nullable=False),
)

results: Final = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("student", ForeignKey(students.c.id), nullable=False),
    Column("assignment", ForeignKey(assignments.c.name), nullable=False),
    Column("digest", String, nullable=False),
    Column("record", Text, nullable=False),  # as the grader wrote it
    UniqueConstraint("student", "assignment", "digest"),
)

imports: Final = Table(
    "imports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("source", Text, nullable=False),
)

adoptions: Final = Table(
    "adoptions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("import_id", ForeignKey(imports.c.id), nullable=False),
    Column("student", ForeignKey(students.c.id), nullable=False),
    Column("assignment", ForeignKey(assignments.c.name), nullable=False),
    Column("result", ForeignKey(results.c.id), nullable=False),
    Column("before", ForeignKey(results.c.id)),  # null: the first
    Index("whose_adoptions", "student", "assignment"),
)

remarks: Final = Table(
    "remarks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("student", ForeignKey(students.c.id), nullable=False),
    Column("exercise", String, nullable=False),
    Column("kind", String, nullable=False),  # of `Remark`
    Column("points", Integer),  # null: as the checks say
    Column("comment", Text),
    Index("whose_remarks", "student", "exercise"),
)

extensions: Final = Table(
    "extensions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("student", ForeignKey(students.c.id), nullable=False),
    Column("assignment", ForeignKey(assignments.c.name), nullable=False),
    Column("days", Integer),  # null: excused
    Column("why", Text, nullable=False, default=""),
)

policies: Final = Table(
    "policies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("policy", Text, nullable=False),  # JSON of `Policy`
)
