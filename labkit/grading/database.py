"""The file or server that a gradebook is kept in, and how two who write at once take turns.

SQLite takes `BEGIN IMMEDIATE` for everything that writes, so that a transaction reads nothing that
another is about to change; PostgreSQL takes an advisory lock, which does the same. Who has to wait
does so for a minute. Who only reads waits for nobody in PostgreSQL, and in SQLite only while a
transaction is being written down.

A file that is not ours is never written to. No message shows a password.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from labkit.grading.tables import SCHEMA, meta, metadata
from labkit.words.errors import BadInput, MissingCapability

PATIENCE: Final = 60
"""Seconds that a writer waits for another."""
LOCK: Final = 0x6C61626B6974
"""Of PostgreSQL: a number that nobody else uses for an advisory lock. "labkit"."""


class Database:
    """Connections to one gradebook; made on the first write, if `create`."""

    def __init__(self, where: str | Path, *, create: bool = False) -> None:
        self.url = _url(where)
        self.name = self.url.render_as_string(hide_password=True)
        if self._sqlite:
            self.name = str(self.url.database)
            _private(Path(self.name), create=create)
        try:
            self._engine = _engine(self.url)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            what = f"there is no driver for {self.url.drivername}"
            raise MissingCapability(what, 'pip install "psycopg[binary]"') from error
        with self._asking(writes=create) as connection:
            self._ours(connection, create=create)

    @property
    def _sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment."""
        with self._asking(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of which all is kept or nothing; there is one at a time."""
        with self._asking(writes=True) as connection:
            yield connection

    @contextmanager
    def _asking(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                options = {"labkit_writes": writes}
                if not self._sqlite and not writes:
                    options["isolation_level"] = "REPEATABLE READ"  # type: ignore[assignment]
                connection = connection.execution_options(**options)
                with connection.begin():
                    if writes and not self._sqlite:
                        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
                    yield connection
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            what = f"the gradebook {self.name} cannot be used: {cause}"
            raise BadInput(what, "--db with another file, or the server's state") from error

    def _ours(self, connection: Connection, *, create: bool) -> None:
        there = set(inspect(connection).get_table_names())
        if there and meta.name in there:
            found = connection.execute(select(meta.c.schema)).scalars().all()
            if found == [SCHEMA]:
                return
        if there & set(metadata.tables):
            what = f"{self.name} is a database of something else, or of another labkit"
            raise BadInput(what, "--db with another name")
        if not create:
            raise BadInput(f"{self.name} is no gradebook", "labkit gradebook import graded")
        metadata.create_all(connection)
        connection.execute(insert(meta).values(schema=SCHEMA))


def _url(where: str | Path) -> URL:
    text = str(where)
    if text in ("sqlite://", "sqlite:///:memory:", ":memory:"):
        raise BadInput("a gradebook in memory is lost at once", "the name of a file")
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadInput("that is no URL of a database", "postgresql://user@host/name") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        what = f"a gradebook is in SQLite or PostgreSQL, not in {url.get_backend_name()}"
        raise BadInput(what, "postgresql://user@host/name, or the name of a file")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and not url.database:
        raise BadInput("that names no file", "sqlite:///grades.db")
    return url


def _private(path: Path, *, create: bool) -> None:
    """Grades are nobody else's business: a new file is for its owner alone."""
    if path.exists():
        return
    if not create:
        raise BadInput(f"there is no gradebook {path}", "labkit gradebook import graded")
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": PATIENCE}
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        del record
        connection.isolation_level = None  # the driver must not begin by itself
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("labkit_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
