"""Changing a contact (R57): proofs, 72 hours, objections; who is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import contact_changes, totp
from idp.accounts.contact_models import ContactChange
from idp.accounts.models import Account
from idp.app import JOBS, handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.entitlements import systems
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin.views.password import hasher
from idp.worker import deliver, run_once
from tests import people
from tests.conftest import SECRET
from tests.fakes import FakeClock, LetterBox
from tests.people import NAME
from tests.person import Person

PASSWORD, MOBILE, EMAIL, NEWER = "Strong1Passw0rd", "+8613800138000", "beijing@example.cn", "+8613900139000"


@dataclass
class World:
    app: Flask
    clock: FakeClock
    box: LetterBox
    account_id: int

    def come(self) -> Person:
        person = Person(self.app)
        person.type_password(NAME, PASSWORD)
        return person

    def changing(self, value: str = "13900139000", kind: str = "mobile") -> Person:
        """At the page of a change, a code under way to the new contact."""
        person = self.come()
        person.open("/account/contacts")
        sent = {"csrf_token": person.form().fields["csrf_token"], "kind": kind, kind: value}
        person.page = person.client.post("/account/contacts", data=sent, follow_redirects=True)
        return person

    def act(self, person: Person, **typed: str) -> None:
        sent = {"csrf_token": person.form().fields["csrf_token"], **typed}
        person.page = person.client.post(person.at, data=sent, follow_redirects=True)

    def proven(self) -> Person:
        """The new contact is proven, and nothing beside the password."""
        person = self.changing()
        self.act(person, action="new", code=person.read_code())
        return person

    def write(self, change: Callable[[Account], object]) -> None:
        with self.app.app_context(), transaction():
            change(session.get_one(Account, self.account_id))

    def mobile(self) -> str | None:
        with self.app.app_context():
            account = session.get_one(Account, self.account_id)
            return account.mobile if account.mobile_proven_at else None

    def tell(self) -> list[tuple[str, str]]:
        del self.box.texts[:], self.box.mails[:]
        runtime = self.app.extensions["idp"]
        deliver(self.app, handlers(runtime.adapters, runtime.settings, runtime.secret))
        return [*self.box.texts, *((mail[0], mail[-1]) for mail in self.box.mails)]

    def by(self) -> list[str]:
        with self.app.app_context():
            found = session.scalars(select(AuditEvent.detail).where(AuditEvent.event == "account.contact.changed"))
            return [detail["by"] for detail in found]


@pytest.fixture
def world(app: Flask, clock: FakeClock, letter_box: LetterBox) -> World:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            row = people.account(people.enterprise(), [NAME])
            row.password_hash, row.contacts_given_at = made, clock.now()
            row.mobile, row.mobile_proven_at, row.email, row.email_proven_at = MOBILE, clock.now(), EMAIL, clock.now()
            session.flush()
            account_id = row.id
    return World(app, clock, letter_box, account_id)


@pytest.mark.store
@pytest.mark.requirement("R57")
def test_a_code_to_the_new_and_one_to_the_other_contact_change_it_and_the_old_one_is_told(world: World) -> None:
    person = world.changing()
    assert "139****9000" in person.text
    world.act(person, action="new", code="000000")
    assert (person.page.status_code, world.mobile()) == (422, MOBILE)
    world.act(person, action="new", code=person.read_code())
    assert ("b***@example.cn" in person.text, world.mobile()) == (True, MOBILE)
    world.act(person, action="send_other")
    code = person.read_code("email")
    world.act(person, action="other", other_code=f"{(int(code) + 1) % 10**6:06}")
    assert (person.page.status_code, world.mobile()) == (422, MOBILE)
    world.act(person, action="other", other_code=code)
    assert (person.at, world.mobile(), world.by()) == ("/account/contacts", NEWER, ["code"])
    assert {to for to, text in world.tell() if "的手机号码已更换为 139****9000" in text} == {MOBILE, NEWER, EMAIL}


@pytest.mark.requirement("R57")
@pytest.mark.parametrize("factor", ["totp_at", "ekey_at"])
def test_a_second_factor_in_this_session_lately_is_enough(world: World, factor: str) -> None:
    person = world.changing()
    with world.app.app_context(), transaction():
        [row] = session.scalars(select(Session))
        setattr(row, factor, world.clock.now())
    world.act(person, action="new", code=person.read_code())
    assert (person.at, world.mobile(), world.by()) == ("/account/contacts", NEWER, [factor.removesuffix("_at")])


@pytest.mark.requirement("R57")
def test_a_second_factor_of_long_ago_is_none(world: World) -> None:
    person = world.changing()
    with world.app.app_context(), transaction():
        [row] = session.scalars(select(Session))
        row.ekey_at = world.clock.now() - timedelta(minutes=10)
    world.act(person, action="new", code=person.read_code())
    assert world.mobile() == MOBILE


@pytest.mark.store
@pytest.mark.requirement("R57")
def test_with_nothing_else_it_counts_after_72_hours_and_every_contact_is_told(world: World) -> None:
    person = world.proven()
    world.tell()
    world.act(person, action="wait")
    assert (person.at, "139****9000" in person.text, world.mobile()) == ("/account/contacts", True, MOBILE)
    told = world.tell()
    assert {to for to, _ in told} == {MOBILE, EMAIL}
    assert all("/contacts/stop/" in text for _, text in told)
    world.clock.advance(hours=71, minutes=59)
    run_once(world.app, JOBS)
    assert world.mobile() == MOBILE
    world.clock.advance(minutes=1)
    run_once(world.app, JOBS)
    assert (world.mobile(), world.by()) == (NEWER, ["wait"])
    run_once(world.app, JOBS)
    assert world.by() == ["wait"]


@pytest.mark.requirement("R57")
@pytest.mark.parametrize("road", ["link", "page"])
def test_an_objection_stops_it_for_good(world: World, road: str) -> None:
    person = world.proven()
    world.tell()
    world.act(person, action="wait")
    [link] = {found for _, text in world.tell() for found in re.findall(r"/contacts/stop/[0-9]+/[0-9a-f]+", text)}
    if road == "link":
        other = Person(world.app)
        other.open(link)
        assert (other.page.status_code, world.tell()) == (200, [])
        assert other.client.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 404
        other.submit()
        assert "已停止更换" in other.text
        assert other.open(link).status_code == 404
    else:
        person.client.post(link.rpartition("/")[0].replace("/contacts/stop", "/account/contacts"), data={**person.form().fields, "action": "stop"})
    assert {to for to, text in world.tell() if "更换已停止" in text} == {MOBILE, EMAIL}
    world.clock.advance(hours=80)
    run_once(world.app, JOBS)
    assert (world.mobile(), world.by()) == (MOBILE, [])


@pytest.mark.requirement("R57")
@pytest.mark.requirement("R59")
def test_who_has_no_proven_contact_at_all_needs_only_the_code(world: World) -> None:
    def forget(account: Account) -> None:
        account.mobile_proven_at = account.email_proven_at = None
        account.contacts_put_off_at = world.clock.now()

    world.write(forget)
    person = Person(world.app)
    person.type_password(NAME, PASSWORD)
    if person.at != "/hall":
        person.client.post(person.at, data={**person.form().fields, "action": "later"})
    person.open("/account/contacts")
    sent = {"csrf_token": person.form().fields["csrf_token"], "kind": "mobile", "mobile": "13900139000"}
    person.page = person.client.post("/account/contacts", data=sent, follow_redirects=True)
    world.act(person, action="new", code=person.read_code())
    assert (world.mobile(), world.by()) == (NEWER, ["first"])


@pytest.mark.requirement("R75")
def test_the_password_is_asked_for_again_after_ten_minutes_and_the_app_where_there_is_one(world: World) -> None:
    person = world.come()
    world.clock.advance(minutes=11)
    assert person.open("/account/contacts").request.path.endswith("/password")
    with world.app.app_context(), transaction():
        device = pyotp.TOTP(totp.begin(world.account_id, "b", SECRET, world.clock.now()) or "")
        totp.confirm(world.account_id, "b", device.at(world.clock.now()), SECRET, world.clock.now())
    person.submit(username=NAME, password=PASSWORD)
    assert person.at.endswith("/totp")


@pytest.mark.requirement("R57")
@pytest.mark.parametrize(
    ("kind", "typed"), [("mobile", "12"), ("email", "x@"), ("email", "a@example.cn,b@example.cn"), ("mobile", ""), ("mobile", MOBILE)]
)
def test_what_is_no_contact_or_the_same_one_is_refused(world: World, kind: str, typed: str) -> None:
    person = world.changing(typed, kind)
    assert (person.page.status_code, world.tell()) == (422, [])


@pytest.mark.requirement("R57")
def test_another_persons_change_is_nobody_elses_and_an_old_one_is_over(world: World) -> None:
    person = world.changing()
    with world.app.app_context(), transaction():
        [change] = session.scalars(select(ContactChange))
        number = change.id
        stranger = people.account(people.enterprise("0100987654321"), ["0100987654321-x"])
        session.flush()
        assert contact_changes.find(stranger.id, number, world.clock.now()) is None
    code, token = person.read_code(), person.form().fields["csrf_token"]
    world.clock.advance(minutes=61)
    person = world.come()
    answer = person.client.post(f"/account/contacts/{number}", data={"csrf_token": token, "action": "new", "code": code})
    assert (answer.status_code, world.mobile()) != (200, NEWER)
    for path in ("/account/contacts/99999999999999999999", "/contacts/stop/99999999999999999999/x", "/contacts/stop/1/x"):
        assert person.client.get(path).status_code in (303, 404), path


@pytest.mark.requirement("R57")
def test_a_newer_change_of_the_same_contact_ends_the_older(world: World) -> None:
    person = world.proven()
    world.act(person, action="wait")
    world.clock.advance(seconds=61)
    world.changing("13700137000")
    world.clock.advance(hours=80)
    run_once(world.app, JOBS)
    assert world.mobile() == MOBILE
    with world.app.app_context():
        assert session.scalars(select(ContactChange.outcome).order_by(ContactChange.id)).all() == ["replaced", None]


@pytest.mark.requirement("R57")
def test_the_second_proof_alone_changes_nothing_and_lasts_ten_minutes(world: World) -> None:
    person = world.changing()
    path = person.at
    world.act(person, action="send_other")
    world.act(person, action="other", other_code=person.read_code("email"))
    assert (person.at, world.mobile()) == (path, MOBILE)
    world.clock.advance(minutes=11)
    person = world.come()
    person.open(path)
    world.act(person, action="send")
    world.act(person, action="new", code=person.read_code())
    assert (person.at, world.mobile()) == (path, MOBILE)


@pytest.mark.requirement("R57")
def test_a_proven_number_that_cannot_be_reached_now_still_asks_for_more_than_the_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(lambda account: setattr(account, "email_proven_at", None))
    monkeypatch.setattr(Settings, "code_channels", ("email",))
    person = world.changing("new@example.cn", "email")
    world.act(person, action="new", code=person.read_code("email"))
    assert (person.at.startswith("/account/contacts/"), world.by()) == (True, [])
    assert "72 小时" in person.text
