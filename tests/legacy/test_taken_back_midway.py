"""A person in the middle of something while the account is taken back: every page leads on, none breaks (R84)."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts.models import Account
from idp.db import session
from tests import people
from tests.legacy.dumps import CODE
from tests.legacy.old_users import NAME, OLD, furnish, log_in
from tests.legacy.taking_back import newest_run, officer, take_back
from tests.person import Person

pytestmark = [pytest.mark.slow, pytest.mark.requirement("R84")]
PAGES = ("/hall", "/account", "/account/link", "/legacy/export/entered", "/login")


@pytest.fixture
def li(office: Flask, tmp_path: Path) -> int:
    furnish(office, tmp_path)
    return officer()


def gone(app: Flask, by: int) -> None:
    assert take_back(app, by, newest_run()).out.startswith("1 removed")


def statuses(person: Person, *pages: str) -> set[int]:
    return {person.client.get(page).status_code for page in (*pages, *PAGES)}


@pytest.mark.store
def test_at_the_forced_change(office: Flask, li: int) -> None:
    person = Person(office)
    person.type_password(f"{CODE}-{NAME}", OLD)
    where = person.at
    action, fields = person.prepare()
    gone(office, li)
    posted = person.client.post(action, data={**fields, "old": OLD, "new": people.NEW, "again": people.NEW})
    assert posted.status_code == 410
    assert "重新登录" in posted.text
    assert max(statuses(person, where)) < 500
    person.type_password(f"{CODE}-{NAME}", OLD)
    assert "用户名或密码不正确" in person.text
    session.rollback()
    assert session.scalars(select(Account).where(Account.enterprise_id.is_not(None))).all() == []


def test_behind_the_legacy_entry(office: Flask, li: int) -> None:
    person = log_in(office)
    assert person.at.endswith("/entered")
    gone(office, li)
    assert max(statuses(person)) < 500
    assert person.client.get("/legacy/export/entered").location == "/legacy/export"
    assert log_in(office).page.status_code == 422
