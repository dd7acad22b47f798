"""Old users with accounts, for tests of the legacy entry: imported and merged as an operator does it."""

from contextvars import Context
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem
from idp.legacy.models import LegacyRow
from tests.command_line import OPERATED, idp
from tests.legacy.dumps import registers, row, take, write
from tests.legacy.test_cutover import cut_over
from tests.person import Person

NAME, OLD, IMPORT_OLD = "beijing", "Export2018pass", "Import2018pass"
START_URL = "https://export.example/start"


class Outside(FlaskClient):
    """A client whose requests know nothing of the application context that the test holds."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return Context().run(super().open, *args, **kwargs)


def merge(app: Flask) -> None:
    said = idp(app, "legacy", "merge", "--apply", "--unprobed", *OPERATED)
    assert said.code == 0, said.err


def furnish(app: Flask, folder: Path, *, cut: bool = True) -> None:
    """`beijing` at export and at import, on one key, with a password each; export is cut over."""
    app.test_client_class = Outside
    registers()
    assert take(app, write(folder, row())).code == 0
    assert take(app, write(folder, row(password=IMPORT_OLD)), "import").code == 0
    merge(app)
    with transaction():
        session.get_one(BusinessSystem, "export").start_url = START_URL
        if cut:
            cut_over("export")


def old_user(system: str = "export", name: str = NAME) -> LegacyRow:
    """As the database has it now."""
    session.rollback()
    statement = select(LegacyRow).where(LegacyRow.system == system, LegacyRow.username == name)
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def log_in(app: Flask, name: str = NAME, password: str = OLD, system: str = "export", code: str = "") -> Person:
    """A new browser at the legacy entry, to the answer of its form."""
    person = Person(app)
    person.open(f"/legacy/{system}")
    again(person, name, password, code)
    return person


def again(person: Person, name: str = NAME, password: str = OLD, code: str = "") -> TestResponse:
    """The form that is shown."""
    typed = {"username": name, "password": password, **({"enterprise_code": code} if code else {})}
    return person.submit(**typed)


def set_used(logins: int, system: str = "export", name: str = NAME) -> None:
    with transaction():
        session.scalars(select(LegacyRow).where(LegacyRow.system == system, LegacyRow.username == name)).one().entry_logins = logins
