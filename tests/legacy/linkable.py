"""Accounts of one enterprise that could be linked (R87), made by a merge; their fixtures are every file's here (conftest.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import directory
from idp.accounts.models import Account, AccountLink, FormerPassword
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import systems
from idp.signin.views.password import hasher
from idp.worker import deliver
from tests.command_line import OPERATED, idp
from tests.fakes import FakeClock, LetterBox
from tests.legacy.dumps import CODE, OTHER_KEY, registers, row, take, write
from tests.person import Person

MINE, OTHER, THIRD = f"{CODE}-beijing", f"{CODE}-shanghai", f"{CODE}-third"
PASSWORD, OTHER_PASSWORD, NEW = "Mine2026-Pass", "Other2026-Pass", "Newer2026-Pass"
TO_MINE, TO_OTHER = "+8613800138000", "+8613900139000"


@dataclass
class World:
    """Accounts of one enterprise, made by a merge, whose people have signed in before."""

    app: Flask
    clock: FakeClock
    box: LetterBox
    folder: Path

    def own(self, name: str, password: str, mobile: str | None) -> int:
        """Give the account of a name a password of its own, and a proven mobile number."""
        with self.app.app_context():
            made = hasher().hash(password)
            with transaction():
                [account] = directory.candidates(name)
                account.password_hash, account.contacts_given_at = made, self.clock.now()
                account.mobile, account.mobile_proven_at = mobile, self.clock.now() if mobile else None
                session.query(FormerPassword).filter_by(account_id=account.id).delete()
                return account.id

    def come(self, name: str = MINE, password: str = PASSWORD) -> Person:
        person = Person(self.app)
        person.type_password(name, password)
        return person

    def at_the_code(self, name: str = MINE, password: str = PASSWORD) -> Person:
        """Signed in, with the other account's password right."""
        person = self.come(name, password)
        person.open("/account/link")
        person.submit(username=OTHER, password=OTHER_PASSWORD)
        assert person.at == "/account/link/code", person.text
        return person

    def linked(self) -> Person:
        person = self.at_the_code()
        person.submit(code=person.read_code())
        assert (person.at, person.page.status_code) == ("/account/link", 200)
        return person

    def tell(self) -> dict[str, str]:
        """What was sent since: mobile number → the last text."""
        self.box.texts.clear()
        runtime = self.app.extensions["idp"]
        deliver(self.app, handlers(runtime.adapters, runtime.settings, runtime.secret))
        return dict(self.box.texts)

    def account(self, account_id: int) -> Account:
        found = session.get_one(Account, account_id, populate_existing=True)
        session.refresh(found, ["names", "keys"])
        return found

    def write(self, account_id: int, change: Callable[[Account], object]) -> None:
        with self.app.app_context(), transaction():
            change(session.get_one(Account, account_id))

    def links(self) -> int:
        with self.app.app_context():
            return len(session.scalars(select(AccountLink).where(AccountLink.undone_at.is_(None))).all())

    def events(self, event: str) -> list[dict[str, Any]]:
        with self.app.app_context():
            return list(session.scalars(select(AuditEvent.detail).where(AuditEvent.event == event).order_by(AuditEvent.id)))


@pytest.fixture
def world(app: Flask, clock: FakeClock, letter_box: LetterBox, tmp_path: Path) -> World:
    made = World(app, clock, letter_box, tmp_path)
    with app.app_context():
        with transaction():
            systems.load()
        registers(("export", "dual_use"))
        for system, rows in {
            "export": (row(), row("both", "Same-Pass-1", mobile="13800000003"), row("shanghai", key=OTHER_KEY, mobile="13800000002")),
            "import": (row("both", "Same-Pass-2", key=OTHER_KEY, mobile="13800000002"), row("third", key="", mobile="13800000004")),
            "dual_use": (row("liangyong", key=OTHER_KEY, mobile="13800000002"),),
            "mech_electrical": (row("jidian", key=OTHER_KEY, mobile="13800000005"),),
        }.items():
            assert take(app, write(tmp_path, *rows, name=f"{system}.csv"), system).code in (0, 3)
        assert idp(app, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
    return made


@pytest.fixture
def mine(world: World) -> int:
    return world.own(MINE, PASSWORD, TO_MINE)


@pytest.fixture
def other(world: World) -> int:
    return world.own(OTHER, OTHER_PASSWORD, TO_OTHER)
