"""A forgotten password, by the e-key (R58, R59); the card is a key in memory."""

from pathlib import Path

import pyotp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from sqlalchemy import select

from idp.accounts import totp
from idp.accounts.models import Account, ImportedContact
from idp.db import session, transaction
from idp.ekey import crl, revocation_cache
from idp.ekey.models import EKeyBinding
from idp.entitlements import systems
from idp.key_register.models import EKey
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin.views.password import hasher
from tests import people
from tests.conftest import SECRET
from tests.ekey.bad_pki import NOW, Card, Pki, holder, revocation_list
from tests.ekey.test_step import LIST, Holder, token
from tests.fakes import FakeClock
from tests.people import NAME
from tests.races.test_signin import same_browser
from tests.relying_party import ISSUER

SERIAL, PASSWORD, NEW = "EK76DA6FAE991C57", "Strong1Passw0rd", "Newer2Passw0rd"
MOBILE, EMAIL = "+8613800138000", "beijing@example.cn"


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, pki: Pki) -> Settings:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, ekey_roots_file=roots, ekey_crl_urls=(LIST,))


@pytest.fixture
def account_id(app: Flask, clock: FakeClock, pki: Pki) -> int:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            row = people.account(people.enterprise(), [NAME], user_class=3)
            people.key(row, ["export"], SERIAL)
            row.password_hash, row.mobile, row.mobile_proven_at, row.contacts_given_at = made, MOBILE, clock.now(), clock.now()
            session.flush()
            number = row.id
            assert revocation_cache.keep(LIST, crl.read(revocation_list(pki.root), (pki.root.certificate,), NOW), NOW) is None
    return number


@pytest.fixture
def card(pki: Pki) -> Card:
    return pki.card(subject=holder(serial=SERIAL))


@pytest.fixture
def bound(app: Flask, account_id: int, card: Card) -> Card:
    """A card that has signed in before."""
    person = Holder(app)
    person.open("/login")
    person.submit(username=NAME, password=PASSWORD, ekey="use")
    person.use(card)
    assert person.at == "/hall", person.text
    return card


def to_key(app: Flask, page: str = "/recover") -> Holder:
    person = Holder(app)
    person.open(page)
    sent = {"csrf_token": person.form().fields["csrf_token"], "action": "ekey"}
    person.page = person.client.post(person.at, data=sent, follow_redirects=True)
    assert person.at.endswith("/ekey"), person.text
    return person


def set_new(person: Holder) -> None:
    assert person.at.endswith("/change"), person.text
    person.submit(new_password=NEW, confirm_password=NEW)


def live(app: Flask) -> int:
    with app.app_context():
        return len(session.scalars(select(Session).where(Session.ended_at.is_(None))).all())


@pytest.mark.store
@pytest.mark.requirement("R58")
def test_a_key_that_has_signed_in_before_sets_a_new_password_and_signs_nobody_in(app: Flask, bound: Card) -> None:
    person = to_key(app)
    assert "登录过本平台的电子钥匙" in person.text
    person.use(bound)
    set_new(person)
    assert person.at.endswith("/recovered")
    assert live(app) == 0
    again = Holder(app)
    again.type_password(NAME, NEW)
    assert again.at == "/hall"


@pytest.mark.requirement("R58")
@pytest.mark.parametrize(
    ("fault", "told"), [("unbound", "尚未与用户绑定"), ("revoked", "吊销"), ("disabled", "已停用"), ("foreign", "不是本平台认可")]
)
def test_a_key_that_does_not_count_recovers_nothing(app: Flask, account_id: int, bound: Card, fault: str, told: str) -> None:
    with app.app_context(), transaction():
        if fault == "unbound":
            session.query(EKeyBinding).delete()
        elif fault == "revoked":
            session.get_one(EKey, SERIAL).status = "revoked"
        elif fault == "disabled":
            session.get_one(Account, account_id).status = "disabled"
    person = to_key(app)
    person.use(Pki().card(subject=holder(serial=SERIAL)) if fault == "foreign" else bound)
    assert (person.page.status_code in (403, 422), told in person.text) == (True, True), person.text


@pytest.mark.requirement("R75")
def test_the_authenticator_app_is_asked_for_beside_the_key(app: Flask, clock: FakeClock, account_id: int, bound: Card) -> None:
    with app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(account_id, "b", SECRET, clock.now()) or "")
        totp.confirm(account_id, "b", device.at(clock.now()), SECRET, clock.now())
    clock.advance(minutes=2)
    person = to_key(app)
    person.use(bound)
    assert person.at.endswith("/totp")
    person.submit(code=device.at(clock.now()))
    set_new(person)


@pytest.mark.requirement("R58")
def test_a_signature_for_a_sign_in_recovers_nothing_and_the_reverse(app: Flask, bound: Card) -> None:
    person, there = to_key(app), Holder(app)
    there.open("/login")
    there.submit(username=NAME, password=PASSWORD, ekey="use")
    person.use(bound, nonce=there.challenge())
    assert (person.page.status_code, person.at.endswith("/ekey")) == (422, True)
    there.use(bound, nonce=person.challenge())
    assert (there.page.status_code, there.at.endswith("/ekey")) == (422, True)


@pytest.mark.requirement("R58")
def test_back_from_the_key_to_the_contact(app: Flask, account_id: int) -> None:
    person = to_key(app)
    sent = {"csrf_token": person.form().fields["csrf_token"], "action": "skip"}
    person.page = person.client.post(person.at, data=sent, follow_redirects=True)
    assert person.at.endswith("/recover")
    person.submit(username=NAME, contact=MOBILE)
    assert person.at.endswith("/recover-code")


@pytest.mark.requirement("R59")
def test_an_imported_contact_and_the_key_recover_together(app: Flask, clock: FakeClock, account_id: int, card: Card) -> None:
    with app.app_context(), transaction():
        account = session.get_one(Account, account_id)
        account.password_hash = account.mobile = account.mobile_proven_at = None
        session.add(ImportedContact(account_id=account_id, kind="email", value=EMAIL, system="import", enabled=True))
    person = Holder(app)
    person.open("/recover")
    person.submit(username=NAME, contact=EMAIL)
    person.submit(code=person.read_code("email"))
    assert person.at.endswith("/recover-second")
    sent = {"csrf_token": person.form().fields["csrf_token"], "action": "ekey"}
    person.page = person.client.post(person.at, data=sent, follow_redirects=True)
    # the certificate names the key, the code the account: its first use binds it
    person.use(card)
    set_new(person)
    with app.app_context():
        assert session.get_one(Account, account_id).email_proven_at == clock.now()
        assert session.scalars(select(EKeyBinding.serial)).all() == [SERIAL]


@pytest.mark.requirement("R59")
def test_somebody_elses_key_is_no_second_proof(app: Flask, account_id: int, bound: Card) -> None:
    with app.app_context(), transaction():
        other = people.account(people.firm(session.get_one(Account, account_id)), ["0441987654321-other"], user_class=3)
        session.add(ImportedContact(account_id=other.id, kind="email", value=EMAIL, system="import", enabled=True))
    person = Holder(app)
    person.open("/recover")
    person.submit(username="0441987654321-other", contact=EMAIL)
    person.submit(code=person.read_code("email"))
    transaction_id = person.at.split("/")[2]
    sent = {"csrf_token": person.form().fields["csrf_token"], "action": "ekey"}
    person.page = person.client.post(person.at, data=sent, follow_redirects=True)
    person.use(bound)
    assert person.page.status_code == 422
    assert person.open(f"/signin/{transaction_id}/change").request.path.endswith("/ekey")


@pytest.mark.requirement("R84")
def test_who_knew_the_browsers_secret_before_has_nothing_of_the_key(app: Flask, bound: Card) -> None:
    person = to_key(app)
    nonce = person.challenge()
    action, fields = person.prepare(nonce=nonce, token=token(bound, nonce, ISSUER))
    thief, again = same_browser(person), same_browser(person)
    person.page = person.client.post(action, data=fields, follow_redirects=True)
    assert person.at.endswith("/change")
    transaction_id = person.at.split("/")[2]
    assert [thief.open(f"/signin/{transaction_id}/{step}").status_code for step in ("change", "ekey", "recovered")] == [410] * 3
    # nor does the same answer sent twice take it away from the first
    assert again.client.post(action, data=fields).status_code == 410
    set_new(person)
    assert person.at.endswith("/recovered")
