"""A user name of one's own (D9)."""

import threading

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import directory, own_name, password_policy
from idp.accounts.models import Account, AccountName
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import systems
from idp.errors import Refusal
from idp.signin.views.password import hasher
from idp.worker import deliver
from tests import people
from tests.fakes import FakeClock, LetterBox
from tests.people import CODE, NAME
from tests.person import Person

PASSWORD = "Strong1Passw0rd"


@pytest.fixture
def account_id(app: Flask, clock: FakeClock) -> int:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            row = people.account(people.enterprise(), [NAME], user_class=3)
            directory.add_name(row, "liangyong", system="dual_use", local_name="liangyong")
            row.password_hash, row.contacts_given_at = made, clock.now()
            row.mobile, row.mobile_proven_at = "+8613800138000", clock.now()
            session.flush()
            return row.id


def come(app: Flask, name: str = NAME) -> Person:
    person = Person(app)
    person.type_password(name, PASSWORD)
    return person


def choose(app: Flask, clock: FakeClock, account_id: int, typed: str) -> str | None:
    with app.app_context(), transaction():
        refusal = own_name.choose(account_id, typed, clock.now())
        return refusal.code if refusal is not None else None


@pytest.mark.store
@pytest.mark.requirement("D9")
def test_the_chosen_name_opens_the_account_and_is_shown_and_told(app: Flask, account_id: int, clock: FakeClock, letter_box: LetterBox) -> None:
    person = come(app)
    person.open("/account/names")
    assert "两用物项" in person.text
    person.submit(own_name="Zhang.San")
    assert (person.at, person.page.status_code) == ("/account/names", 200)
    assert f"{CODE}-Zhang.San" in person.text
    for name in (f"{CODE}-zhang.SAN", f"{CODE}－zhang.san", NAME, "liangyong"):
        assert come(app, name).at == "/hall"
    with app.app_context():
        assert session.get_one(Account, account_id).canonical_name == f"{CODE}-Zhang.San"
        assert session.scalar(select(AuditEvent.detail).where(AuditEvent.event == "account.name.chosen")) == {"again": False}
        runtime = app.extensions["idp"]
        deliver(app, handlers(runtime.adapters, runtime.settings, runtime.secret))
    assert [(to, f"{CODE}-Zhang.San" in text) for to, text in letter_box.texts] == [("+8613800138000", True)]


@pytest.mark.requirement("D9")
def test_another_one_a_day_later_takes_its_place(app: Flask, account_id: int, clock: FakeClock) -> None:
    assert choose(app, clock, account_id, "first") is None
    clock.advance(hours=23)
    assert choose(app, clock, account_id, "second") == "own_name_soon"
    clock.advance(hours=1)
    assert choose(app, clock, account_id, "second") is None
    with app.app_context():
        names = [(name.name, name.canonical) for name in session.get_one(Account, account_id).names]
    assert names == [(NAME, False), ("liangyong", False), (f"{CODE}-second", True)]
    assert come(app, f"{CODE}-first").at.endswith("/password")


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("typed", ["", "abc", "a" * 33, "a b c d", "张三张三", "semi;colon", "a\u200bbcd", "x" * 500, "a\x00bcd", f"{CODE}-"])
def test_what_is_no_name(app: Flask, account_id: int, clock: FakeClock, typed: str) -> None:
    assert choose(app, clock, account_id, typed) == "own_name_form"


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("typed", ["Zhang_1", "ｚｈａｎｇ＿1", "zhang—1", f"{CODE.lower()} - zhang.1"])
def test_names_are_read_as_at_the_sign_in(app: Flask, account_id: int, clock: FakeClock, typed: str) -> None:
    assert choose(app, clock, account_id, typed) is None
    with app.app_context():
        assert own_name.ALLOWED.fullmatch(session.get_one(Account, account_id).canonical_name.removeprefix(f"{CODE}-"))


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("typed", ["shanghai", "SHANGHAI", "ＳＨＡＮＧＨＡＩ", "beijing"])
def test_a_name_that_somebody_has_is_taken(app: Flask, account_id: int, clock: FakeClock, typed: str) -> None:
    with app.app_context(), transaction():
        people.account(people.firm(session.get_one(Account, account_id)), [f"{CODE}-Shanghai"])
    assert choose(app, clock, account_id, typed) == "own_name_taken"


@pytest.mark.requirement("D9")
def test_an_enterprise_without_a_code_begins_with_its_uscc(app: Flask, account_id: int, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        firm = people.firm(session.get_one(Account, account_id))
        firm.code, firm.uscc = None, "91440000987654321A"
    assert choose(app, clock, account_id, "zhang") is None
    with app.app_context():
        assert session.get_one(Account, account_id).canonical_name == "91440000987654321A-zhang"


@pytest.mark.requirement("R55")
def test_a_password_may_not_contain_it(app: Flask, account_id: int, clock: FakeClock) -> None:
    assert choose(app, clock, account_id, "zhang") is None
    with app.app_context():
        names = [name.name for name in session.get_one(Account, account_id).names]
    assert password_policy.contains_name("My-ZHANG-2026", names)


def test_it_asks_who_it_is_once_more(app: Flask, account_id: int, clock: FakeClock) -> None:
    person = come(app)
    person.open("/account/names")
    token = person.form().fields["csrf_token"]
    clock.advance(minutes=11)
    answer = person.client.post("/account/names", data={"csrf_token": token, "own_name": "zhang"})
    assert (answer.status_code, "/signin/" in answer.location) == (303, True)
    with app.app_context():
        assert session.get_one(Account, account_id).canonical_name == NAME


@pytest.mark.store
@pytest.mark.slow
@pytest.mark.requirement("D9")
def test_of_two_people_who_want_one_name_at_once_one_gets_it(app: Flask, account_id: int, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        ids = [account_id, people.account(people.firm(session.get_one(Account, account_id)), [f"{CODE}-shanghai"]).id]
    gate, said = threading.Barrier(2), list[str | None]()

    def want(number: int) -> None:
        gate.wait()
        said.append(choose(app, clock, number, "zhang"))

    threads = [threading.Thread(target=want, args=(number,)) for number in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said, key=str) == [None, "own_name_taken"]
    with app.app_context():
        assert len(session.scalars(select(AccountName).where(AccountName.chosen_at.is_not(None))).all()) == 1


def test_an_officer_has_none(app: Flask, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        row = Account(sub="officer", user_class=0, created_at=clock.now(), updated_at=clock.now())
        session.add(row)
        session.flush()
        assert isinstance(own_name.choose(row.id, "zhang", clock.now()), Refusal)
