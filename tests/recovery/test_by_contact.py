"""A forgotten password, by a contact (R30, R50, R58, R59; threats F and G)."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import lockout, totp
from idp.accounts.models import Account, FormerPassword, ImportedContact, PasswordFailures
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import systems
from idp.one_time_codes.models import OneTimeCode
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin.views.password import hasher
from idp.worker import deliver
from tests import people
from tests.conftest import SECRET
from tests.fakes import FakeClock, LetterBox
from tests.people import NAME
from tests.person import Person
from tests.races.test_signin import same_browser

PASSWORD, NEW = "Strong1Passw0rd", "Newer2Passw0rd"
MOBILE, TYPED, EMAIL = "+8613800138000", "138 0013 8000", "beijing@example.cn"


@dataclass
class World:
    """The platform, one account with a password of its own and both contacts proven."""

    app: Flask
    clock: FakeClock
    box: LetterBox
    account_id: int

    def write(self, change: Callable[[Account], object]) -> None:
        with self.app.app_context(), transaction():
            change(session.get_one(Account, self.account_id))

    def come(self, password: str = PASSWORD, name: str = NAME) -> Person:
        person = Person(self.app)
        person.type_password(name, password)
        return person

    def forgot(self, contact: str = TYPED, name: str = NAME) -> Person:
        """On the page of the code, whoever it is."""
        person = Person(self.app)
        person.open("/recover")
        person.submit(username=name, contact=contact)
        return person

    def tell(self) -> list[tuple[str, str]]:
        """What was sent since, (to, text)."""
        del self.box.texts[:], self.box.mails[:]
        runtime = self.app.extensions["idp"]
        deliver(self.app, handlers(runtime.adapters, runtime.settings, runtime.secret))
        return [*self.box.texts, *((mail[0], mail[-1]) for mail in self.box.mails)]

    def events(self, event: str) -> list[AuditEvent]:
        with self.app.app_context():
            return list(session.scalars(select(AuditEvent).where(AuditEvent.event == event)))

    def live(self) -> int:
        with self.app.app_context():
            return len(session.scalars(select(Session).where(Session.ended_at.is_(None))).all())


@pytest.fixture
def world(app: Flask, clock: FakeClock, letter_box: LetterBox) -> World:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            row = people.account(people.enterprise(), [NAME, "beijing"])
            row.password_hash, row.contacts_given_at = made, clock.now()
            row.mobile, row.mobile_proven_at, row.email, row.email_proven_at = MOBILE, clock.now(), EMAIL, clock.now()
            session.flush()
            account_id = row.id
    return World(app, clock, letter_box, account_id)


@pytest.fixture
def stock(world: World) -> World:
    """An old user who never came: two imported contacts, an old password, none of its own."""

    def change(account: Account) -> None:
        account.password_hash = account.mobile = account.mobile_proven_at = account.email = account.email_proven_at = account.contacts_given_at = None
        people.former(account, "import-old-8")
        for kind, value, enabled in (("mobile", MOBILE, True), ("email", EMAIL, True), ("mobile", "+8613900139000", False)):
            session.add(ImportedContact(account_id=account.id, kind=kind, value=value, system="import", enabled=enabled))

    world.write(change)
    return world


def set_new(person: Person, password: str = NEW) -> None:
    assert person.at.endswith("/change"), person.text
    person.submit(new_password=password, confirm_password=password)


# --- the whole road -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R30")
@pytest.mark.requirement("R50")
@pytest.mark.requirement("R58")
@pytest.mark.parametrize(("contact", "to"), [(TYPED, MOBILE), ("Beijing@EXAMPLE.cn", EMAIL)])
def test_name_and_full_contact_and_a_code_set_a_new_password_and_sign_nobody_in(world: World, contact: str, to: str) -> None:
    there = world.come()
    assert there.at == "/hall"
    person = world.forgot(contact)
    assert person.at.endswith("/recover-code")
    person.submit(code=person.read_code("email" if to == EMAIL else "mobile"))
    set_new(person)
    assert person.at.endswith("/recovered"), person.text
    assert NAME in person.text
    # every session is over, and none has begun
    assert world.live() == 0
    assert there.open("/hall").request.path.startswith("/signin/")
    assert person.open("/hall").request.path.startswith("/signin/")
    assert world.come(PASSWORD).at.endswith("/password")
    assert world.come(NEW).at == "/hall"
    told = world.tell()
    assert {recipient for recipient, text in told if "找回密码重新设置" in text} == {MOBILE, EMAIL}
    assert [event.detail["reason"] for event in world.events("account.password.changed")] == ["recovered"]


@pytest.mark.requirement("R58")
def test_it_goes_on_where_the_sign_in_came_from(world: World) -> None:
    person = Person(world.app)
    person.open("/account/keys")
    [link] = re.findall(r'href="(/recover\?signin=[^"]+)"', person.text)
    person.open(link)
    person.submit(username=NAME, contact=EMAIL)
    person.submit(code=person.read_code("email"))
    set_new(person)
    assert 'href="/account/keys"' in person.text


@pytest.mark.requirement("R58")
def test_an_alias_recovers_as_well_and_old_locks_are_over(world: World) -> None:
    for _ in range(5):
        locked = world.come("wrong-Pass-1")
    assert "密码连续输错" in locked.text
    person = world.forgot(name="Beijing")
    person.submit(code=person.read_code())
    set_new(person)
    with world.app.app_context():
        assert session.query(PasswordFailures).filter_by(subject=f"account:{world.account_id}").count() == 0
    assert world.come(NEW).at == "/hall"


# --- nothing is told ------------------------------------------------------------------------------------------------------------------------


STRANGERS = {
    "unknown name": (TYPED, "0441987654321-nobody"),
    "another number": ("13700137000", NAME),
    "another mail": ("else@example.cn", NAME),
}


@pytest.mark.requirement("R58")
@pytest.mark.parametrize("who", STRANGERS)
def test_the_same_pages_whether_anything_fits(world: World, who: str) -> None:
    contact, name = STRANGERS[who]
    real = world.forgot(TYPED if "@" not in contact else EMAIL)
    other = world.forgot(contact, name)

    def shown(person: Person, typed: str) -> str:
        text = re.sub(r"[A-Za-z0-9._-]{20,}", "X", person.text)
        return text.replace(typed, "TO")

    def masked(person: Person) -> str:
        return next(re.finditer(r"\d{3}\*{4}\d{4}|[a-z]\*{3}@example\.cn", person.text))[0]

    for _ in range(7):
        assert shown(real, masked(real)) == shown(other, masked(other))
        assert real.page.status_code == other.page.status_code
        real.submit(code="000000")
        other.submit(code="000000")
    assert [to for to, _ in world.tell() if to not in (MOBILE, EMAIL)] == []
    # and the limits of codes are the same
    statuses = []
    for person in (real, other):
        seen = []
        for _ in range(6):
            world.clock.advance(seconds=61)
            action, fields = person.prepare()
            answer = person.client.post(action, data={"csrf_token": fields["csrf_token"], "action": "send"})
            seen.append((answer.status_code, "次数" in answer.get_data(as_text=True)))
        statuses.append(seen)
    assert statuses[0] == statuses[1]


@pytest.mark.requirement("R58")
def test_each_name_has_a_budget_of_its_own_whether_anybody_has_it(world: World) -> None:
    """Else whoever has used up the strangers' would see whose number it is."""
    names = [*(f"0441987654321-nobody{number}" for number in range(6)), NAME]
    assert {world.forgot(name=name).page.status_code for name in names} == {200}


@pytest.mark.requirement("R58")
@pytest.mark.parametrize("closed", ["disabled", "linked"])
def test_a_closed_account_gets_no_code_and_nothing_says_so(world: World, closed: str) -> None:
    world.write(lambda account: setattr(account, "status", closed))
    person = world.forgot()
    assert person.at.endswith("/recover-code")
    assert world.tell() == []


@pytest.mark.requirement("R58")
def test_a_contact_must_be_typed_in_full_and_a_captcha_is_spent(world: World) -> None:
    for typed, word in (("", "请填写手机号码或邮箱"), ("8000", "手机号码"), ("b@", "邮箱")):
        person = world.forgot(typed)
        assert (person.page.status_code, person.at.endswith("/recover"), word in person.text) == (422, True, True)
    person = Person(world.app)
    person.open("/recover")
    person.submit(username=NAME, contact=TYPED, captcha="00000")
    assert (person.page.status_code, world.tell()) == (422, [])
    person.submit(username="", contact=TYPED)
    assert "error" in person.text
    person.submit(username=NAME, contact=TYPED)
    assert person.at.endswith("/recover-code")


# --- the code -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R58")
def test_a_code_of_another_recovery_opens_nothing(world: World) -> None:
    first, second = world.forgot(), world.forgot(EMAIL)
    code, mails = first.read_code(), second.read_code("email")
    second.submit(code=code)
    first.submit(code=mails)
    assert first.at.endswith("/recover-code")
    assert second.at.endswith("/recover-code")
    second.submit(code=mails)
    assert second.at.endswith("/change")
    # the other one is over with the password that it would have replaced
    set_new(second)
    first.submit(code=code)
    assert not first.at.endswith("/change") or world.come(NEW).at == "/hall"
    assert first.open("/hall").request.path.startswith("/signin/")


@pytest.mark.requirement("R58")
def test_a_code_dies_after_ten_minutes_five_tries_or_a_newer_one(world: World) -> None:
    person = world.forgot()
    code = person.read_code()
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(5):
        person.submit(code=wrong)
    person.submit(code=code)
    assert (person.page.status_code, "已失效" in person.text) == (422, True)
    world.clock.advance(seconds=61)
    person.client.post(person.at, data={"csrf_token": person.form().fields["csrf_token"], "action": "send"})
    newer = person.read_code()
    world.clock.advance(minutes=10)
    person.submit(code=newer)
    assert person.page.status_code == 422


@pytest.mark.store
@pytest.mark.requirement("R58")
def test_of_many_at_once_one_code_counts_once(world: World) -> None:
    person = world.forgot()
    action, fields = person.prepare(code=person.read_code())
    dead_ends: list[str] = []
    tabs = [same_browser(person) for _ in range(8)]

    def once() -> None:
        answer = tabs.pop().client.post(action, data=fields)
        if not (answer.location or f'href="/signin/{action.split("/")[2]}"' in answer.text):
            dead_ends.append(answer.text)

    threads = [threading.Thread(target=once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with world.app.app_context():
        assert session.scalars(select(OneTimeCode.tries)).one() == 1
    assert len(world.events("code.accepted")) == 1
    assert dead_ends == []


@pytest.mark.requirement("R75")
def test_the_authenticator_app_is_still_asked_for(world: World) -> None:
    with world.app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(world.account_id, "b", SECRET, world.clock.now()) or "")
        totp.confirm(world.account_id, "b", device.at(world.clock.now()), SECRET, world.clock.now())
    world.clock.advance(minutes=2)
    person = world.forgot()
    person.submit(code=person.read_code())
    assert person.at.endswith("/totp")
    transaction_id = person.at.split("/")[2]
    assert person.open(f"/signin/{transaction_id}/change").request.path.endswith("/totp")
    person.submit(code=device.at(world.clock.now()))
    set_new(person)
    assert person.at.endswith("/recovered")


@pytest.mark.requirement("R55")
def test_the_new_password_is_judged_by_the_same_rules(world: World) -> None:
    person = world.forgot()
    person.submit(code=person.read_code())
    for bad in (PASSWORD, "short1A", "Password123", "0441987654321-beijingA1"):
        set_new(person, bad)
        assert (person.page.status_code, person.at.endswith("/change")) == (422, True), bad
    set_new(person)
    assert person.at.endswith("/recovered")


@pytest.mark.requirement("R84")
def test_the_old_browser_secret_has_nothing_of_what_was_proven(world: World) -> None:
    person = world.forgot()
    thief = same_browser(person)
    person.submit(code=person.read_code())
    transaction_id = person.at.split("/")[2]
    for step in ("change", "recovered", "recover-code", "password"):
        answer = thief.open(f"/signin/{transaction_id}/{step}")
        assert answer.status_code == 410, step
    thief.open("/recover")
    sent = {"csrf_token": thief.form().fields["csrf_token"], "username": NAME, "password": PASSWORD}
    assert thief.client.post(f"/signin/{transaction_id}/password", data=sent).status_code == 410
    set_new(person)
    assert person.at.endswith("/recovered")


@pytest.mark.requirement("R58")
def test_what_changed_between_the_pages_ends_it(world: World) -> None:
    person = world.forgot()
    person.submit(code=person.read_code())
    world.write(lambda account: setattr(account, "epoch", account.epoch + 1))
    person.submit(new_password=NEW, confirm_password=NEW)
    assert (person.page.status_code, world.come(PASSWORD).at) == (410, "/hall")


@pytest.mark.requirement("R58")
def test_another_contact_may_be_typed_instead(world: World) -> None:
    person = world.forgot("13700137000")
    person.client.post(person.at, data={"csrf_token": person.form().fields["csrf_token"], "action": "anew"})
    person.open("/signin/" + person.at.split("/")[2])
    assert person.at.endswith("/recover")
    person.submit(username=NAME, contact=EMAIL)
    person.submit(code=person.read_code("email"))
    assert person.at.endswith("/change")


# --- contacts that only an old system had ---------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R59")
def test_an_imported_contact_needs_a_second_one_and_counts_afterwards(stock: World) -> None:
    person = stock.forgot()
    person.submit(code=person.read_code())
    assert person.at.endswith("/recover-second"), person.text
    assert "b***@example.cn" in person.text
    assert "139****9000" not in person.text, "a disabled row's contact"
    # nothing leads past it
    transaction_id = person.at.split("/")[2]
    assert person.open(f"/signin/{transaction_id}/change").request.path.endswith("/recover-second")
    fields = person.form().fields
    person.page = person.client.post(person.at, data={"csrf_token": fields["csrf_token"], "action": "send", "contact": "0"})
    person.submit(code=person.read_code("email"))
    set_new(person)
    assert person.at.endswith("/recovered")
    with stock.app.app_context():
        account = session.get_one(Account, stock.account_id)
        assert (account.mobile, account.mobile_proven_at, account.email) == (MOBILE, stock.clock.now(), None)
        assert session.scalars(select(FormerPassword)).all() == []
    # R62: all of the old contacts are told
    assert {to for to, text in stock.tell() if "原密码失效" in text} == {MOBILE, EMAIL, "+8613900139000"}
    assert stock.come("import-old-8").at.endswith("/password")


@pytest.mark.requirement("R59")
@pytest.mark.parametrize("contact", ["+8613900139000", "else@example.cn"])
def test_a_disabled_rows_contact_gets_nothing(stock: World, contact: str) -> None:
    assert stock.forgot(contact).at.endswith("/recover-code")
    assert stock.tell() == []


@pytest.mark.requirement("R57")
@pytest.mark.requirement("R59")
def test_where_something_is_proven_no_imported_contact_recovers(stock: World) -> None:
    def prove(account: Account) -> None:
        account.email, account.email_proven_at = "new@example.cn", stock.clock.now()

    stock.write(prove)
    assert stock.forgot().at.endswith("/recover-code")
    assert stock.tell() == []
    person = stock.forgot("new@example.cn")
    person.submit(code=person.read_code("email"))
    assert person.at.endswith("/change")


@pytest.mark.requirement("R59")
def test_the_second_code_goes_to_the_listed_contacts_alone(stock: World) -> None:
    person = stock.forgot()
    person.submit(code=person.read_code())
    token = person.form().fields["csrf_token"]
    for number in ("1", "-1", "99999", "x", "²", ""):
        answer = person.client.post(person.at, data={"csrf_token": token, "action": "send", "contact": number})
        assert answer.status_code == 422, number
    answer = person.client.post(person.at, data={"csrf_token": token, "code": "123456"})
    assert answer.status_code == 422


@pytest.mark.requirement("D9")
def test_a_name_of_several_with_one_contact_asks_whose(world: World) -> None:
    with world.app.app_context(), transaction():
        other = people.account(people.enterprise("0100987654321"), ["0100987654321-x", "beijing"])
        other.mobile, other.mobile_proven_at = MOBILE, world.clock.now()
        session.flush()
        meant = other.id
    person = world.forgot(name="beijing")
    person.submit(code=person.read_code())
    assert person.at.endswith("/choose"), person.text
    person.submit(choice=str(meant))
    set_new(person)
    assert "0100987654321-x" in person.text
    assert world.come(PASSWORD).at == "/hall", "the first one is as it was"


def test_lockout_afresh_forgets_only_its_account(world: World) -> None:
    with world.app.app_context(), transaction():
        for subject in (f"account:{world.account_id}", "account:99"):
            session.add(PasswordFailures(subject=subject, scope="all", last_at=world.clock.now()))
        session.flush()
        lockout.afresh(world.account_id)
    with world.app.app_context():
        assert session.scalars(select(PasswordFailures.subject)).all() == ["account:99"]


@pytest.mark.requirement("R59")
def test_a_proven_number_that_cannot_be_reached_now_gives_imported_contacts_no_say(stock: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stock.write(lambda account: setattr(account, "mobile_proven_at", stock.clock.now()))
    monkeypatch.setattr(Settings, "code_channels", ("email",))
    assert stock.forgot(EMAIL).at.endswith("/recover-code")
    assert stock.tell() == []


@pytest.mark.requirement("R75")
def test_an_app_that_is_switched_on_meanwhile_was_asked_for_nowhere(world: World) -> None:
    person = world.forgot()
    person.submit(code=person.read_code())
    with world.app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(world.account_id, "b", SECRET, world.clock.now()) or "")
        totp.confirm(world.account_id, "b", device.at(world.clock.now()), SECRET, world.clock.now())
    person.submit(new_password=NEW, confirm_password=NEW)
    assert (person.page.status_code, world.come(NEW).at.endswith("/password")) == (410, True)
