"""Two requests at once on the pages of the sign-in: what the second does must rest on what the first has done."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from idp.accounts import credentials
from idp.accounts.argon2id import hasher
from idp.accounts.models import Account, FormerPassword, PasswordHistory
from idp.db import session, transaction
from idp.sessions.models import Session
from idp.signin import change
from idp.signin.views import hub
from tests import people
from tests.fakes import START
from tests.people import NAME, NEW, OLD, OTHER_OLD
from tests.person import Person

pytestmark = pytest.mark.store
OWN = "Mech7Person9"


@pytest.fixture
def beijing(app: Flask) -> int:
    with app.app_context(), transaction():
        return people.beijing().id


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, other: Callable[[], object]) -> None:
    """Once, right after `module.name` has run in this request, `other` happens in another thread and is waited for."""
    real, once = getattr(module, name), [True]

    def then_other(*arguments: Any) -> Any:
        result = real(*arguments)
        if once:
            once.clear()
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        return result

    monkeypatch.setattr(module, name, then_other)


def same_browser(person: Person) -> Person:
    """Another tab: the same cookies as they are now."""
    tab = Person(person.app)
    for cookie in (person.client._cookies or {}).values():
        tab.client.set_cookie(cookie.key, cookie.value, domain="127.0.0.1")
    return tab


def own_account(beijing: int) -> None:
    account = people.account(people.firm(session.get_one(Account, beijing)), ["mech-person"], 3)
    account.password_hash, account.email_proven_at = hasher(19456, 2, 0).hash(OWN), START


@pytest.mark.requirement("R54")
def test_another_password_in_the_same_sign_in_cannot_slip_past_the_change(app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context(), transaction():
        own_account(beijing)
    person = Person(app)
    person.open("/login")
    action, own = person.prepare(username="mech-person", password=OWN)
    tab = same_browser(person)
    tab.open(person.at)
    _, victim = tab.prepare(username=NAME, password=OLD)
    person.client.set_cookie("session", "of-nobody", domain="127.0.0.1")  # makes the finishing request read the database once more
    meanwhile(monkeypatch, hub, "_current", lambda: tab.client.post(action, data=victim))
    person.page = person.client.post(action, data=own, follow_redirects=True)
    with app.app_context():
        assert session.get_one(Account, beijing).password_hash is None
        assert beijing not in session.scalars(select(Session.account_id)).all()


@pytest.mark.requirement("R54")
def test_of_two_passwords_at_once_in_one_sign_in_each_gets_what_it_has_proven_itself(
    app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context(), transaction():
        own_account(beijing)
    person = Person(app)
    person.open("/login")
    action, own = person.prepare(username="mech-person", password=OWN)
    tab = same_browser(person)
    tab.open(person.at)
    _, victim = tab.prepare(username=NAME, password=OLD)
    meanwhile(monkeypatch, credentials, "prove", lambda: tab.client.post(action, data=victim))
    person.page = person.client.post(action, data=own, follow_redirects=True)
    assert person.at == "/hall"
    assert "mech-person" in person.text
    tab.open(action)
    assert tab.at.endswith("/change")
    assert NAME in tab.text
    with app.app_context():
        assert beijing not in session.scalars(select(Session.account_id)).all()


@pytest.mark.requirement("R12")
def test_an_old_password_that_dies_while_it_is_looked_at_opens_nothing(app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, other = Person(app), Person(app)
    owner.type_password(NAME, OLD)
    other.open("/login")
    action, fields = other.prepare(username=NAME, password=OTHER_OLD)
    meanwhile(monkeypatch, credentials, "prove", lambda: owner.submit(new_password=NEW, confirm_password=NEW))
    assert other.client.post(action, data=fields).status_code == 422


@pytest.mark.requirement("R56")
def test_the_same_where_a_strong_old_password_was_kept(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context(), transaction():
        account = people.account(people.enterprise(), ["liangyong"], 2)
        people.former(account, "Str0ng-Zhong")
        people.former(account, "An0ther-Zhong", "export")
    owner, other = Person(app), Person(app)
    other.open("/login")
    action, fields = other.prepare(username="liangyong", password="An0ther-Zhong")
    meanwhile(monkeypatch, credentials, "prove", lambda: owner.type_password("liangyong", "Str0ng-Zhong"))
    assert other.client.post(action, data=fields).status_code == 422


@pytest.mark.requirement("R56")
def test_a_weak_old_password_cannot_finish_its_change_once_a_strong_one_was_kept(app: Flask) -> None:
    with app.app_context(), transaction():
        account = people.account(people.enterprise(), ["liangyong"], 2)
        people.former(account, "Str0ng-Zhong")
        people.former(account, "123456", "export")
    weak, owner = Person(app), Person(app)
    weak.type_password("liangyong", "123456")
    assert weak.at.endswith("/change")
    owner.type_password("liangyong", "Str0ng-Zhong")
    assert weak.submit(new_password=NEW, confirm_password=NEW).status_code == 410


@pytest.mark.requirement("R84")
def test_of_two_new_passwords_in_two_tabs_the_first_stands(app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person(app)
    person.type_password(NAME, OLD)
    action, fields = person.prepare(new_password=NEW, confirm_password=NEW)
    tab = same_browser(person)
    meanwhile(monkeypatch, change, "judge", lambda: tab.client.post(action, data=fields))
    second = fields | {"new_password": "Shenzhen8Trade", "confirm_password": "Shenzhen8Trade"}
    person.page = person.client.post(action, data=second, follow_redirects=True)
    assert person.at.endswith("/contacts")
    again = Person(app)
    again.type_password(NAME, NEW)
    assert again.at.endswith("/contacts")


@pytest.mark.requirement("R84")
def test_a_double_submit_of_the_change_sets_one_password_and_keeps_the_first_session(
    app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(app)
    person.type_password(NAME, OLD)
    action, fields = person.prepare(new_password=NEW, confirm_password=NEW)
    first = same_browser(person)

    def first_goes_all_the_way() -> None:
        first.page = first.client.post(action, data=fields, follow_redirects=True)
        first.give_contacts(mobile="13800138000")

    meanwhile(monkeypatch, change, "judge", first_goes_all_the_way)
    second = fields | {"new_password": "Shenzhen8Trade", "confirm_password": "Shenzhen8Trade"}
    person.page = person.client.post(action, data=second, follow_redirects=True)
    assert first.at == "/hall"
    assert person.page.status_code == 410
    assert 'href="/hall">重新登录' in person.text
    with app.app_context():
        assert session.scalars(select(Session.end_reason)).all() == [None]
        assert session.scalar(select(func.count()).select_from(PasswordHistory)) == 0
    again = Person(app)
    again.type_password(NAME, NEW)
    assert again.at == "/hall"


def test_many_password_posts_of_one_sign_in_never_slip_past_the_change(app: Flask, beijing: int) -> None:
    with app.app_context(), transaction():
        own_account(beijing)
    statuses: list[int] = []
    for _ in range(3):
        person = Person(app)
        person.open("/login")
        forms = []
        for name, password in (("mech-person", OWN), (NAME, OLD)) * 2:
            person.open(person.at)
            forms.append(person.prepare(username=name, password=password))
        browsers = [same_browser(person).client for _ in forms]
        gate = threading.Barrier(len(forms))

        def post(client: FlaskClient, form: tuple[str, dict[str, str]], gate: threading.Barrier = gate) -> None:
            gate.wait()
            statuses.append(client.post(form[0], data=form[1], follow_redirects=True).status_code)

        threads = [threading.Thread(target=post, args=pair) for pair in zip(browsers, forms, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(statuses) < 500
    with app.app_context():
        assert beijing not in session.scalars(select(Session.account_id)).all()
        assert session.scalar(select(func.count()).select_from(FormerPassword)) == 2


def test_sign_ins_of_one_account_from_many_browsers_never_wait_for_each_other_for_ever(app: Flask, beijing: int) -> None:
    with app.app_context(), transaction():
        own_account(beijing)
    statuses: list[int] = []

    def sign_in(password: str) -> None:
        person = Person(app)
        person.type_password("mech-person", password)
        statuses.append(person.page.status_code)

    threads = [threading.Thread(target=sign_in, args=(password,)) for password in (OWN, "wrong") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 422}


@pytest.mark.requirement("R84")
@pytest.mark.parametrize("right", [True, False])
def test_a_double_click_while_the_password_is_looked_at_needs_no_second_captcha(
    app: Flask, beijing: int, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    with app.app_context(), transaction():
        own_account(beijing)
    person = Person(app)
    person.open("/login")
    action, fields = person.prepare(username="mech-person", password=OWN if right else "wrong")
    tab, third = same_browser(person), same_browser(person)
    meanwhile(monkeypatch, credentials, "prove", lambda: setattr(tab, "page", tab.client.post(action, data=fields, follow_redirects=True)))
    person.client.post(action, data=fields)
    assert tab.at == ("/hall" if right else action)
    assert ("验证码错误" in tab.text) is False
    # one answer is good for one repetition at most, and for none once the password has been looked at
    late = third.client.post(action, data=fields)
    assert late.status_code == 422
    assert "验证码" in late.get_data(as_text=True)
