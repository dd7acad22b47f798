"""The one proof after which a sensitive right of a merged account opens (R62): by the e-key, or by a code to a contact of that system's own user."""

import re

import pytest
from sqlalchemy import select

from idp.accounts import imported_contacts
from idp.accounts.models import Account, AccountKey, ImportedContact
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import proof, rules
from idp.entitlements.models import Entitlement
from idp.key_register.models import EKey, EKeyLicence
from idp.sessions.models import Session
from idp.signin.views.password import hasher
from idp.worker import deliver
from tests import people
from tests.conftest import SECRET
from tests.ekey.test_step import SERIAL, Holder, World, pki, settings, signing_keys, world
from tests.fakes import LetterBox
from tests.people import CODE, NAME
from tests.person import Person

__all__ = ["pki", "settings", "signing_keys", "world"]
PAGE, PASSWORD, OWN = "/hall/licences/dual_use/proof", "Strong1Passw0rd", "+8613700137000"
CONTACTS = (
    ("mobile", "+8613900139000", "dual_use", True),
    ("email", "lisi@example.cn", "dual_use", True),
    ("mobile", "+8613800138001", "export", True),
)


def beside(row: Account, *contacts: tuple[str, str, str, bool]) -> None:
    for kind, value, system, enabled in contacts:
        session.add(ImportedContact(account_id=row.id, kind=kind, value=value, system=system, enabled=enabled))


@pytest.fixture
def held(world: World) -> World:
    """The account of `world`, merged: its key opens dual_use, which waits for a proof."""
    with world.app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            row = session.get_one(Account, world.account_id)
            session.add(EKeyLicence(serial=SERIAL, system="dual_use"))
            people.approve(row, "dual_use", "held")
            row.password_hash, row.contacts_given_at = made, world.clock.now()
            row.mobile, row.mobile_proven_at, row.email_proven_at = OWN, world.clock.now(), None
            beside(row, *CONTACTS)
    return world


def come(world: World) -> Holder:
    person = Holder(world.app)
    person.type_password(NAME, PASSWORD)
    assert person.at == "/hall"
    return person


def is_open(world: World) -> bool:
    with world.app.app_context():
        return "dual_use" in rules.open_systems(world.account_id, world.clock.now().date())


def choices(person: Person) -> dict[str, str]:
    """What the page offers: masked → the form's name for it."""
    found = re.findall(r'name="contact" value="([^"]+)".*?<label[^>]*>[^：]*：([^<]+)<', person.text, re.DOTALL)
    return {masked: key for key, masked in found}


def send(person: Person, key: str) -> None:
    token = person.form().fields["csrf_token"]
    person.page = person.client.post(PAGE, data={"csrf_token": token, "action": "send", "contact": key}, follow_redirects=True)


def type_code(person: Person, key: str, code: str) -> None:
    token = person.form().fields["csrf_token"]
    person.page = person.client.post(PAGE, data={"csrf_token": token, "contact": key, "code": code}, follow_redirects=True)


def told(world: World, letter_box: LetterBox) -> list[tuple[str, str]]:
    letter_box.texts.clear()
    runtime = world.app.extensions["idp"]
    deliver(world.app, handlers(runtime.adapters, runtime.settings, runtime.secret))
    return letter_box.texts


@pytest.mark.store
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R33")
def test_a_code_to_a_contact_of_that_systems_own_user_opens_it(held: World, letter_box: LetterBox) -> None:
    person = come(held)
    assert "验证后开通" in person.open("/hall/licences/dual_use").text
    person.open(PAGE)
    # masked, and no contact of another system, nor the account's own
    assert set(choices(person)) == {"139****9000", "l***@example.cn"}
    key = choices(person)["139****9000"]
    send(person, key)
    code = person.read_code()
    assert letter_box.texts[-1][0] == "+8613900139000"
    type_code(person, key, "")
    assert not is_open(held)
    type_code(person, key, f"{(int(code) + 1) % 10**6:06}")
    assert (person.page.status_code, is_open(held)) == (422, False)
    type_code(person, key, code)
    assert (person.at, is_open(held)) == ("/hall/licences/dual_use", True)
    assert [(to, "两用物项" in text) for to, text in told(held, letter_box)] == [(OWN, True)]
    with held.app.app_context():
        detail = session.scalar(select(AuditEvent.detail).where(AuditEvent.event == "account.right.proven"))
    assert detail == {"system": "dual_use", "how": "mobile"}
    # once is enough, and only here
    assert person.open(PAGE).request.path == "/hall/licences/dual_use"


@pytest.mark.requirement("R62")
def test_no_other_contact_will_do(held: World) -> None:
    with held.app.app_context(), transaction():
        row = session.get_one(Account, held.account_id)
        beside(row, ("mobile", "+8613600136000", "dual_use", False))
        other = people.account(people.firm(row), [f"{CODE}-other"])
        beside(other, ("mobile", "+8613500135000", "dual_use", True))
    person = come(held)
    person.open(PAGE)
    with held.app.app_context():
        values = (OWN, "+8613800138001", "+8613600136000", "+8613500135000")
        keys = [imported_contacts.FormerContact("mobile", value, ()).key(SECRET) for value in values]
    for key in [*keys, "", "x", "+8613900139000"]:
        send(person, key)
        assert (person.page.status_code, "请选择接收" in person.text) == (422, True), key
    assert told(held, held.app.extensions["idp"].adapters.sms.box) == []


@pytest.mark.requirement("R62")
def test_a_code_counts_for_its_own_contact_right_and_account(held: World) -> None:
    with held.app.app_context(), transaction():
        row = session.get_one(Account, held.account_id)
        people.approve(row, "export", "held")
    person = come(held)
    person.open(PAGE)
    keys = choices(person)
    send(person, keys["139****9000"])
    code = person.read_code()
    type_code(person, keys["l***@example.cn"], code)
    with held.app.app_context(), transaction():
        now, today = held.clock.now(), held.clock.now().date()
        key = imported_contacts.FormerContact("mobile", "+8613800138001", ()).key(SECRET)
        assert proof.by_code(held.account_id, "export", key, code, SECRET, now, today) is not None
    assert not is_open(held)
    type_code(person, keys["139****9000"], code)
    assert is_open(held)


@pytest.mark.requirement("R62")
def test_what_is_not_held_or_not_theirs_has_no_such_page(held: World) -> None:
    person = come(held)
    token = person.open(PAGE) and person.form().fields["csrf_token"]
    assert person.client.get("/hall/licences/import/proof").location == "/hall/licences/import"
    assert person.client.get("/hall/licences/export/proof").location == "/hall/licences/export"
    for system in ("export", "import", "nothing", "%00"):
        for fields in ({"action": "ekey"}, {"action": "send", "contact": "x"}, {"code": "123456", "contact": "\x00"}, {}):
            assert person.client.post(f"/hall/licences/{system}/proof", data={"csrf_token": token, **fields}).status_code == 303
    with held.app.app_context(), transaction():
        key = imported_contacts.FormerContact("mobile", "+8613800138001", ()).key(SECRET)
        refusal = proof.send(held.account_id, "export", key, SECRET, held.clock.now(), held.clock.now().date())
        assert refusal is not None
        assert refusal.code == "code_channel"
    with held.app.app_context(), transaction():
        session.get_one(EKey, SERIAL).status = "revoked"
    assert person.open(PAGE).request.path == "/hall/licences/dual_use", "a proof does not mend a key"


# --- by the e-key ---------------------------------------------------------------------------------------------------------------------------


def press(person: Holder) -> None:
    person.open(PAGE)
    token = person.form().fields["csrf_token"]
    person.follow(person.client.post(PAGE, data={"csrf_token": token, "action": "ekey"}))


@pytest.mark.store
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R69")
def test_the_key_is_shown_and_then_it_opens(held: World, letter_box: LetterBox) -> None:
    person = come(held)
    press(person)
    assert person.at.endswith("/ekey")
    assert not is_open(held)
    person.use(held.card)
    assert person.at == PAGE
    assert "电子钥匙已验证" in person.text
    assert not is_open(held), "a step-up alone opens nothing"
    press(person)
    assert (person.at, is_open(held)) == ("/hall/licences/dual_use", True)
    assert [to for to, _ in told(held, letter_box)] == [OWN]
    with held.app.app_context():
        detail = session.scalar(select(AuditEvent.detail).where(AuditEvent.event == "account.right.proven"))
        assert session.scalars(select(Entitlement)).all() == []
    assert detail == {"system": "dual_use", "how": "ekey"}


@pytest.mark.requirement("R62")
def test_who_signed_in_by_the_key_just_now_is_not_asked_again(held: World) -> None:
    person = Holder(held.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(held.card)
    press(person)
    assert is_open(held)


@pytest.mark.requirement("R62")
@pytest.mark.parametrize("why", ["late", "foreign", "revoked", "unbound", "nobody", "password"])
def test_a_key_that_does_not_count_opens_nothing(held: World, why: str) -> None:
    person = Holder(held.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(held.card)
    (row,) = held.sessions()
    with held.app.app_context(), transaction():
        other = people.account(people.firm(session.get_one(Account, held.account_id)), [f"{CODE}-other"])
        people.key(other, ["dual_use"], "EK00000000000001")
        mine = session.get_one(Session, row.id)
        if why == "foreign":
            mine.ekey_serial = "EK00000000000001"
        elif why == "revoked":
            session.get_one(EKey, SERIAL).status = "revoked"
        elif why == "unbound":
            session.delete(session.get_one(AccountKey, SERIAL))
        elif why == "nobody":
            mine.ekey_serial = None
        elif why == "password":
            mine.ekey_at = None
    if why == "late":
        held.clock.advance(minutes=10)
    with held.app.app_context(), transaction():
        assert not proof.by_key(held.account_id, row.id, "dual_use", held.clock.now(), held.clock.now().date())
        assert session.get(Entitlement, (held.account_id, "dual_use", "held")) is not None
        assert not proof.by_key(other.id, row.id, "dual_use", held.clock.now(), held.clock.now().date()), "a session of somebody else"


@pytest.mark.requirement("R62")
def test_without_any_way_the_page_says_whom_to_call(held: World) -> None:
    with held.app.app_context(), transaction():
        session.query(ImportedContact).delete()
        row = session.get_one(Account, held.account_id)
        people.approve(row, "mech_electrical")
        people.approve(row, "mech_electrical", "held")
        session.delete(session.get_one(AccountKey, SERIAL))
    person = come(held)
    person.open("/hall/licences/mech_electrical/proof")
    assert "没有登记可用的联系方式" in person.text
    assert "12335" in person.text
