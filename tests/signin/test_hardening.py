"""What attackers tried on the sign-in, beside the races."""

import re

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp import limits, opaque_tokens
from idp.accounts.models import Account, FormerPassword, ImportedContact, KnownDevice, PasswordFailures
from idp.app import JOBS
from idp.db import session, transaction
from idp.outbox.models import OutboxItem
from idp.sessions.models import Session
from idp.signin import browser, room
from idp.signin.models import SignInTransaction
from idp.worker import run_once
from tests import people
from tests.fakes import FakeClock
from tests.people import NAME, NEW, OLD
from tests.person import Person

HOST = "127.0.0.1"


@pytest.fixture
def beijing(app: Flask) -> int:
    with app.app_context(), transaction():
        return people.beijing().id


@pytest.fixture
def person(app: Flask) -> Person:
    return Person(app)


@pytest.mark.requirement("R56")
def test_only_the_chosen_account_keeps_the_typed_password(app: Flask, person: Person) -> None:
    with app.app_context(), transaction():
        owners = [people.account(people.enterprise(code), ["tongming"], 2) for code in ("0100767418349", "0100551383L56")]
        for owner in owners:
            people.former(owner, "Str0ng-Zhong")
            session.add(ImportedContact(account_id=owner.id, kind="email", value=f"{owner.id}@example.cn", system="import"))
        chosen, other = owners[0].id, owners[1].id
    person.type_password("tongming", "Str0ng-Zhong")
    assert person.at.endswith("/choose")
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(FormerPassword)) == 2
        assert session.scalar(select(func.count()).select_from(OutboxItem)) == 0
    person.submit(choice=str(chosen))
    with app.app_context():
        assert session.scalars(select(FormerPassword.account_id)).all() == [other]
        assert session.get_one(Account, other).password_hash is None
        assert [item.payload["account_id"] for item in session.scalars(select(OutboxItem))] == [chosen]


@pytest.mark.requirement("R57")
def test_a_masked_contact_cannot_be_found_by_trying_all_numbers(app: Flask, person: Person, beijing: int) -> None:
    with app.app_context(), transaction():
        session.add(ImportedContact(account_id=beijing, kind="mobile", value="+8613812345678", system="import"))
    person.type_password(NAME, OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    found = re.search(r'name="mobile_choice" value="([^"]+)"', person.text)
    assert found
    assert "138****5678" in person.text
    guesses = [f"{kind}{n:04d}5678" for n in range(10_000) for kind in ("mobile:+86138", "mobile:138", "+86138", "138")]
    assert not any(opaque_tokens.digest(guess).startswith(found[1]) for guess in guesses)
    with app.app_context():
        assert "12345678" not in repr([item.payload for item in session.scalars(select(OutboxItem))])


@pytest.mark.requirement("R55")
def test_a_disabled_rows_old_password_does_not_come_back_as_the_new_one(app: Flask, person: Person, beijing: int) -> None:
    with app.app_context(), transaction():
        people.former(session.get_one(Account, beijing), "Blocked8Former", "fertiliser_quota", enabled=False)
    person.type_password(NAME, OLD)
    assert person.submit(new_password="Blocked8Former", confirm_password="Blocked8Former").status_code == 422


def test_known_devices_are_few_and_die_with_the_password(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    for _ in range(12):
        Person(app).type_password(NAME, NEW)
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(KnownDevice)) == 10
    with app.app_context(), transaction():
        session.get_one(Account, beijing).change_reason = "by_office"
    person = Person(app)
    person.type_password(NAME, NEW)
    person.submit(new_password="Shenzhen8Trade", confirm_password="Shenzhen8Trade")
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(KnownDevice)) == 1


def test_counters_and_devices_are_swept(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.type_password(NAME, "wrong")
    person.sign_in(NAME, OLD, NEW)
    Person(app).type_password("0441987654321-nobody", "wrong")
    clock.advance(days=401)
    assert run_once(app, JOBS) == 0
    with app.app_context():
        assert session.scalar(select(func.count()).select_from(KnownDevice)) == 0
        assert session.scalar(select(func.count()).select_from(PasswordFailures)) == 0


def value(person: Person, name: str) -> str | None:
    cookie = person.client.get_cookie(name, domain=HOST)
    return cookie.value if cookie else None


def with_cookie(app: Flask, browser: str | None) -> Person:
    """Somebody who has the cookie of a browser, from before."""
    other = Person(app)
    other.client.set_cookie("browser", browser or "", domain=HOST)
    return other


@pytest.mark.requirement("R84")
@pytest.mark.parametrize("lost", [("session", "device"), ("session", "device", "browser")])
def test_a_double_submit_of_the_password_signs_in_even_if_the_first_answer_got_lost(
    app: Flask, person: Person, beijing: int, lost: tuple[str, ...]
) -> None:
    person.sign_in(NAME, OLD, NEW)
    other = Person(app)
    other.open("/login")
    before = value(other, "browser")
    action, fields = other.prepare(username=NAME, password=NEW)
    other.client.post(action, data=fields)
    for name in lost:
        other.client.delete_cookie(name, domain=HOST)
    if "browser" in lost:
        other.client.set_cookie("browser", before or "", domain=HOST)
    assert other.client.post(action, data=fields, follow_redirects=True).request.path == "/hall"
    with app.app_context():
        assert session.get(KnownDevice, (beijing, opaque_tokens.digest(value(other, "device") or ""))) is not None


def test_a_double_submit_spares_its_captcha_once_and_only_soon(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.sign_in(NAME, OLD, NEW)
    for seconds, tries in ((0, (303, 422)), (61, (422,))):
        other = Person(app)
        other.open("/login")
        action, fields = other.prepare(username=NAME, password=NEW)
        other.client.post(action, data=fields)
        clock.advance(seconds=seconds)
        for expected in tries:
            other.client.delete_cookie("session", domain=HOST)
            assert other.client.post(action, data=fields).status_code == expected


@pytest.mark.requirement("R84")
def test_a_double_submit_is_no_way_to_try_passwords_without_a_captcha(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    other = Person(app)
    other.open("/login")
    action, fields = other.prepare(username=NAME, password=NEW)
    other.client.post(action, data=fields)
    thief = with_cookie(app, value(other, "browser"))
    answer = thief.client.post(action, data=fields | {"captcha_id": "", "password": "guess"})
    assert "验证码" in answer.get_data(as_text=True)
    assert answer.status_code == 422


def test_a_password_that_comes_again_leaves_only_so_many_sign_ins(app: Flask, person: Person, beijing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    person.sign_in(NAME, OLD, NEW)
    other = Person(app)
    other.open("/login")
    action, fields = other.prepare(username=NAME, password=NEW)
    other.client.post(action, data=fields)
    other.client.delete_cookie("session", domain=HOST)
    monkeypatch.setattr(room, "DEVICE_RULES", (limits.Rule("device", 2, 60),))
    again = [other.client.post(action, data=fields | {"action": "refresh_captcha"}).status_code for _ in range(3)]
    assert again == [200, 200, 429]


def test_a_captcha_is_spared_for_one_guess_only_within_the_new_sign_in(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    other = Person(app)
    other.open("/login")
    action, fields = other.prepare(username=NAME, password=NEW)
    other.client.post(action, data=fields)
    other.client.delete_cookie("session", domain=HOST)
    other.page = other.client.post(action, data=fields | {"password": "guess"})
    address, _ = other.prepare(username=NAME, password="guess", captcha="")
    with app.app_context(), transaction():
        row = session.get_one(SignInTransaction, address.split("/")[2])
        assert row.facts["spared"] is None
        assert row.facts["captcha"] is None


def test_a_planted_device_does_not_become_known(app: Flask, person: Person, beijing: int) -> None:
    person.client.set_cookie("device", "planted", domain=HOST)
    person.sign_in(NAME, OLD, NEW)
    own = value(person, "device")
    with app.app_context():
        assert session.get(KnownDevice, (beijing, opaque_tokens.digest("planted"))) is None
        assert session.get(KnownDevice, (beijing, opaque_tokens.digest(own or ""))) is not None
    person.client.delete_cookie("session", domain=HOST)
    person.type_password(NAME, NEW)
    assert (person.at, value(person, "device")) == ("/hall", own)


def test_a_browser_keeps_only_its_last_few_secrets(app: Flask) -> None:
    with app.test_request_context():
        first = browser.secret()
        for _ in range(20):
            browser.renew()
        assert len(browser.secrets()) == browser.KEPT + 1
        assert first not in browser.secrets()


@pytest.mark.store
def test_whoever_planted_the_browser_cookie_gets_no_session_of_the_one_who_signs_in(app: Flask, person: Person, beijing: int) -> None:
    person.open("/login")
    address, planted = person.at.rsplit("/", 1)[0], value(person, "browser")

    def attack() -> None:
        for path in ("", "/password", "/change", "/contacts", "/choose"):
            thief = with_cookie(app, planted)
            assert thief.client.get(address + path, follow_redirects=True).status_code == 410
            assert (value(thief, "session"), value(thief, "device")) == (None, None)

    # after each step, not only the last
    person.submit(username=NAME, password=OLD)
    attack()
    person.submit(new_password=NEW, confirm_password=NEW)
    attack()
    contacts = person.prepare(mobile="13800138000")
    thief = with_cookie(app, planted)
    assert thief.client.post(contacts[0], data=contacts[1]).status_code in (403, 410)
    person.give_contacts(mobile="13800138000")
    assert person.at == "/hall"
    attack()
    assert value(person, "browser") != planted
    # nor does the new cookie, without the session's
    thief = with_cookie(app, value(person, "browser"))
    assert thief.client.get(address).status_code == 410
    assert (value(thief, "session"), value(thief, "device")) == (None, None)


@pytest.mark.requirement("R84")
def test_a_second_tab_goes_on_after_a_sign_in_and_a_reload_leads_on(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    other = Person(app)
    other.open("/login")
    tab = other.prepare(username=NAME, password=NEW)
    other.open("/login")
    first = other.at
    other.submit(username=NAME, password=NEW)
    assert other.at == "/hall"
    for path in (first, first.rsplit("/", 1)[0]):
        assert other.client.get(path, follow_redirects=True).request.path == "/hall"
    assert other.client.post(tab[0], data=tab[1], follow_redirects=True).request.path == "/hall"


@pytest.mark.requirement("D15")
def test_sessions_of_a_cancelled_enterprise_do_not_revive_with_it(app: Flask, person: Person, beijing: int) -> None:
    person.sign_in(NAME, OLD, NEW)
    for status in ("cancelled", "active"):
        with app.app_context(), transaction():
            people.firm(session.get_one(Account, beijing)).status = status
        assert run_once(app, JOBS) == 0
    assert person.open("/hall").request.path.endswith("/password")
    with app.app_context():
        assert session.scalars(select(Session.end_reason)).all() == ["account_closed"]


@pytest.mark.slow
@pytest.mark.store
@pytest.mark.parametrize(
    "path",
    [
        "/signin/%00",
        "/signin/%00/password",
        "/signin/%00/change",
        "/signin/" + "x" * 500,
        "/hall?x=" + "A" * 600,
        "/hall/licences/%00",
        "/hall/licences/" + "B" * 600,
        "/hall/licences/%0d%0aSet-Cookie:%20a=b",
        "/hall/licences/%ff%fe",
        "/captcha/%00.png",
        "/help/%00",
    ],
)
def test_odd_addresses_are_answered_and_lead_back_whole(app: Flask, beijing: int, path: str) -> None:
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    person = Person(app)
    assert person.open(path).status_code < 500
    if path.startswith("/hall"):
        person.submit(username=NAME, password=OLD)
        person.submit(new_password=NEW, confirm_password=NEW)
        assert person.give_contacts(mobile="13800138000").status_code < 500
        assert person.client.get_cookie("session", domain=HOST) is not None


def test_the_way_back_is_the_address_that_was_asked_for(app: Flask, person: Person, beijing: int) -> None:
    person.open("/hall/licences/a%3Fb%23c?x=%2F%2Fevil")
    person.submit(username=NAME, password=OLD)
    person.submit(new_password=NEW, confirm_password=NEW)
    person.give_contacts(mobile="13800138000")
    assert person.page.request.path == "/hall/licences/a?b#c"
    assert person.page.request.args["x"] == "//evil"


@pytest.mark.requirement("R84")
def test_an_expired_sign_in_leads_back_to_where_it_came_from(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.open("/hall/licences")
    late = person.at
    clock.advance(minutes=31)
    person.open(late)
    assert person.page.status_code == 410
    assert 'href="/hall/licences"' in person.text
    person.sign_in(NAME, OLD, NEW)
    assert person.open(late).request.path == "/hall/licences"


@pytest.mark.requirement("R77")
def test_the_same_person_after_an_idle_end_goes_on_with_the_same_session(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.sign_in(NAME, OLD, NEW)
    clock.advance(minutes=31)
    person.type_password(NAME, NEW)
    assert person.at == "/hall"
    with app.app_context():
        assert session.scalars(select(Session.end_reason)).all() == [None]
    clock.advance(hours=12)
    person.type_password(NAME, NEW)
    with app.app_context():
        assert session.scalars(select(Session.end_reason).order_by(Session.id)).all() == ["absolute", None]


@pytest.mark.requirement("R77")
def test_what_was_proven_before_an_idle_end_counts_no_more(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.sign_in(NAME, OLD, NEW)
    with app.app_context(), transaction():
        row = session.scalars(select(Session)).one()
        row.totp_at = row.ekey_at = clock.now()
        row.ekey_serial, row.ekey_pin = "EK76DA6FAE991C57", True
    clock.advance(minutes=31)
    person.type_password(NAME, NEW)
    assert person.at == "/hall"
    with app.app_context():
        row = session.scalars(select(Session)).one()
        kept = [bool(row.totp_at), bool(row.ekey_at), bool(row.ekey_serial), bool(row.ekey_pin)]
        assert (row.password_at, row.used_at, kept) == (clock.now(), clock.now(), [False] * 4)


def test_signing_out_ends_an_idle_session_too(app: Flask, person: Person, beijing: int, clock: FakeClock) -> None:
    person.sign_in(NAME, OLD, NEW)
    person.open("/signout")
    clock.advance(minutes=31)
    person.submit()
    assert person.at == "/signed-out"
    with app.app_context():
        assert session.scalars(select(Session.end_reason)).all() == ["signed_out"]
