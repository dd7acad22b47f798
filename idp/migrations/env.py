"""Alembic's environment: the same revisions for SQLite and PostgreSQL, one transaction, one process at a time.

SQLite rebuilds a table to alter it (batch mode); that drops the old one, so foreign keys are off meanwhile and checked before the commit.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

import idp
from idp.db import WRITE, Base, UTCDateTime, db

# any number that no other program uses in this database
LOCK = 7_302_018

for file in sorted(Path(idp.__path__[0]).glob("*/*models.py")):
    import_module(f"idp.{file.parent.name}.{file.stem}")
import_module("idp.limits")


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Revisions stand on their own: our types as what they are in the database."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UTCDateTime) else False


def no_empty_revision(_context: object, _revision: object, directives: list[Any]) -> None:
    """Where the models changed nothing, nothing is written."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives.clear()


def _foreign_keys(connection: Connection, state: str) -> None:
    # outside any transaction, or SQLite ignores it
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA foreign_keys={state}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=sqlite or bool(getattr(context.config.cmd_opts, "autogenerate", False)),
        compare_type=True,
        render_item=render_item,
        process_revision_directives=no_empty_revision,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if not sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        context.run_migrations()
        if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
            raise RuntimeError(f"the migration broke foreign keys: {broken[:5]}")


def run() -> None:
    """Run what alembic was asked for, on the app's database."""
    with db.engine.execution_options(**WRITE).connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            _foreign_keys(connection, "OFF")
        try:
            _migrate(connection)
        finally:
            connection.rollback()
            if sqlite:
                _foreign_keys(connection, "ON")


run()
