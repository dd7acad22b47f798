import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import roles, totp
from idp.accounts.models import Account
from idp.app import end_closed_sessions
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.officers.models import OfficerEnrolment
from tests import people
from tests.command_line import idp
from tests.fakes import FakeClock
from tests.officers.staff import let_in, officer
from tests.person import Person

pytestmark = pytest.mark.requirement("R90")
WHO = ("--operator", "ops-zhang", "--reason", "new colleague")
PASSWORD = "Guangdong7Trade"


def add(app: Flask, name: str = "li.na", role: str = "key_office", *more: str) -> str:
    """The path of the link that was printed, "" if none was."""
    said = idp(app, "officer", "add", name, "--role", role, "--display-name", "李娜", *WHO, *more)
    assert said.code == 0, said.err
    return said.out.split("127.0.0.1:8000", 1)[1].split()[0] if "/officers/enrol/" in said.out else ""


def app_secret(person: Person) -> str:
    """As the page that the person sees writes it."""
    found = re.search(r"\b(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}\b", person.text)
    assert found
    return found[0].replace(" ", "")


def code(app: Flask, clock: FakeClock, secret: str) -> str:
    return pyotp.TOTP(secret).at(clock.now())


def enrol(app: Flask, clock: FakeClock, path: str, password: str = PASSWORD, typed: str | None = None) -> Person:
    person = Person(app)
    assert person.open(path).status_code == 200
    typed = typed if typed is not None else code(app, clock, app_secret(person))
    person.submit(new_password=password, confirm_password=password, code=typed)
    return person


def test_from_the_command_line_to_the_desk(app: Flask, clock: FakeClock) -> None:
    path = add(app)
    person = Person(app)
    assert "li.na" in person.open(path).text
    secret = app_secret(person)
    person.submit(new_password=PASSWORD, confirm_password=PASSWORD, code=code(app, clock, secret))
    assert person.page.status_code == 200
    assert person.heading == "账号已启用"
    person.open("/officers")
    person.submit(username="li.na", password=PASSWORD)
    clock.advance(seconds=60)
    assert person.at.endswith("/totp")
    person.submit(code=code(app, clock, secret))
    # R57: officers do not put the proof off
    person.submit(mobile="13800138000")
    assert person.at.endswith("/proof")
    person.submit(mobile_code=person.read_code())
    assert person.open("/officers").status_code == 200
    assert person.at == "/officers"
    assert "李娜" in person.text
    # D15: no enterprise, and nothing falls over for it
    assert person.open("/hall").request.path == "/officers"
    assert person.open("/hall/licences").status_code == 200
    assert person.open("/account/consents").status_code == 200


def test_the_link_opens_once(app: Flask, clock: FakeClock) -> None:
    path = add(app)
    assert enrol(app, clock, path).page.status_code == 200
    assert app.test_client().get(path).status_code == 410


def test_two_browsers_at_one_link_never_share_a_secret(app: Flask, clock: FakeClock) -> None:
    path, first, second = add(app), Person(app), Person(app)
    first.open(path)
    secret = app_secret(first)
    first.open(path)
    assert app_secret(first) == secret, "a page that is shown again shows the same"
    second.open(path)
    assert app_secret(second) != secret
    first.submit(new_password=PASSWORD, confirm_password=PASSWORD, code=code(app, clock, secret))
    assert (first.page.status_code, "二维码已在别处重新生成" in first.text) == (422, True)
    assert app_secret(first) not in (secret, app_secret(second))
    first.submit(new_password=PASSWORD, confirm_password=PASSWORD, code=code(app, clock, app_secret(first)))
    assert first.page.status_code == 200
    second.submit(new_password="Another2Passw0rd", confirm_password="Another2Passw0rd", code=code(app, clock, app_secret(second)))
    assert second.page.status_code == 410
    with app.app_context():
        events = session.scalars(select(AuditEvent.event).where(AuditEvent.event == "account.totp.begun_elsewhere")).all()
        assert len(events) == 2


def test_the_link_is_over_after_72_hours(app: Flask, clock: FakeClock) -> None:
    path = add(app)
    clock.advance(hours=72, seconds=-1)
    assert app.test_client().get(path).status_code == 200
    clock.advance(seconds=1)
    assert app.test_client().get(path).status_code == 410


def test_a_page_that_was_open_when_the_link_ended_sets_nothing(app: Flask, clock: FakeClock) -> None:
    person, path = Person(app), add(app)
    person.open(path)
    typed = code(app, clock, app_secret(person))
    clock.advance(hours=72)
    person.submit(new_password=PASSWORD, confirm_password=PASSWORD, code=typed)
    assert person.page.status_code == 410
    with app.app_context():
        assert session.scalars(select(Account.password_hash)).all() == [None]


@pytest.mark.parametrize("token", ["x", "x" * 43, "é", "a" * 5000])
def test_a_wrong_link(app: Flask, token: str) -> None:
    add(app)
    assert app.test_client().get(f"/officers/enrol/{token}").status_code == 410


def test_only_the_digest_of_a_link_is_kept(app: Flask) -> None:
    token = add(app).rsplit("/", 1)[1]
    with app.app_context():
        row = session.scalars(select(OfficerEnrolment)).one()
        assert token not in (row.token_digest, str(row.__dict__))


def test_weak_passwords_and_wrong_codes_set_nothing(app: Flask, clock: FakeClock) -> None:
    path = add(app)
    assert enrol(app, clock, path, password="abc").page.status_code == 422
    assert enrol(app, clock, path, typed="000000").page.status_code == 422
    assert enrol(app, clock, path, typed="").page.status_code == 422
    with app.app_context():
        assert session.scalars(select(Account.password_hash)).all() == [None]
    assert enrol(app, clock, path).page.status_code == 200


def test_a_new_link_ends_all_that_was_before(app: Flask, clock: FakeClock) -> None:
    path = add(app)
    enrol(app, clock, path)
    with app.app_context():
        account = roles.officer("li.na")
        assert account is not None
    browser = let_in(app, account, "totp", now=clock.now())
    assert browser.get("/officers").status_code == 200
    assert idp(app, "officer", "link", "li.na", *WHO).code == 0
    assert browser.get("/officers").status_code == 303
    with app.app_context():
        fresh = session.get_one(Account, account.id)
        assert fresh.password_hash is None
        assert not totp.is_on(account.id)


def test_every_change_names_its_operator_and_reason(app: Flask) -> None:
    add(app)
    assert idp(app, "officer", "add", "x", "--role", "auditor", "--display-name", "X").code == 2
    assert idp(app, "officer", "remove", "li.na", "--operator", "ops", "--reason", " ").code == 1
    with app.app_context():
        event = session.scalars(select(AuditEvent).where(AuditEvent.event == "officer.role.given")).one()
        assert (event.operator, event.detail["why"]) == ("ops-zhang", "new colleague")


def test_operator_security_officer_and_auditor_are_never_one(app: Flask) -> None:
    add(app, "sun", "auditor")
    add(app, "wu", "security_officer")
    both = idp(app, "officer", "add", "sun", "--role", "security_officer", "--display-name", "S", *WHO)
    assert (both.code, "never one person" in both.err) == (1, True)
    for name in ("sun", "WU"):
        ran = idp(app, "officer", "add", "zhou", "--role", "key_office", "--display-name", "Z", "--operator", name, "--reason", "x")
        assert ran.code == 1, name
    # who has operated once is neither afterwards
    made = idp(app, "officer", "add", "Ops-Zhang", "--role", "auditor", "--display-name", "Z", "--operator", "other", "--reason", "x")
    assert made.code == 1
    assert idp(app, "officer", "add", "ops-zhang", "--role", "key_office", "--display-name", "Z", *WHO).code == 1
    with app.app_context():
        assert roles.officer("zhou") is None
        assert roles.officer("ops-zhang") is None


def test_an_enterprises_user_is_no_officer(app: Flask) -> None:
    with app.app_context(), transaction():
        people.beijing()
    said = idp(app, "officer", "add", people.NAME, "--role", "key_office", "--display-name", "X", *WHO)
    assert said.code == 1


def test_what_is_taken_is_gone_at_once(app: Flask, clock: FakeClock) -> None:
    add(app)
    add(app, "li.na", "service_desk")
    with app.app_context():
        account = roles.officer("li.na")
        assert account is not None
    browser = let_in(app, account, "totp")
    assert idp(app, "officer", "remove", "li.na", "--role", "key_office", *WHO).out == "taken: key_office\n"
    assert "电子钥匙发放机构" not in browser.get("/officers").text
    assert idp(app, "officer", "remove", "li.na", *WHO).code == 0
    assert browser.get("/officers").status_code == 303
    assert idp(app, "officer", "list").out == ""
    assert idp(app, "officer", "remove", "li.na", *WHO).code == 1


def test_who_comes_back_enrols_anew(app: Flask, clock: FakeClock) -> None:
    enrol(app, clock, add(app))
    assert idp(app, "officer", "remove", "li.na", *WHO).code == 0
    with app.app_context():
        account = roles.officer("li.na")
        assert account is not None
        assert (account.password_hash, totp.is_on(account.id)) == (None, False)
    path = add(app)
    assert path, "a new link"
    assert enrol(app, clock, path).page.status_code == 200


def test_who_was_closed_otherwise_enrols_anew(app: Flask, clock: FakeClock) -> None:
    enrol(app, clock, add(app))
    with app.app_context(), transaction():
        account = roles.officer("li.na")
        assert account is not None
        account.status = "disabled"
    assert add(app), "a new link"


def pages(app: Flask) -> list[str]:
    return [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/officers") and "<" not in rule.rule and "GET" in (rule.methods or set())
    ]


def test_officers_pages_are_closed_to_everybody_else(app: Flask) -> None:
    with app.app_context(), transaction():
        person = people.beijing()
    browser = let_in(app, person, "totp")
    for page in pages(app):
        assert browser.get(page).status_code == 404, page
        nobody = app.test_client().get(page)
        assert (nobody.status_code, "/signin/" in nobody.location) == (303, True), page


@pytest.mark.parametrize("role", roles.ROLES)
def test_each_role_opens_its_own_pages(app: Flask, role: str) -> None:
    with app.app_context(), transaction():
        account = officer("li", role)
    browser = let_in(app, account, "totp")
    for page in pages(app):
        view = app.view_functions[app.url_map.bind("127.0.0.1").match(page)[0]]
        wanted = view.__dict__["roles"]
        assert (browser.get(page).status_code == 404) == bool(wanted and role not in wanted), page


def test_a_password_alone_opens_no_page_of_officers(app: Flask) -> None:
    with app.app_context(), transaction():
        account = officer("li", "key_office")
    browser = let_in(app, account)
    for page in pages(app):
        answer = browser.get(page)
        assert answer.status_code in (303, 404), page
        assert answer.status_code == 404 or "/signin/" in answer.location


def test_a_closed_account_holds_no_role(app: Flask) -> None:
    with app.app_context(), transaction():
        account = officer("li", "key_office")
        account.status = "disabled"
    with app.app_context():
        assert roles.held(account.id) == frozenset()


@pytest.mark.store
def test_a_session_of_an_officer_outlives_the_jobs(app: Flask, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        account = officer("li", "key_office")
    browser = let_in(app, account, "totp")
    with app.app_context(), transaction():
        end_closed_sessions(clock.now() + timedelta(minutes=1))
    assert browser.get("/officers").status_code == 200
