"""The authenticator app at the sign-in, as a step-up, and on the account's pages."""

import re

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp import app as wiring
from idp.accounts import totp
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.entitlements import systems
from idp.oidc import keys
from idp.oidc.keys import NewKey
from idp.outbox.models import OutboxItem
from idp.sessions.models import Session
from tests import people
from tests.conftest import SECRET
from tests.fakes import FakeClock, LetterBox
from tests.officers.staff import let_in, officer, token_of
from tests.people import NAME
from tests.person import Person
from tests.relying_party import ISSUER, RelyingParty, answer_of, claims_of, store_keys

PASSWORD = "Strong1Passw0rd"
LEVEL, ONLY_PASSWORD = "urn:licence:acr:password-totp", "urn:licence:acr:password"


@pytest.fixture(scope="module")
def signing_keys() -> list[NewKey]:
    return [keys.make(alg, SECRET) for alg in keys.ALGORITHMS for _ in range(2)]


@pytest.fixture
def account_id(app: Flask, clock: FakeClock, signing_keys: list[NewKey]) -> int:
    with app.app_context(), transaction():
        systems.load()
        store_keys(signing_keys, clock.now())
        row = people.account(people.enterprise(), [NAME], user_class=3)
        people.former(row, PASSWORD)
        row.contacts_given_at = row.email_proven_at = row.mobile_proven_at = clock.now()
        row.email, row.mobile = "zhang@example.cn", "+8613800138000"
        session.flush()
        return row.id


class Traveller(Person):
    """Somebody who comes from a business system, as far as pages of ours go."""

    def wants(self, rp: RelyingParty, **changes: str) -> None:
        self.follow(self.client.get("/oauth2/authorize", query_string=rp.request(**changes), base_url=ISSUER))

    def follow(self, answer: object) -> None:
        while answer.status_code == 303 and not answer.location.startswith("https://rp.example"):  # type: ignore[attr-defined]  # an answer
            answer = self.client.get(answer.location)  # type: ignore[attr-defined]  # as above
        self.page = answer  # type: ignore[assignment]  # as above

    def sends(self, **typed: str) -> None:
        action, fields = self.prepare(**typed)
        self.follow(self.client.post(action, data=fields))


def switched_on(app: Flask, account_id: int, clock: FakeClock) -> tuple[pyotp.TOTP, list[str]]:
    with app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(account_id, "browser", SECRET, clock.now()) or "")
        codes = totp.confirm(account_id, "browser", device.at(clock.now()), SECRET, clock.now())
    clock.advance(minutes=5)
    assert isinstance(codes, list)
    return device, codes


def sessions(app: Flask) -> list[Session]:
    with app.app_context():
        return list(session.scalars(select(Session).where(Session.ended_at.is_(None)).order_by(Session.id)))


def relying_party(app: Flask, clock: FakeClock, **members: str) -> RelyingParty:
    return RelyingParty(app, clock, "rp", scope="openid", grant_types=["authorization_code", "refresh_token"], **members)


def told(rp: RelyingParty, person: Person) -> dict[str, object]:
    return claims_of(rp.redeem(answer_of(person.page)["code"]).get_json()["id_token"])


@pytest.mark.store
@pytest.mark.requirement("R75")
def test_password_and_code_sign_in(app: Flask, account_id: int, clock: FakeClock) -> None:
    device, _ = switched_on(app, account_id, clock)
    person = Traveller(app)
    person.type_password(NAME, PASSWORD)
    assert person.at.endswith("/totp")
    assert sessions(app) == []
    person.submit(code="000000")
    assert (person.page.status_code, "动态口令不正确" in person.text) == (422, True)
    assert person.submit(code="").status_code == 422
    person.submit(code=device.at(clock.now()))
    assert person.at == "/hall"
    (row,) = sessions(app)
    assert (row.password_at, row.totp_at, row.ekey_at) == (clock.now(), clock.now(), None)
    rp = relying_party(app, clock)
    person.wants(rp)
    claims = told(rp, person)
    assert (claims["acr"], claims["amr"]) == (LEVEL, ["pwd", "otp"])


def test_a_recovery_code_stands_in_once_and_the_contacts_are_told(app: Flask, account_id: int, clock: FakeClock, letter_box: LetterBox) -> None:
    _, codes = switched_on(app, account_id, clock)
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    person.submit(recovery_code=codes[0].lower())
    assert person.at == "/hall"
    other = Person(app)
    other.type_password(NAME, PASSWORD)
    other.submit(recovery_code=codes[0])
    assert (other.page.status_code, "恢复码不正确" in other.text) == (422, True)
    deliver(app)
    assert [to for to, *_ in letter_box.mails] == ["zhang@example.cn"]
    assert [to for to, _ in letter_box.texts] == ["+8613800138000"]
    assert "恢复码" in letter_box.texts[0][1]


def deliver(app: Flask) -> None:
    """What the worker does with what waits."""
    with app.app_context():
        runtime = app.extensions["idp"]
        table = wiring.handlers(runtime.adapters, runtime.settings, runtime.secret)
        waiting = [(item.kind, item.payload) for item in session.scalars(select(OutboxItem).order_by(OutboxItem.id))]
        for kind, payload in waiting:
            table[kind](payload)


def test_guesses_run_out_over_sign_ins(app: Flask, account_id: int, clock: FakeClock) -> None:
    device, _ = switched_on(app, account_id, clock)
    answers = []
    for _ in range(3):
        person = Person(app)
        person.type_password(NAME, PASSWORD)
        answers += [person.submit(code="000000").status_code for _ in range(2)]
    assert answers == [422] * 5 + [429]
    assert person.submit(code=device.at(clock.now())).status_code == 429
    assert sessions(app) == []


def test_a_sign_in_under_way_does_not_pass_an_app_that_was_just_switched_on(app: Flask, account_id: int, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        session.get_one(Account, account_id).contacts_given_at = None
        session.get_one(Account, account_id).email_proven_at = session.get_one(Account, account_id).mobile_proven_at = None
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    assert person.at.endswith("/contacts")
    switched_on(app, account_id, clock)
    person.submit(action="later")
    assert (person.page.status_code, sessions(app)) == (410, [])


# --- step-up --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("OIDC Core", "5.5.1.1")
@pytest.mark.parametrize("by", ["client", "claim"])
def test_who_is_signed_in_by_password_is_led_to_the_code(app: Flask, account_id: int, clock: FakeClock, by: str) -> None:
    rp = relying_party(app, clock, **({"require_acr": LEVEL} if by == "client" else {}))
    asked = {} if by == "client" else {"claims": f'{{"id_token":{{"acr":{{"essential":true,"value":"{LEVEL}"}}}}}}'}
    person = Traveller(app)
    person.type_password(NAME, PASSWORD)
    start = clock.now()
    (before,) = sessions(app)
    device, _ = switched_on(app, account_id, clock)
    person.wants(rp, prompt="none", **asked)
    assert answer_of(person.page)["error"] == "login_required"
    person.wants(rp, **asked)
    assert person.at.endswith("/totp")
    person.sends(code=device.at(clock.now()))
    claims = told(rp, person)
    assert (claims["acr"], claims["auth_time"]) == (LEVEL, int(start.timestamp())), "the oldest factor that the level needs"
    (after,) = sessions(app)
    assert (after.id, after.password_at, after.totp_at) == (before.id, start, clock.now())
    assert after.secret_digest != before.secret_digest


def test_who_has_no_app_is_told_where_to_get_one(app: Flask, account_id: int, clock: FakeClock) -> None:
    rp, person = relying_party(app, clock, require_acr=LEVEL), Traveller(app)
    person.wants(rp)
    person.sends(username=NAME, password=PASSWORD)
    assert person.at.endswith("/totp")
    assert (person.page.status_code, "/account/totp" in person.text) == (403, True)
    assert sessions(app) == []


def test_a_wish_that_cannot_be_met_holds_nobody_up(app: Flask, account_id: int, clock: FakeClock) -> None:
    rp, person = relying_party(app, clock), Traveller(app)
    person.wants(rp, acr_values=LEVEL)
    person.sends(username=NAME, password=PASSWORD)
    assert told(rp, person)["acr"] == ONLY_PASSWORD


def test_a_code_too_old_for_the_request_is_asked_again(app: Flask, account_id: int, clock: FakeClock) -> None:
    device, _ = switched_on(app, account_id, clock)
    rp, person = relying_party(app, clock, require_acr=LEVEL), Traveller(app)
    person.type_password(NAME, PASSWORD)
    person.submit(code=device.at(clock.now()))
    clock.advance(minutes=10)
    person.wants(rp, max_age="60")
    assert person.at.endswith("/password")
    person.sends(username=NAME, password=PASSWORD)
    person.sends(code=device.at(clock.now()))
    assert told(rp, person)["auth_time"] == int(clock.now().timestamp())


# --- the account's pages --------------------------------------------------------------------------------------------------------------------


def secret_on(page: str) -> str:
    found = re.search(r'class="code">([A-Z2-7 ]{39})<', page)
    assert found
    return found[1].replace(" ", "")


@pytest.mark.requirement("R75")
def test_switching_on_and_off(app: Flask, account_id: int, clock: FakeClock, letter_box: LetterBox) -> None:
    person, elsewhere = Person(app), Person(app)
    for one in (person, elsewhere):
        one.type_password(NAME, PASSWORD)
    person.open("/account")
    assert "未开通" in person.text
    answer = person.open("/account/totp/setup")
    assert "<svg" in person.text
    assert answer.headers["Cache-Control"] == "no-store"
    device = pyotp.TOTP(secret_on(person.text))
    assert person.submit(code="000000").status_code == 422
    assert secret_on(person.text) == device.secret, "a wrong code does not change the picture"
    person.submit(code=device.at(clock.now()))
    codes = re.findall(r'class="code">([A-Z2-7]{4} [A-Z2-7]{4} [A-Z2-7]{4} [A-Z2-7]{4})<', person.text)
    assert len(codes) == 10
    elsewhere.open("/hall")
    assert elsewhere.at.endswith("/password"), "the other sessions are over"
    person.open("/account/totp")
    assert not any(code in person.text for code in codes)
    # off: by password and code, though the session is fresh by password alone
    page = person.form()
    fields = {"csrf_token": page.fields["csrf_token"]}
    clock.advance(minutes=5)
    person.page = person.client.post("/account/totp/off", data=fields, follow_redirects=True)
    assert person.at.endswith("/password")
    with app.app_context():
        assert totp.is_on(account_id)
    person.submit(username=NAME, password=PASSWORD)
    person.submit(code=device.at(clock.now()))
    assert person.at == "/account/totp"
    person.client.post("/account/totp/off", data={"csrf_token": person.form().fields["csrf_token"]})
    with app.app_context():
        assert not totp.is_on(account_id)
    (stays,) = sessions(app)
    assert (stays.totp_at, stays.password_at is not None) == (None, True), "it rests on the app no more"
    deliver(app)
    subjects = [subject for _, subject, _ in letter_box.mails]
    assert subjects == ["您的账号已开通动态口令", "您的账号已关闭动态口令"]


@pytest.mark.requirement("R90")
def test_an_officer_switches_nothing_on_or_off(app: Flask, clock: FakeClock) -> None:
    with app.app_context(), transaction():
        row = officer("li", "key_office")
    device, _ = switched_on(app, row.id, clock)
    browser = let_in(app, row, "totp", now=clock.now())
    page = browser.get("/account/totp").text
    assert ("/account/totp/off" in page, "新的启用链接" in page) == (False, True)
    answer = browser.post("/account/totp/off", data={"csrf_token": token_of(page)})
    assert (answer.status_code, "新的启用链接" in answer.text) == (403, True)
    with app.app_context():
        assert totp.is_on(row.id)
    with app.app_context(), transaction():
        totp.switch_off(row.id, clock.now())
    assert browser.get("/account/totp/setup").location == "/account/totp"
    page = browser.get("/account/totp").text
    assert ("/account/totp/setup" in page, "新的启用链接" in page) == (False, True)
    # begun before there was a role
    with app.app_context(), transaction():
        mine = session.scalars(select(Session.id)).one()
        device = pyotp.TOTP(totp.begin(row.id, mine, SECRET, clock.now()) or "")
    fields = {"csrf_token": token_of(page), "code": device.at(clock.now())}
    browser.post("/account/totp/setup", data=fields)
    with app.app_context():
        assert not totp.is_on(row.id)


def test_new_recovery_codes(app: Flask, account_id: int, clock: FakeClock) -> None:
    device, codes = switched_on(app, account_id, clock)
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    person.submit(code=device.at(clock.now()))
    person.open("/account/totp")
    person.submit()
    assert person.at == "/account/totp/recovery-codes"
    assert codes[0] not in person.text
    other = Person(app)
    other.type_password(NAME, PASSWORD)
    assert other.submit(recovery_code=codes[0]).status_code == 422


def test_an_old_session_signs_in_once_more_before_a_change(app: Flask, account_id: int, clock: FakeClock) -> None:
    person = Person(app)
    person.type_password(NAME, PASSWORD)
    clock.advance(minutes=11)
    person.open("/account/totp/setup")
    assert person.at.endswith("/password")
    assert person.form().fields["username"] == NAME
    person.submit(password=PASSWORD)
    assert person.at == "/account/totp/setup"


def test_the_secret_is_shown_to_one_session_only(app: Flask, account_id: int, clock: FakeClock) -> None:
    person, elsewhere = Person(app), Person(app)
    for one in (person, elsewhere):
        one.type_password(NAME, PASSWORD)
        one.open("/account/totp/setup")
    device = pyotp.TOTP(secret_on(person.text))
    assert secret_on(elsewhere.text) != device.secret
    assert person.submit(code=device.at(clock.now())).status_code == 422
    with app.app_context():
        assert not totp.is_on(account_id)
