"""Contacts count once a code was read there (R57)."""

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import contacts
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.settings import Settings
from tests import people
from tests.fakes import FakeClock, LetterBox
from tests.people import NAME, NEW, OLD
from tests.person import Person

pytestmark = pytest.mark.requirement("R57")


@pytest.fixture
def beijing(app: Flask) -> int:
    with app.app_context(), transaction():
        return people.beijing().id


@pytest.fixture
def person(app: Flask, beijing: int) -> Person:
    """At the contacts, with a new password."""
    person = Person(app)
    person.type_password(NAME, OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    return person


def proven(app: Flask) -> tuple[bool, bool]:
    with app.app_context():
        row = session.scalars(select(Account)).one()
        return row.mobile_proven_at is not None, row.email_proven_at is not None


def press(person: Person, action: str, **more: str) -> int:
    form, fields = person.prepare()
    token = {"csrf_token": fields["csrf_token"], "action": action, **more}
    person.page = person.client.post(form, data=token, follow_redirects=True)
    return person.page.status_code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


@pytest.mark.store
@pytest.mark.parametrize("which", ["mobile", "email"])
def test_one_proven_contact_is_enough(app: Flask, person: Person, which: str) -> None:
    person.submit(mobile="13800138000", email="user@example.cn")
    assert person.at.endswith("/proof")
    assert "138****8000" in person.text
    assert "13800138000" not in person.text
    assert proven(app) == (False, False)
    person.submit(**{f"{which}_code": person.read_code(which)})
    assert person.at == "/hall"
    assert proven(app) == (which == "mobile", which == "email")
    again = Person(app)
    again.type_password(NAME, NEW)
    assert again.at == "/hall"


def test_the_right_one_counts_beside_a_wrong_one(app: Flask, person: Person) -> None:
    person.submit(mobile="13800138000", email="user@example.cn")
    page = person.submit(mobile_code=person.read_code(), email_code=wrong(person.read_code("email")))
    assert page.status_code == 422
    assert proven(app) == (True, False)
    assert "已验证" in person.text
    person.submit()
    assert person.at == "/hall"


def test_nothing_or_a_wrong_code_does_not_lead_on(app: Flask, person: Person) -> None:
    person.submit(mobile="13800138000")
    assert person.submit(mobile_code="").status_code == 422
    code = person.read_code()
    for _ in range(5):
        assert person.submit(mobile_code=wrong(code)).status_code == 422
    assert "重新发送" in person.text.split("</h1>")[0]
    assert person.submit(mobile_code=code).status_code == 422
    assert proven(app) == (False, False)


@pytest.mark.requirement("R58")
def test_another_code_after_a_minute(person: Person, clock: FakeClock, letter_box: LetterBox) -> None:
    person.submit(mobile="13800138000")
    person.read_code()
    assert '<span class="seconds">60</span>' in person.text
    clock.advance(seconds=20)
    assert press(person, "send", channel="mobile") == 429
    assert "40 秒" in person.text
    clock.advance(seconds=40)
    assert press(person, "send", channel="mobile") == 200
    person.submit(mobile_code=person.read_code())
    assert person.at == "/hall"
    assert len(letter_box.texts) == 2


@pytest.mark.parametrize("channel", ["email", "", "fax"])
def test_only_a_given_contact_gets_a_code(person: Person, channel: str, letter_box: LetterBox) -> None:
    person.submit(mobile="13800138000")
    person.read_code()
    assert press(person, "send", channel=channel) == 429
    person.read_code()
    assert (len(letter_box.texts), len(letter_box.mails)) == (1, 0)


@pytest.mark.store
def test_a_code_proves_the_number_it_went_to(app: Flask, person: Person, letter_box: LetterBox) -> None:
    person.submit(mobile="13800138000")
    first = person.read_code()
    press(person, "change")
    assert person.at.endswith("/contacts")
    person.submit(mobile="13900139000", mobile_choice="")
    assert person.at.endswith("/proof")
    assert person.submit(mobile_code=first).status_code == 422
    second = person.read_code()
    assert letter_box.texts[-1][0] == "+8613900139000"
    person.submit(mobile_code=second)
    assert person.at == "/hall"


def test_a_reload_sends_nothing_more(person: Person, letter_box: LetterBox, clock: FakeClock) -> None:
    person.submit(mobile="13800138000")
    for _ in range(3):
        clock.advance(minutes=2)
        person.open(person.at)
    person.read_code()
    assert len(letter_box.texts) <= 1
    press(person, "change")
    person.submit()
    person.read_code()
    assert letter_box.texts[-1][0] == "+8613800138000"


def test_one_account_cannot_pester_many_numbers(person: Person, letter_box: LetterBox) -> None:
    for n in range(25):
        person.submit(mobile=f"138001380{n:02}", mobile_choice="")
        press(person, "change")
    person.client.get("/")
    with pytest.raises(IndexError):
        person.read_code("email")
    assert len(letter_box.texts) == 0  # each was overtaken by the next before it left


def test_the_proof_can_be_put_off_for_seven_days_in_all(app: Flask, person: Person, clock: FakeClock) -> None:
    person.submit(mobile="13800138000")
    press(person, "later")
    assert person.at == "/hall"
    clock.advance(days=6)
    person = Person(app)
    person.type_password(NAME, NEW)
    assert person.at == "/hall"
    clock.advance(days=1)
    person = Person(app)
    person.type_password(NAME, NEW)
    assert person.at.endswith("/proof")
    assert "稍后验证" not in person.text
    assert press(person, "later") == 422
    person.submit(mobile_code=person.read_code())
    assert person.at == "/hall"


def test_without_a_gateway_only_mail_is_asked_for(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch, letter_box: LetterBox) -> None:
    monkeypatch.setattr(Settings, "code_channels", ("email",))
    assert person.submit(mobile="13800138000").status_code == 422
    assert "目前只能发送邮件验证码" in person.text
    person.submit(mobile="13800138000", email="user@example.cn")
    assert 'id="mobile_code"' not in person.text
    assert press(person, "send", channel="mobile") == 429
    person.submit(email_code=person.read_code("email"))
    assert person.at == "/hall"
    assert letter_box.texts == []


def test_who_gave_only_a_number_is_asked_for_mail_where_there_is_no_gateway(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.submit(mobile="13800138000")
    monkeypatch.setattr(Settings, "code_channels", ("email",))
    other = Person(app)
    other.type_password(NAME, NEW)
    assert other.at.endswith("/contacts")


@pytest.mark.store
@pytest.mark.parametrize("given", [{"mobile": "13900139000"}, {"email": "thief@example.net", "mobile_choice": ""}])
@pytest.mark.parametrize("waits", ["contacts", "proof", "code"])
def test_a_sign_in_that_waited_neither_replaces_nor_adds_to_what_another_has_proven(
    app: Flask, person: Person, given: dict[str, str], waits: str
) -> None:
    """Whoever knows the password alone waits until the person has proven a number, then gives and proves their own."""
    channel = "email" if "email" in given else "mobile"
    thief = Person(app)
    thief.type_password(NAME, NEW)
    code = ""
    if waits != "contacts":
        thief.submit(**given)
        assert thief.at.endswith("/proof")
        code = thief.read_code(channel)
    person.open("/loginCorp.html")
    person.submit(username=NAME, password=NEW)
    if person.at.endswith("/proof"):
        press(person, "change")
    person.submit(mobile="13800138000", mobile_choice="", email="", email_choice="")
    person.submit(mobile_code=person.read_code())
    assert person.at == "/hall"
    if waits == "contacts":
        thief.submit(**given)
    elif waits == "proof":
        press(thief, "change")
    else:
        thief.submit(**{f"{channel}_code": code})
    assert thief.at == "/hall"
    with app.app_context():
        row = session.scalars(select(Account)).one()
        assert (row.mobile, bool(row.mobile_proven_at), bool(row.email_proven_at)) == ("+8613800138000", True, False)


def test_a_contact_that_was_proven_just_here_is_not_replaced_either(app: Flask, person: Person) -> None:
    person.submit(mobile="13800138000", email="user@example.cn")
    person.submit(mobile_code=person.read_code(), email_code=wrong(person.read_code("email")))
    press(person, "change")
    assert person.at == "/hall"
    assert proven(app) == (True, False)


@pytest.mark.requirement("R58")
def test_only_what_was_sent_is_charged(person: Person, clock: FakeClock) -> None:
    person.submit(mobile="13800138000")
    person.read_code()
    for _ in range(contacts.CODES_PER_ACCOUNT.most + 1):
        assert press(person, "send", channel="mobile") == 429
    clock.advance(seconds=61)
    assert press(person, "send", channel="mobile") == 200


def test_the_page_of_a_sign_in_that_waited_leads_on(app: Flask, person: Person) -> None:
    person.submit(mobile="13800138000")
    code = person.read_code()
    other = Person(app)
    other.type_password(NAME, NEW)
    other.open(other.at)
    person.submit(mobile_code=code)
    assert other.open(other.at).request.path == "/hall"
