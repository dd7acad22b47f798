import threading
from datetime import datetime, timedelta

import pytest
from flask import Flask

from idp.accounts import lockout
from idp.accounts.lockout import Caller, Numbers
from idp.accounts.models import Account, KnownDevice
from idp.db import session, transaction
from tests import people
from tests.conftest import SECRET
from tests.fakes import START

NUMBERS = Numbers(tries=5, seconds=900, max_seconds=86400, account_tries=50)
HERE, ELSEWHERE = Caller("", "net-1"), Caller("", "net-2")


@pytest.fixture
def account(context: Flask) -> Account:
    with transaction():
        return people.beijing()


def fail(account: Account, caller: Caller = HERE, now: datetime = START, times: int = 1) -> datetime | None:
    end = None
    for _ in range(times):
        with transaction():
            subjects = lockout.subjects([account], people.NAME, SECRET)
            end = lockout.charge(subjects, caller, NUMBERS, now) or lockout.wrong(subjects, caller, NUMBERS, now)
    return end


@pytest.mark.requirement("R61")
def test_the_fifth_failure_locks_for_a_quarter_of_an_hour_then_doubles(account: Account) -> None:
    assert fail(account, times=4) is None
    assert fail(account) == START + timedelta(minutes=15)
    later = START + timedelta(minutes=15)
    assert fail(account, now=later, times=5) == later + timedelta(minutes=30)


def test_the_lock_never_grows_beyond_a_day(account: Account) -> None:
    now = START
    for _ in range(9):
        end = fail(account, now=now, times=5)
        assert end is not None
        longest, now = end - now, end
    assert longest == timedelta(days=1)


def test_while_locked_nothing_is_counted(account: Account) -> None:
    fail(account, times=5)
    for _ in range(3):
        assert fail(account, now=START + timedelta(minutes=14)) == START + timedelta(minutes=15)
    assert fail(account, now=START + timedelta(minutes=15)) is None


def test_a_rival_elsewhere_does_not_lock_the_firm_out(account: Account) -> None:
    fail(account, caller=ELSEWHERE, times=5)
    with transaction():
        assert lockout.locked_until([f"account:{account.id}"], HERE, START) is None


def test_fifty_from_everywhere_lock_unknown_devices_only(account: Account) -> None:
    known = Caller("device-digest", "net-3")
    with transaction():
        session.add(KnownDevice(account_id=account.id, device_digest="device-digest", seen_at=START))
    for network in range(10):
        fail(account, caller=Caller("", f"far-{network}"), times=5)
    with transaction():
        assert lockout.locked_until([f"account:{account.id}"], HERE, START) is not None
        assert lockout.locked_until([f"account:{account.id}"], known, START) is None
    assert fail(account, caller=known, times=5) is not None


def test_a_right_password_gives_its_try_back_but_resets_nothing(account: Account) -> None:
    fail(account, times=4)
    subjects = [f"account:{account.id}"]
    with transaction():
        assert lockout.charge(subjects, HERE, NUMBERS, START) is None
        lockout.right(subjects, HERE)
    assert fail(account) is not None


def test_a_completed_sign_in_starts_afresh(account: Account) -> None:
    fail(account, times=4)
    with transaction():
        lockout.forgive(account.id, Caller("device-digest", "net-1"), START)
    assert fail(account, times=4) is None


def test_failures_of_yesterday_are_forgotten(account: Account) -> None:
    fail(account, times=4)
    assert fail(account, now=START + timedelta(days=1), times=4) is None


def test_every_spelling_of_an_unknown_name_is_one_counter(context: Flask) -> None:
    spellings = ["0441987654321-NOBODY", "０４４１９８７６５４３２１－nobody", " 0441987654321—Nobody "]
    assert len({lockout.subjects([], spelling, SECRET)[0] for spelling in spellings}) == 1


@pytest.mark.slow
@pytest.mark.store
def test_fifty_guesses_at_once_look_at_five_passwords(app: Flask) -> None:
    with app.app_context(), transaction():
        account_id = people.beijing().id
    looked: list[bool] = []

    def guess() -> None:
        with app.app_context(), transaction():
            looked.append(lockout.charge([f"account:{account_id}"], HERE, NUMBERS, START) is None)

    threads = [threading.Thread(target=guess) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looked.count(True) == NUMBERS.tries
