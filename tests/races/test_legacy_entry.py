"""Many log-ins at once at the legacy entry: exactly as many pass as are left (R64)."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import systems
from idp.legacy import entry_attempt
from idp.legacy.models import LegacyRow
from idp.oidc.keys import NewKey
from idp.sessions.models import Session
from tests import people
from tests.fakes import FakeClock
from tests.legacy.dumps import CODE
from tests.legacy.old_users import NAME, OLD, furnish, set_used
from tests.legacy.test_entry_api import RIGHT, SCOPE, ask, token
from tests.person import Person
from tests.races.test_signin import meanwhile
from tests.relying_party import RelyingParty, store_keys

pytestmark = [pytest.mark.store, pytest.mark.requirement("R64"), pytest.mark.requirement("R2")]
MANY = 50


@pytest.fixture
def tenth(app: Flask, tmp_path: Path) -> Flask:
    """Nine log-ins of `beijing` at export have been counted."""
    with app.app_context():
        with transaction():
            systems.load()
        furnish(app, tmp_path)
        set_used(9)
        session.remove()
    return app


def at_once(tries: list[Callable[[], object]]) -> None:
    gate = threading.Barrier(len(tries))

    def run(one: Callable[[], object]) -> None:
        gate.wait()
        one()

    threads = [threading.Thread(target=run, args=(one,)) for one in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def stand(app: Flask) -> tuple[int, int]:
    """Log-ins counted, log-ins that passed."""
    with app.app_context():
        counted = session.scalars(select(LegacyRow.entry_logins).where(LegacyRow.system == "export")).one()
        passed = session.scalar(select(func.count()).where(AuditEvent.event == "legacy.entry.passed")) or 0
        return counted, passed


def test_of_fifty_tenth_log_ins_at_the_page_one_passes(tenth: Flask) -> None:
    prepared = []
    for _ in range(MANY):
        person = Person(tenth)
        person.open("/legacy/export")
        prepared.append((person.client, *person.prepare(username=NAME, password=OLD)))
    found: list[tuple[int, str | None]] = []

    def post(number: int) -> None:
        client, action, fields = prepared[number]
        answer = client.post(action, data=fields)
        found.append((answer.status_code, answer.location))

    at_once([partial(post, number) for number in range(MANY)])
    statuses = Counter(status for status, _ in found)
    assert statuses[303] == 1, statuses
    # tries at once charge the lock before they are given back: some are asked to wait, none is an error
    assert set(statuses) <= {303, 403, 422}
    assert stand(tenth) == (10, 1)
    with tenth.app_context():
        assert session.scalars(select(Session.entry_remaining)).all() == [0]


def test_of_fifty_tenth_log_ins_of_an_old_systems_own_page_one_passes(tenth: Flask, clock: FakeClock, signing_keys: list[NewKey]) -> None:
    with tenth.app_context(), transaction():
        store_keys(signing_keys, clock.now())
    bearer = token(RelyingParty(tenth, clock, "export-system", system="export", scope=SCOPE, grant_types=["client_credentials"]))
    statuses: list[int] = []

    def one(number: int) -> None:
        statuses.append(ask(tenth, bearer, RIGHT | {"client_ip": f"203.0.113.{number}"}).status_code)

    at_once([partial(one, number) for number in range(MANY)])
    assert statuses.count(200) == 1, Counter(statuses)
    assert set(statuses) <= {200, 403, 429}
    assert stand(tenth) == (10, 1)


def test_a_password_that_dies_meanwhile_is_not_counted(tenth: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, other = Person(tenth), Person(tenth)
    owner.type_password(f"{CODE}-{NAME}", OLD)
    other.open("/legacy/export")
    meanwhile(monkeypatch, entry_attempt, "prove", lambda: owner.submit(new_password=people.NEW, confirm_password=people.NEW))
    assert other.submit(username=NAME, password=OLD).status_code == 422
    assert stand(tenth) == (9, 0)


def _log_in(person: Person, statuses: list[int]) -> None:
    statuses.append(person.submit(username=NAME, password=OLD).status_code)


def test_changes_of_the_password_and_log_ins_never_wait_for_each_other_for_ever(tenth: Flask) -> None:
    owner, others = Person(tenth), [Person(tenth) for _ in range(4)]
    owner.type_password(f"{CODE}-{NAME}", OLD)
    for other in others:
        other.open("/legacy/export")
    statuses: list[int] = []
    tries: list[Callable[[], object]] = [lambda: statuses.append(owner.submit(new_password=people.NEW, confirm_password=people.NEW).status_code)]
    tries += [partial(_log_in, other, statuses) for other in others]
    at_once(tries)
    assert max(statuses) < 500, statuses


def test_an_old_user_whom_a_merge_holds_is_asked_to_come_again_and_loses_nothing(tenth: Flask) -> None:
    person = Person(tenth)
    person.open("/legacy/export")
    with tenth.app_context():
        # SQLite has one writer at a time: who comes second waits for the first
        if session.get_bind().dialect.name == "sqlite":
            return
        with transaction():
            session.scalars(select(LegacyRow).with_for_update()).all()
            thread = threading.Thread(target=lambda: person.submit(username=NAME, password=OLD))
            thread.start()
            thread.join()
    assert (person.page.status_code, "请稍后再试" in person.text) == (429, True)
    assert stand(tenth) == (9, 0)
    assert person.submit(username=NAME, password=OLD).status_code == 200
    assert stand(tenth) == (10, 1)
