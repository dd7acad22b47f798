"""The database: the declarative base, the UTC type, `transaction()` and `spend_once()`.

Reads happen in a deferred transaction that *cannot* write; every write stands inside `with transaction():`, which takes SQLite's write lock
at once (a read transaction that upgrades gets SQLITE_BUSY_SNAPSHOT). Rules never commit: the view, command or job around them does.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

import flask_migrate
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, CursorResult, DateTime, Dialect, Engine, Insert, MetaData, Update, event, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session
from sqlalchemy.types import JSON, TypeDecorator

from idp.settings import Settings

WRITE = {"idp_write": True}
BUSY_TIMEOUT_MS = 10_000
CACHE_KIBIBYTES = 128 * 1024
LARGE_JOBS = 2018  # any number that no other lock of this database has
MIGRATIONS = Path(__file__).parent / "migrations"
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out; a naive one is a bug and raises."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; without zone for SQLite, which keeps text."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the database")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database, always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table; datetimes are UTC, dicts and lists are JSON."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UTCDateTime(), dict[str, Any]: JSON(), list[str]: JSON()}


# Flask-SQLAlchemy keeps engine and session; its own Model base stays unused, because ours is fully typed.
db = SQLAlchemy(session_options={"expire_on_commit": False})
session = cast("scoped_session[Session]", db.session)


def init_app(app: Flask, settings: Settings) -> None:
    """Bind the app to `settings.database` and set the ground rules of each connection."""
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database
    # statements' values (names, hashes) stay out of error texts and logs
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": True, "pool_pre_ping": not settings.database.startswith("sqlite")}
    app.config["SQLALCHEMY_RECORD_QUERIES"] = False
    if settings.database.startswith("sqlite:///"):
        _private_file(Path(settings.database.removeprefix("sqlite:///")))
    db.init_app(app)
    flask_migrate.Migrate(app, db, MIGRATIONS)  # gives `idp db …` as well
    with app.app_context():
        _ground_rules(db.engine)


def upgrade() -> None:
    """Bring the database, an empty one too, to the newest revision; many processes at once are fine. Not inside a transaction."""
    flask_migrate.upgrade()


def _private_file(file: Path) -> None:
    """Directory 0700 and file 0600, made before SQLite would make them wider."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    file.chmod(0o600)


def _ground_rules(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("idp_write", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if write else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def transaction() -> Iterator[Session]:
    """One short write transaction: commits at the end, rolls back on an exception.

    What was read before is read again inside. Never nested, never around a password hash, a signature or the network.
    """
    if session.info.get("writing"):
        raise RuntimeError("transaction() inside transaction()")
    session.rollback()
    session.connection(execution_options=WRITE)
    session.info["writing"] = True
    try:
        yield session()
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop("writing", None)


def large_job() -> None:
    """To be said first in the transaction of an import, a merge or their undoing: they wait for each other, so that none locks another out.

    SQLite lets one write at a time anyway; it gets room for large tables' indexes, which would be written again and again otherwise.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(LARGE_JOBS)))
    else:
        session.connection().exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")


def spend_once(statement: Update | Insert) -> bool:
    """Run one conditional UPDATE that marks a single-use item (or an INSERT … ON CONFLICT DO NOTHING); True for the one caller who won.

    The statement's WHERE must hold the whole condition (digest, owner, `spent_at IS NULL`, `expires_at > now`), so that of two
    requests at once exactly one sees a changed row. The only way here to use something up.
    """
    # psycopg forgets the row count of an INSERT unless it is asked to keep it
    result = session.execute(statement.execution_options(synchronize_session=False, preserve_rowcount=True))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def insert_many(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns, many in a statement (the ORM would split them where a value is None)."""
    if rows:
        session.execute(insert(model.__table__), rows)  # type: ignore[arg-type]  # of a mapped class it is a table


def insert_numbered(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """The same for a table with numbers of its own: these, in the order of the rows."""
    if not rows:
        return ()
    table = model.__table__
    if session.get_bind().dialect.name == "sqlite":
        # the write lock is ours, so these are the numbers that SQLite would give, row by row
        first = (session.scalar(select(func.max(table.c.id))) or 0) + 1
        insert_many(model, [{**row, "id": number} for number, row in enumerate(rows, start=first)])
        return range(first, first + len(rows))
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)  # type: ignore[arg-type]  # as above
    return session.scalars(statement, rows).all()


def dumps(value: object) -> str:
    """Compact JSON with readable Chinese, for columns and logs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
