"""Changing one's own password (threats F), and its age."""

from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import password_policy, totp
from idp.accounts.models import Account
from idp.app import handlers
from idp.db import session, transaction
from idp.entitlements import systems
from idp.settings import Settings
from idp.signin.views.password import hasher
from idp.worker import deliver
from tests import people
from tests.conftest import SECRET
from tests.fakes import START, FakeClock, LetterBox
from tests.people import NAME
from tests.person import Person

PASSWORD, NEW, MOBILE = "Strong1Passw0rd", "Newer2Passw0rd", "+8613800138000"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"password_days": 90})


@pytest.fixture
def owner(app: Flask, clock: FakeClock) -> int:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            row = people.account(people.enterprise(), [NAME])
            row.password_hash, row.password_changed_at, row.contacts_given_at = made, clock.now(), clock.now()
            row.mobile, row.mobile_proven_at = MOBILE, clock.now()
            session.flush()
            return row.id


def signed_in(app: Flask, password: str = PASSWORD) -> Person:
    person = Person(app)
    person.type_password(NAME, password)
    return person


@pytest.mark.store
@pytest.mark.requirement("R75")
def test_the_present_password_again_then_a_new_one_and_the_others_are_out(app: Flask, owner: int, letter_box: LetterBox) -> None:
    other, person = signed_in(app), signed_in(app)
    person.open("/account/password")
    assert person.at.endswith("/password")
    assert "请先输入当前密码" in person.text
    person.submit(username=NAME, password="Wrong1Passw0rd")
    assert person.at.endswith("/password")
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/change")
    # leaving midway changes nothing, and nobody is signed out by it
    assert other.open("/hall").request.path == "/hall"
    person.submit(new_password=PASSWORD, confirm_password=PASSWORD)
    assert person.page.status_code == 422
    person.submit(new_password=NEW, confirm_password=NEW)
    assert person.at == "/account"
    assert other.open("/hall").request.path.startswith("/signin/")
    assert signed_in(app).at.endswith("/password")
    assert signed_in(app, NEW).at == "/hall"
    runtime = app.extensions["idp"]
    deliver(app, handlers(runtime.adapters, runtime.settings, runtime.secret))
    assert [to for to, text in letter_box.texts if "的密码已修改" in text] == [MOBILE]


@pytest.mark.requirement("R75")
def test_the_authenticator_app_stands_between(app: Flask, clock: FakeClock, owner: int) -> None:
    with app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(owner, "b", SECRET, clock.now()) or "")
        totp.confirm(owner, "b", device.at(clock.now()), SECRET, clock.now())
    clock.advance(minutes=2)
    person = signed_in(app)
    person.submit(code=device.at(clock.now()))
    clock.advance(minutes=2)
    person.open("/account/password")
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/totp")


def test_an_ordinary_sign_in_changes_nothing(app: Flask, owner: int) -> None:
    assert signed_in(app).at == "/hall"
    with app.app_context():
        assert session.scalars(select(Account.password_changed_at)).one() == START


def test_an_old_password_is_warned_of_and_then_must_be_changed(app: Flask, clock: FakeClock, owner: int) -> None:
    clock.advance(days=75)
    assert "须在" not in signed_in(app).text
    clock.advance(days=2)
    person = signed_in(app)
    assert "您的密码须在2026年5月31日前修改" in person.text
    assert "2026年5月31日" in person.open("/account").get_data(as_text=True)
    clock.advance(days=13)
    person = signed_in(app)
    assert (person.at.endswith("/change"), "您的密码已到期" in person.text) == (True, True)
    person.submit(new_password=NEW, confirm_password=NEW)
    assert person.at == "/hall"
    assert "须在" not in person.text


def test_without_the_setting_no_password_ends() -> None:
    assert password_policy.ends_at(START, 0) is None
    assert password_policy.ends_at(None, 90) is None
    assert password_policy.ends_at(START, 90) == START + timedelta(days=90)
