"""A sign-in past the password acts on its account only while that is as it was when the password was typed (D15, R84)."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts.contacts import Contacts
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.ekey import certificate_road, step
from idp.ekey.refusal import Refused
from idp.ekey.views import life_cycle
from idp.entitlements import systems
from idp.key_register.models import EKeyReport
from idp.outbox.models import OutboxItem
from idp.sessions.lifecycle import Life
from idp.signin import change, code_step, contacts_step, finish, flow, proof_step, totp_step
from idp.signin.models import SignInTransaction
from tests import people
from tests.conftest import SECRET
from tests.fakes import START
from tests.people import NAME
from tests.person import Person

PASSWORD, SERIAL, TODAY = "Strong1Passw0rd", "EK76DA6FAE991C57", START.date()
SENDING = proof_step.Sending(SECRET, "zh_Hans_CN")
EKEY, PROOF, CODE = {"ekey_wanted": True}, {"proof_due": True}, {"code_due": "given", "code_channel": "mobile"}
ACTS: dict[str, tuple[dict[str, Any], Callable[[SignInTransaction], Any]]] = {
    "give": ({"contacts_due": True}, lambda row: contacts_step.given(row, Contacts("+8613900139000", None), START)),
    "put off": (PROOF, lambda row: contacts_step.put_off(row, START, people_days())),
    "arrive": (PROOF, lambda row: proof_step.arrive(row, SENDING, START)),
    "again": (PROOF, lambda row: proof_step.again(row, "mobile", SENDING, START)),
    "prove": (PROOF, lambda row: proof_step.judge(row, {"mobile": "123456"}, SENDING, START)),
    "change contacts": (PROOF, lambda row: proof_step.change(row, START)),
    "send a code": (CODE, lambda row: code_step.send(row, "mobile", SECRET, START)),
    "type a code": (CODE, lambda row: code_step.prove(row, "123456", SECRET, START)),
    "totp": ({"totp_on": True}, lambda row: totp_step.settle(row, "code", "123456", SECRET, START)),
    "password": ({"change_due": "weak"}, lambda row: change.commit(row, "hash", SECRET, START, lambda *_: None)),
    "challenge": (EKEY, lambda row: step.challenge(row, START, 60)),
    "key": (EKEY, lambda row: step.settle(row, Refused(1, "version"), START, TODAY)),
    "skip": (EKEY, lambda row: step.skip(row, START)),
    "choices": (EKEY, lambda row: step.choices(row, START, TODAY)),
    "choose": (EKEY, lambda row: step.choose(row, SERIAL, START, TODAY)),
    "owner": (EKEY | {"ekey_owner": NAME}, lambda row: step.for_owner(row, "b", START, 60)),
    "certificate": (EKEY, lambda row: certificate_road.settle(row, START, TODAY)),
}


def people_days() -> Any:
    return START - START.replace(day=1)


@pytest.fixture
def account_id(app: Flask) -> int:
    with app.app_context(), transaction():
        systems.load()
        row = people.account(people.enterprise(), [NAME], user_class=3)
        people.former(row, PASSWORD)
        people.key(row, ["export"], SERIAL)
        row.contacts_given_at, row.mobile, row.mobile_proven_at = START, "+8613800138000", START
        session.flush()
        return row.id


def end(account_id: int, how: str) -> None:
    row = session.get_one(Account, account_id)
    if how == "epoch":
        row.epoch += 1
    elif how == "disabled":
        row.status = "disabled"
    else:
        people.firm(row).status = "cancelled"


def begun(account_id: int, facts: dict[str, Any]) -> SignInTransaction:
    row = session.get_one(SignInTransaction, flow.begin("browser", flow.Caller("/hall"), START, 900))
    row.account_id = account_id
    flow.record(row, password_at=START.isoformat(), epoch=session.get_one(Account, account_id).epoch, **facts)
    return row


@pytest.mark.requirement("D15")
@pytest.mark.parametrize("how", ["epoch", "disabled", "cancelled"])
@pytest.mark.parametrize("act", ACTS)
def test_no_step_acts_on_an_account_that_has_changed(app: Flask, account_id: int, act: str, how: str) -> None:
    facts, run = ACTS[act]
    with app.app_context():
        with transaction():
            row = begun(account_id, facts)
            end(account_id, how)
        before = dict(row.facts)
        with pytest.raises(flow.Stale), transaction():
            run(row)
        assert session.get_one(SignInTransaction, row.id, populate_existing=True).facts == before
        assert session.scalars(select(OutboxItem)).all() == []


@pytest.mark.requirement("R68")
@pytest.mark.parametrize("how", ["epoch", "disabled"])
def test_a_key_is_not_reported_either(app: Flask, account_id: int, how: str) -> None:
    with app.test_request_context():
        with transaction():
            row = begun(account_id, {"report": "public"})
            end(account_id, how)
        with pytest.raises(flow.Stale):
            life_cycle._report(row, SERIAL, "lost")
        assert session.scalars(select(EKeyReport)).all() == []


@pytest.mark.parametrize("how", ["epoch", "disabled"])
def test_nobody_is_signed_in(app: Flask, account_id: int, how: str) -> None:
    with app.app_context(), transaction():
        row = begun(account_id, {})
        end(account_id, how)
        assert finish.finish(row, [], None, Life(60, 600), START, lambda *_: None) == "stale"


@pytest.mark.requirement("R84")
@pytest.mark.parametrize("how", ["epoch", "disabled"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_page_says_that_the_sign_in_is_over(app: Flask, account_id: int, how: str, method: str) -> None:
    person = Person(app)
    person.open("/keys/report")
    person.submit(username=NAME, password=PASSWORD)
    person.submit(channel="mobile", action="send")
    person.submit(code=person.read_code())
    assert person.at.endswith("/report")
    with app.app_context(), transaction():
        end(account_id, how)
    page = person.open(person.at) if method == "GET" else person.submit(serial=SERIAL, word="lost")
    assert (page.status_code, person.heading) == (410, "登录页面已过期")
    with app.app_context():
        assert session.scalars(select(EKeyReport)).all() == []
