from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts.models import Account
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey import binding, challenges
from idp.ekey.binding import Ambiguous, Bound
from idp.ekey.leaf import Identity
from idp.ekey.models import EKeyBinding, EKeyChallenge
from idp.ekey.refusal import Refused
from idp.key_register import reports
from idp.key_register.models import EKey
from idp.signin import flow
from idp.signin.flow import Caller
from idp.signin.models import SignInTransaction
from tests import people
from tests.fakes import START

SERIAL = "EK76DA6FAE991C57"
TODAY = date(2026, 3, 2)


def identity(serial: str = SERIAL, subject: str = "s", organisation: str = people.CODE) -> Identity:
    return Identity(people.NAME, serial, organisation, "i" * 64, subject * 64, "f" * 64, datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
def person(context: Flask) -> Account:
    with transaction():
        found = people.account(people.enterprise(), [people.NAME])
        people.key(found, ["export"], SERIAL)
    return found


def first_use(found: Identity, account: Account) -> Bound | Ambiguous | Refused:
    with transaction():
        return binding.bind_first_use(found, account.id, START, TODAY)


@pytest.mark.store
@pytest.mark.requirement("R20")
def test_the_first_use_binds_and_from_then_on_issuer_and_subject_find_the_key(person: Account) -> None:
    assert binding.find(identity(), TODAY) == Refused(7, "not_bound")
    assert first_use(identity(), person) == Bound(SERIAL, person.id)
    assert first_use(identity(), person) == Bound(SERIAL, person.id)
    assert binding.find(identity(), TODAY, person.id) == Bound(SERIAL, person.id)
    events = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.bound")).all()
    assert [(event.account_id, event.detail) for event in events] == [(person.id, {"serial": SERIAL})]


@pytest.mark.parametrize(
    "found",
    [identity(serial="", organisation=""), identity(serial="EK0000000000000A"), identity(organisation="0100123456785")],
    ids=["none", "other", "firm"],
)
def test_a_certificate_that_does_not_say_the_same_is_not_bound(person: Account, found: Identity) -> None:
    answer = first_use(found, person)
    assert isinstance(answer, Refused)
    assert answer.public == "ekey_not_bound"
    assert session.scalars(select(EKeyBinding)).all() == []


def test_two_live_keys_are_for_an_officer_but_a_dead_one_does_not_count(person: Account) -> None:
    with transaction():
        people.key(session.get_one(Account, person.id), ["export"], "EKFFFFFFFFFFFFFF")
    assert first_use(identity(), person) == Ambiguous((SERIAL,))
    with transaction():
        session.get_one(EKey, "EKFFFFFFFFFFFFFF").status = "revoked"
    assert first_use(identity(), person) == Bound(SERIAL, person.id)


OTHER = "EKFFFFFFFFFFFFFF"


@pytest.mark.requirement("R20")
@pytest.mark.parametrize(
    ("found", "serials"),
    [
        (identity(serial=""), (SERIAL, OTHER)),
        (identity(), (SERIAL,)),
        (identity(serial="", organisation=""), None),
        (identity(serial="", organisation="0100123456785"), None),
        (identity(serial="EK0000000000000A"), None),
    ],
    ids=["no serial", "serial", "no firm", "other firm", "other serial"],
)
def test_what_a_person_may_choose_from(person: Account, found: Identity, serials: tuple[str, ...] | None) -> None:
    with transaction():
        people.key(session.get_one(Account, person.id), ["export"], OTHER)
    answer = first_use(found, person)
    assert answer == (Ambiguous(serials) if serials else Refused(7, "not_bound", "first use"))
    with transaction():
        chosen = binding.bind_first_use(found, person.id, START, TODAY, OTHER)
    # never another key than the certificate names, and none of another firm
    assert isinstance(chosen, Bound) == (serials is not None and OTHER in serials)


def test_a_key_of_another_account_cannot_be_chosen(person: Account) -> None:
    with transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"])
        people.key(other, ["export"], OTHER)
        chosen = binding.bind_first_use(identity(serial=""), person.id, START, TODAY, OTHER)
    assert chosen == Ambiguous((SERIAL,))


def test_a_second_certificate_does_not_join_a_bound_key(person: Account) -> None:
    first_use(identity(), person)
    assert first_use(identity(subject="t"), person) == Refused(7, "not_bound", "first use")


def test_whose_key_it_is(person: Account) -> None:
    first_use(identity(), person)
    with transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"])
    assert binding.find(identity(), TODAY, other.id) == Refused(7, "bound_to_other", owner=people.NAME)
    assert first_use(identity(), other) == Refused(7, "bound_to_other", owner=people.NAME)
    assert binding.find(identity(serial="EK0000000000000A"), TODAY) == Refused(7, "serial_mismatch")


def _dates(key: EKey) -> None:
    key.expires = date(2026, 3, 1)


def _status(status: str) -> Callable[[EKey], None]:
    return lambda key: setattr(key, "status", status)


def _said(word: str) -> Callable[[EKey], object]:
    return lambda key: reports.say(key.serial, word, "command", None, START)


@pytest.mark.requirement("D15")
@pytest.mark.requirement("R68")
@pytest.mark.parametrize(
    ("change", "reason", "public"),
    [
        (_status("revoked"), "key_revoked", "ekey_revoked"),
        (_status("expired"), "key_expired", "ekey_expired"),
        (_dates, "key_expired", "ekey_expired_on"),
        (lambda key: setattr(key, "issued", date(2026, 3, 3)), "key_not_yet_valid", "ekey_not_yet_valid_on"),
        (lambda key: setattr(key.enterprise, "status", "cancelled"), "enterprise_cancelled", "ekey_unfit"),
        (_said("withdrawn"), "key_withdrawn", "ekey_revoked"),
        (_said("lost"), "key_lost", "ekey_lost"),
        (_said("damaged"), "key_damaged", "ekey_damaged"),
        (_said("replaced"), "key_replaced", "ekey_replaced"),
    ],
)
def test_only_a_live_key_counts(person: Account, change: Callable[[EKey], object], reason: str, public: str) -> None:
    first_use(identity(), person)
    with transaction():
        change(session.get_one(EKey, SERIAL))
    found = binding.find(identity(), TODAY)
    assert isinstance(found, Refused)
    assert (found.reason, found.public) == (reason, public)


def test_a_key_lasts_through_its_last_day(person: Account) -> None:
    first_use(identity(), person)
    with transaction():
        session.get_one(EKey, SERIAL).expires = TODAY
    assert binding.find(identity(), TODAY) == Bound(SERIAL, person.id)


# --- 0 --------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def signing_in(context: Flask) -> SignInTransaction:
    return _begin("browser")


def _begin(browser: str) -> SignInTransaction:
    with transaction():
        number = flow.begin(browser, Caller("/"), START, 1800)
    return session.get_one(SignInTransaction, number)


def _issue(row: SignInTransaction) -> str:
    with transaction():
        return challenges.issue(row, START, 120)


def _spend(nonce: str, row: SignInTransaction, after: float = 0) -> bool:
    with transaction():
        return challenges.spend(nonce, row, START + timedelta(seconds=after))


@pytest.mark.store
def test_a_challenge_counts_once(signing_in: SignInTransaction) -> None:
    nonce = _issue(signing_in)
    assert len(nonce) == challenges.NONCE_CHARACTERS
    assert [_spend(nonce, signing_in, 119.9), _spend(nonce, signing_in)] == [True, False]


def test_late_foreign_and_invented_challenges_do_not_count(signing_in: SignInTransaction) -> None:
    nonce, other = _issue(signing_in), _begin("another browser")
    assert not _spend(nonce, signing_in, 120)
    assert not _spend(nonce, other)
    assert not _spend(nonce, _begin("browser")), "another sign-in of the same browser"
    assert not any(_spend(invented, signing_in) for invented in ("", "x" * 44, nonce[:-1], nonce + "="))
    assert _spend(nonce, signing_in)


def test_a_challenge_dies_when_its_sign_in_goes_to_another_browser(signing_in: SignInTransaction) -> None:
    nonce = _issue(signing_in)
    with transaction():
        flow.hand_over(signing_in, "another browser")
    assert not _spend(nonce, signing_in)


def test_challenges_are_kept_as_digests_and_swept(signing_in: SignInTransaction) -> None:
    nonce = _issue(signing_in)
    row = session.scalars(select(EKeyChallenge)).one()
    assert nonce not in (row.digest, row.browser_digest)
    with transaction():
        challenges.sweep(START + timedelta(seconds=121))
    assert session.scalars(select(EKeyChallenge)).all() == []
