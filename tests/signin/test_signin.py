"""The manual's sign-in, told by a person with a browser."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.accounts.models import Account, FormerPassword
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.sessions.models import Session
from tests import people
from tests.fakes import FakeClock
from tests.people import NAME, NEW, OLD, OTHER_OLD
from tests.person import Person

HOST = "127.0.0.1"


@pytest.fixture
def beijing(app: Flask) -> int:
    with app.app_context(), transaction():
        return people.beijing().id


@pytest.fixture
def person(app: Flask) -> Person:
    return Person(app)


def events(app: Flask) -> list[str]:
    with app.app_context():
        return list(session.scalars(select(AuditEvent.event).order_by(AuditEvent.id)))


@pytest.mark.store
@pytest.mark.requirement("R11")
@pytest.mark.requirement("R12")
@pytest.mark.parametrize("old", [OLD, OTHER_OLD])
def test_either_old_password_works_once_and_then_only_the_new_one(app: Flask, beijing: int, old: str) -> None:
    first = Person(app)
    first.sign_in(NAME, old, NEW)
    assert first.at == "/hall"
    for dead in (OLD, OTHER_OLD):
        other = Person(app)
        assert other.type_password(NAME, dead).status_code == 422
    again = Person(app)
    again.type_password(NAME, NEW)
    assert again.at == "/hall"
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(FormerPassword)) == 0


@pytest.mark.requirement("R54")
def test_the_forced_change_cannot_be_skipped(person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    change = person.at
    assert change.endswith("/change")
    for way in ("/hall", "/hall/licences"):
        person.open(way)
        assert person.at.endswith("/password")
    for way in (change.replace("change", "contacts"), change.removesuffix("/change"), change.replace("change", "password")):
        person.open(way)
        assert person.at == change


@pytest.mark.requirement("R54")
def test_both_old_passwords_stay_valid_until_the_new_one_is_set(app: Flask, person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    other = Person(app)
    other.type_password(NAME, OTHER_OLD)
    assert other.at.endswith("/change")


@pytest.mark.requirement("R84")
def test_of_two_tabs_at_the_change_the_second_begins_again(app: Flask, beijing: int) -> None:
    first, second = Person(app), Person(app)
    first.type_password(NAME, OLD)
    second.type_password(NAME, OTHER_OLD)
    first.submit(new_password=NEW, confirm_password=NEW)
    second.submit(new_password="Shenzhen8Trade", confirm_password="Shenzhen8Trade")
    assert second.page.status_code == 410
    assert 'href="/hall"' in second.text
    second.type_password(NAME, NEW)
    assert second.at.endswith("/contacts")


@pytest.mark.requirement("R55")
@pytest.mark.parametrize("new", [OLD, OTHER_OLD, "Zz9Beijing-x", "short", "Abc1234567"])
def test_a_bad_new_password_is_refused_and_nothing_is_lost(app: Flask, person: Person, beijing: int, new: str) -> None:
    person.type_password(NAME, OLD)
    assert person.submit(new_password=new, confirm_password=new).status_code == 422
    assert person.at.endswith("/change")
    assert 'value="' + new not in person.text
    person.submit(new_password=NEW, confirm_password=NEW)
    assert person.at.endswith("/contacts")


def test_the_two_new_passwords_must_agree(person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    assert person.submit(new_password=NEW, confirm_password=NEW + "x").status_code == 422


@pytest.mark.requirement("R26")
def test_the_old_password_is_asked_again_once_it_is_minutes_old(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.type_password(NAME, OLD)
    clock.advance(minutes=6)
    person.open(person.at)
    assert person.submit(password="wrong", new_password=NEW, confirm_password=NEW).status_code == 422
    person.submit(password=OLD, new_password=NEW, confirm_password=NEW)
    assert person.at.endswith("/contacts")


@pytest.mark.requirement("R56")
@pytest.mark.parametrize(
    ("user_class", "old", "changes"), [(1, "Str0ng-Zhong", True), (2, "Str0ng-Zhong", False), (3, "Str0ng-Zhong", False), (3, "123456", True)]
)
def test_who_must_change(app: Flask, person: Person, user_class: int, old: str, changes: bool) -> None:
    with app.app_context(), transaction():
        account = people.account(people.enterprise(), ["liangyong"], user_class)
        people.former(account, old)
    person.type_password("liangyong", old)
    assert person.at.endswith("/change" if changes else "/contacts")
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(FormerPassword)) == (1 if changes else 0)
        assert (session.scalar(select(Account.password_hash)) is None) is changes


@pytest.mark.requirement("R61")
def test_unknown_name_wrong_password_and_dead_row_read_the_same(app: Flask, beijing: int) -> None:
    with app.app_context(), transaction():
        account = people.account(people.enterprise("0100123456785"), ["0100123456785-ting"])
        people.former(account, OLD, enabled=False)
    pages = set()
    for name, password in ((NAME, "wrong"), ("0441987654321-nobody", "wrong"), ("0100123456785-ting", OLD)):
        person = Person(app)
        page = person.type_password(name, password)
        assert page.status_code == 422
        pages.add(person.text[person.text.index("error-summary") : person.text.index("</h1>")])
    assert len(pages) == 1


@pytest.mark.requirement("R61")
@pytest.mark.parametrize("name", [NAME, "0441987654321-nobody"])
def test_five_failures_lock_known_and_unknown_names_alike(app: Flask, beijing: int, clock: FakeClock, name: str) -> None:
    person = Person(app)
    for _ in range(5):
        person.type_password(name, "wrong")
    assert "09:15" in person.text
    person.type_password(name, OLD)
    assert "09:15" in person.text
    clock.advance(minutes=15)
    person.type_password(name, OLD)
    assert person.at.endswith("/change") is (name == NAME)


@pytest.mark.requirement("D15")
@pytest.mark.parametrize(("which", "words"), [("enterprise", "已注销"), ("account", "已停用")])
def test_cancelled_and_disabled_are_told_only_after_the_right_password(app: Flask, person: Person, beijing: int, which: str, words: str) -> None:
    with app.app_context(), transaction():
        account = session.get_one(Account, beijing)
        if which == "enterprise":
            people.firm(account).status = "cancelled"
        else:
            account.status = "disabled"
    person.type_password(NAME, "wrong")
    assert words not in person.text.split("<main")[1]
    page = person.type_password(NAME, OLD)
    assert page.status_code == 403
    assert words in person.text
    person.open("/hall")
    assert person.at.endswith("/password")


@pytest.mark.requirement("D9")
def test_a_name_and_password_that_fit_two_accounts_ask_which(app: Flask, person: Person) -> None:
    with app.app_context(), transaction():
        owner = people.enterprise()
        chosen = [people.account(owner, ["tongming"], 2) for _ in range(2)]
        for index, account in enumerate(chosen):
            people.former(account, "Str0ng-Zhong")
            people.key(account, ["dual_use"], f"EKSERIAL{index}")
        foreign = people.account(owner, ["other"]).id
        wanted = chosen[1].id
    person.type_password("tongming", "Str0ng-Zhong")
    assert person.at.endswith("/choose")
    assert "IAL1" in person.text
    assert person.submit(choice=str(foreign)).status_code == 422
    assert person.submit(choice="９").status_code == 422
    person.submit(choice=str(wanted))
    person.give_contacts(mobile="13800138000")
    assert person.at == "/hall"
    with app.app_context():
        assert session.scalar(select(Session.account_id)) == wanted


@pytest.mark.requirement("R60")
@pytest.mark.parametrize("answer", ["", "00000"])
def test_without_the_captcha_the_password_is_not_looked_at(app: Flask, person: Person, beijing: int, answer: str) -> None:
    person.open("/login")
    assert person.submit(username=NAME, password=OLD, captcha=answer).status_code == 422
    assert f'value="{NAME}"' in person.text
    assert "signin.refused" not in events(app)


@pytest.mark.requirement("R60")
def test_a_captcha_answers_one_try_of_one_transaction(app: Flask, person: Person, beijing: int) -> None:
    person.open("/login")
    action, fields = person.prepare(username=NAME, password="wrong")
    person.page = person.client.post(action, data=fields)
    assert "signin.refused" in events(app)
    before = len(events(app))
    assert person.client.post(action, data=fields | {"password": OLD}).status_code == 422
    other = Person(app)
    other.open("/login")
    foreign_action, own = other.prepare(username=NAME, password=OLD)
    person.open("/login")
    _, mine = person.prepare(username=NAME, password=OLD)
    assert other.client.post(foreign_action, data=own | {"captcha_id": mine["captcha_id"], "captcha": mine["captcha"]}).status_code == 422
    assert len(events(app)) == before


@pytest.mark.requirement("R84")
def test_an_expired_transaction_offers_a_new_one(person: Person, beijing: int, clock: FakeClock) -> None:
    person.open("/login")
    action, fields = person.prepare(username=NAME, password=OLD)
    clock.advance(minutes=31)
    assert person.client.post(action, data=fields).status_code == 410
    assert person.client.get(action).status_code == 410


@pytest.mark.requirement("R84")
def test_a_transaction_of_another_browser_leads_nowhere(app: Flask, person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    thief = Person(app)
    assert thief.open(person.at).status_code == 410


@pytest.mark.requirement("R84")
def test_a_form_that_proves_nothing_signs_nobody_in_a_second_time(app: Flask, person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    person.submit(mobile="13800138000")
    action, fields = person.prepare(mobile_code=person.read_code())
    person.client.post(action, data=fields)
    assert person.client.post(action, data=fields, follow_redirects=True).request.path == "/hall"
    assert person.client.get(action, follow_redirects=True).request.path == "/hall"
    person.client.delete_cookie("session", domain=HOST)
    answer = person.client.post(action, data=fields)
    assert answer.status_code == 410
    assert 'href="/hall">重新登录' in answer.get_data(as_text=True)
    assert person.client.get_cookie("session", domain=HOST) is None
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(Session)) == 1


@pytest.mark.requirement("R77")
def test_idle_and_absolute_end(person: Person, beijing: int, clock: FakeClock) -> None:
    person.sign_in(NAME, OLD, NEW)
    for _ in range(28):
        clock.advance(minutes=25)
        assert person.open("/hall").request.path == "/hall"
    clock.advance(minutes=25)
    assert person.open("/hall").request.path.endswith("/password")
    person.type_password(NAME, NEW)
    clock.advance(minutes=31)
    assert person.open("/hall").request.path.endswith("/password")


def test_a_change_of_password_ends_every_other_session(app: Flask, beijing: int) -> None:
    person, other = Person(app), Person(app)
    person.sign_in(NAME, OLD, NEW)
    with app.app_context(), transaction():
        session.get_one(Account, beijing).change_reason = "by_office"
    other.type_password(NAME, NEW)
    other.submit(new_password="Shenzhen8Trade", confirm_password="Shenzhen8Trade")
    assert other.at == "/hall"
    assert person.open("/hall").request.path.endswith("/password")


def test_sign_out_needs_a_form_and_ends_the_session(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    assert person.client.post("/signout").status_code == 403
    cookie = person.client.get_cookie("session", domain=HOST)
    assert cookie is not None
    person.open("/signout")
    person.submit()
    assert person.at == "/signed-out"
    person.client.set_cookie("session", cookie.value, domain=HOST)
    assert person.open("/hall").request.path.endswith("/password")


def test_another_account_in_the_same_browser_ends_the_first_session(app: Flask, person: Person, beijing: int) -> None:
    with app.app_context(), transaction():
        account = people.account(people.enterprise("0100123456785"), ["jidian_strong"], 3)
        people.former(account, "Str0ng-Zhong")
    person.open("/login")
    form = person.prepare(username="jidian_strong", password="Str0ng-Zhong")
    person.sign_in(NAME, OLD, NEW)
    person.page = person.client.post(form[0], data=form[1], follow_redirects=True)
    person.give_contacts(mobile="13800138001")
    assert person.at == "/hall"
    with app.app_context():
        ended = session.scalars(select(Session.end_reason).order_by(Session.id)).all()
        assert ended == ["other_account", None]


def test_the_session_cookie_is_new_at_every_sign_in(app: Flask, person: Person, beijing: int) -> None:
    person.client.set_cookie("session", "planted-by-somebody-else", domain=HOST)
    person.sign_in(NAME, OLD, NEW)
    first = person.client.get_cookie("session", domain=HOST)
    assert first is not None
    assert first.value != "planted-by-somebody-else"
    assert first.http_only


@pytest.mark.requirement("R57")
def test_contacts_can_be_put_off_for_seven_days(app: Flask, beijing: int, clock: FakeClock) -> None:
    person = Person(app)
    person.type_password(NAME, OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    person.submit(action="later")
    assert person.at == "/hall"
    clock.advance(days=6)
    person = Person(app)
    person.type_password(NAME, NEW)
    assert person.at == "/hall"
    clock.advance(days=2)
    person = Person(app)
    person.type_password(NAME, NEW)
    assert person.at.endswith("/contacts")
    assert person.submit(action="later").status_code == 422


@pytest.mark.requirement("R29")
@pytest.mark.parametrize(
    ("mobile", "email", "status"),
    [
        ("", "", 422),
        ("12345", "", 422),
        ("010-12345678", "", 422),
        ("", "a@b\r\nbcc: c@d.cn", 422),
        ("", "a@b.cn,c@d.cn", 422),
        ("+85291234567", "", 200),
    ],
)
def test_contacts_are_read_strictly(person: Person, beijing: int, mobile: str, email: str, status: int) -> None:
    person.type_password(NAME, OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    assert person.submit(mobile=mobile, email=email).status_code == status


def test_a_password_of_a_megabyte_is_refused_before_any_hash(app: Flask, person: Person, beijing: int) -> None:
    assert person.type_password(NAME, "x" * 1_000_000).status_code == 413
    assert person.type_password(NAME, "x" * 129).status_code == 422


@pytest.mark.requirement("R85")
def test_every_step_leaves_its_record_and_no_name_or_number(app: Flask, person: Person, beijing: int) -> None:
    person.type_password(NAME, "wrong")
    person.sign_in(NAME, OLD, NEW)
    proof = ["code.sent", "code.sent", "code.accepted", "account.contact.proven"]
    assert events(app) == ["signin.refused", "account.password.changed", "account.contacts.given", *proof, "session.started"]
    with app.app_context():
        rows = session.scalars(select(AuditEvent)).all()
        assert all(row.request_id and row.network for row in rows)
        assert not any(secret in repr(row.detail) for row in rows for secret in ("beijing", "13800138000", "user@example.cn"))


@pytest.mark.requirement("R78")
def test_language_switch_keeps_page_and_transaction(person: Person, beijing: int) -> None:
    person.type_password(NAME, OLD)
    path = person.at
    person.open(path + "?ui_locales=en")
    assert person.at == path
    assert 'lang="en"' in person.text
    person.submit(new_password="short", confirm_password="short")
    assert "Error:" in person.text


@pytest.mark.requirement("D12")
def test_old_browsers_get_a_page_they_can_render(person: Person) -> None:
    page = person.client.get("/loginCorp.html", headers={"User-Agent": "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko"})
    assert "极速模式" in page.get_data(as_text=True)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_a_client_cannot_choose_its_address(app: Flask, beijing: int, header: str) -> None:
    for last in range(6):
        person = Person(app)
        person.client.environ_base[f"HTTP_{header.upper().replace('-', '_')}"] = f"203.0.113.{last}"
        person.type_password(NAME, "wrong")
    assert "09:15" in person.text


def test_a_foreign_origin_is_refused_whatever_it_shows(person: Person, beijing: int) -> None:
    person.open("/login")
    action, fields = person.prepare(username=NAME, password=OLD)
    assert person.client.post(action, data=fields, headers={"Origin": "http://evil.test"}).status_code == 403
    assert person.client.post(action, data=fields | {"csrf_token": "x"}).status_code == 403
    assert person.client.post(action, data=fields).status_code == 303


def test_unknown_host_is_refused(person: Person) -> None:
    assert person.client.get("/login", headers={"Host": "evil.test"}).status_code == 400


def test_times_of_factors_are_kept_by_the_session(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.type_password(NAME, OLD)
    typed = clock.now()
    clock.advance(minutes=2)
    person.submit(new_password=NEW, confirm_password=NEW)
    person.give_contacts(mobile="13800138000")
    with app.app_context():
        row = session.scalars(select(Session)).one()
        assert row.password_at == typed
        assert row.started_at == typed + timedelta(minutes=2)
