"""The authenticator app: set up, proven, once each, throttled; recovery codes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts import totp
from idp.accounts.models import Account
from idp.accounts.totp_models import AccountTotp, RecoveryCode
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.errors import Refusal
from tests import people
from tests.conftest import SECRET
from tests.fakes import START


@pytest.fixture
def account(context: Flask) -> Account:
    with transaction():
        return people.account(people.enterprise(), [people.NAME])


def switch_on(account_id: int, now: datetime = START) -> tuple[pyotp.TOTP, list[str]]:
    """As the page does it; the app, and the recovery codes."""
    with transaction():
        app = pyotp.TOTP(totp.begin(account_id, 1, SECRET, now) or "")
        codes = totp.confirm(account_id, 1, app.at(now), SECRET, now)
    assert isinstance(codes, list)
    return app, codes


def prove(account_id: int, typed: str, now: datetime) -> str | None:
    with transaction():
        refusal = totp.prove(account_id, typed, SECRET, now)
    return refusal.code if refusal else None


def recover(account_id: int, typed: str, now: datetime = START) -> str | None:
    with transaction():
        refusal = totp.prove_recovery(account_id, typed, SECRET, now)
    return refusal.code if refusal else None


@pytest.mark.store
@pytest.mark.requirement("R75")
def test_it_counts_once_confirmed(account: Account) -> None:
    with transaction():
        plain = totp.begin(account.id, 1, SECRET, START) or ""
    app = pyotp.TOTP(plain)
    assert not totp.is_on(account.id)
    assert prove(account.id, app.at(START), START) == "totp_off"
    with transaction():
        assert totp.begin(account.id, 1, SECRET, START) == plain, "a page that is shown again shows the same"
        assert totp.confirm(account.id, 2, app.at(START), SECRET, START) == Refusal("totp_elsewhere", "code"), "another session"
        assert isinstance(totp.confirm(account.id, 1, app.at(START), SECRET, START), list)
    assert totp.is_on(account.id)
    with transaction():
        assert totp.begin(account.id, 1, SECRET, START) is None
    row = session.scalars(select(AccountTotp)).one()
    assert plain not in row.sealed_secret


def test_another_session_begins_anew(account: Account) -> None:
    with transaction():
        first, second = totp.begin(account.id, 1, SECRET, START), totp.begin(account.id, 2, SECRET, START)
    assert first != second
    with transaction():
        assert totp.begin(account.id, 2, SECRET, START) == second
        assert totp.begin(account.id, 1, SECRET, START) not in (first, second), "what was void stays so"


@pytest.mark.spec("RFC 6238", "5.2")
@pytest.mark.parametrize(("seconds", "answer"), [(-31, "totp_wrong"), (-30, None), (0, None), (30, None), (60, "totp_wrong")])
def test_one_step_before_and_after_counts(account: Account, seconds: int, answer: str | None) -> None:
    app, _ = switch_on(account.id)
    later = START + timedelta(minutes=10)
    assert prove(account.id, app.at(later + timedelta(seconds=seconds)), later) == answer


@pytest.mark.spec("RFC 6238", "5.2")
def test_a_code_counts_once_and_none_before_it(account: Account) -> None:
    app, _ = switch_on(account.id)
    assert prove(account.id, app.at(START), START) == "totp_wrong", "the one that confirmed it is spent"
    later = START + timedelta(minutes=10)
    assert prove(account.id, app.at(later), later) is None
    assert prove(account.id, app.at(later), later) == "totp_wrong"
    assert prove(account.id, app.at(later - timedelta(seconds=30)), later) == "totp_wrong"
    assert prove(account.id, app.at(later + timedelta(seconds=30)), later) is None


@pytest.mark.store
def test_the_same_code_twice_at_once_is_right_once(app: Flask) -> None:
    with app.app_context():
        with transaction():
            account_id = people.account(people.enterprise(), [people.NAME]).id
        device, _ = switch_on(account_id)
    later = START + timedelta(minutes=10)

    def attempt(_: int) -> str | None:
        with app.app_context():
            return prove(account_id, device.at(later), later)

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(attempt, range(5)))
    assert sorted(str(answer) for answer in answers) == ["None", *["totp_wrong"] * 4]


def test_full_width_digits_and_blanks_count_and_nothing_else(account: Account) -> None:
    app, _ = switch_on(account.id)
    later = START + timedelta(minutes=10)
    wide = app.at(later).translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)})
    assert prove(account.id, f" {wide[:3]} {wide[3:]} ", later) is None
    assert prove(account.id, "", later) == "totp_wrong"
    assert prove(account.id, "1" * 100_000, later) == "totp_wrong"
    assert prove(account.id, "٣٣٣٣٣٣", later) == "totp_wrong"


def test_guesses_are_limited_and_right_ones_cost_nothing(account: Account) -> None:
    app, codes = switch_on(account.id)
    at = START + timedelta(minutes=15)
    for _ in range(20):
        assert prove(account.id, app.at(at), at) is None
        at += timedelta(seconds=30)
    at = datetime.fromtimestamp(-(-at.timestamp() // 900) * 900, START.tzinfo)
    for _ in range(5):
        assert prove(account.id, "000000", at) == "totp_wrong"
    assert prove(account.id, app.at(at), at) == "totp_too_many", "the right one is not looked at"
    assert recover(account.id, codes[0], at) is None, "whoever guesses bars no recovery code"
    at += timedelta(minutes=15)
    assert prove(account.id, app.at(at), at) is None


def test_guesses_are_limited_over_the_day(account: Account) -> None:
    app, _ = switch_on(account.id)
    at = START + timedelta(hours=1)
    wrong = 0
    for _ in range(10):
        wrong += sum(prove(account.id, "000000", at) == "totp_wrong" for _ in range(5))
        at += timedelta(minutes=15)
    assert wrong == 20
    assert prove(account.id, app.at(at), at) == "totp_too_many"


@pytest.mark.store
def test_recovery_codes_count_once_each_and_are_kept_as_digests(account: Account) -> None:
    _, codes = switch_on(account.id)
    assert len(set(codes)) == 10
    stored = session.scalars(select(RecoveryCode.digest)).all()
    assert not any(code.replace(" ", "") in digest for code in codes for digest in stored)
    assert recover(account.id, codes[0]) is None
    assert recover(account.id, codes[0]) == "recovery_wrong"
    assert recover(account.id, codes[1].replace(" ", "-").lower()) is None
    state = totp.state(account.id)
    assert state is not None
    assert (state.since, state.codes_left) == (START, 8)
    with transaction():
        others = totp.new_recovery_codes(account.id, SECRET, START)
    assert others is not None
    assert recover(account.id, codes[2]) == "recovery_wrong"
    assert recover(account.id, others[2]) is None


def test_recovery_codes_are_one_account_s(account: Account) -> None:
    _, codes = switch_on(account.id)
    with transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"])
    switch_on(other.id)
    assert recover(other.id, codes[0]) == "recovery_wrong"


def test_guessing_recovery_codes_is_limited(account: Account) -> None:
    _, codes = switch_on(account.id)
    assert [recover(account.id, "A" * 16) for _ in range(6)] == ["recovery_wrong"] * 5 + ["totp_too_many"]
    assert recover(account.id, codes[0]) == "totp_too_many"
    assert recover(account.id, "A" * 100_000, START + timedelta(hours=1)) == "recovery_wrong"


def test_switched_off_nothing_counts(account: Account) -> None:
    app, codes = switch_on(account.id)
    with transaction():
        assert totp.switch_off(account.id, START)
        assert not totp.switch_off(account.id, START)
    later = START + timedelta(minutes=10)
    assert (prove(account.id, app.at(later), later), recover(account.id, codes[0])) == ("totp_off", "totp_off")
    assert not totp.is_on(account.id)
    events = session.scalars(select(AuditEvent.event).where(AuditEvent.event.like("account.totp.%"))).all()
    assert events == ["account.totp.on", "account.totp.off"]


def test_what_the_app_reads(account: Account) -> None:
    text = totp.uri("ABCDEFGH" * 4, people.NAME, "许可证统一管理平台")
    assert text.startswith("otpauth://totp/")
    picture = totp.picture(text)
    assert picture.startswith("<svg")
    assert "style" not in picture
