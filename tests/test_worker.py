from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.app import JOBS
from idp.db import session, transaction
from idp.limits import LimitWindow, Rule, take
from idp.signin.models import SignInTransaction
from idp.worker import run_once
from tests.fakes import START, FakeClock


def _leave_something_behind() -> None:
    with transaction() as s:
        take(Rule("test", 5, 60), "k", START)
        s.add(SignInTransaction(id="t", browser_digest="b", return_to="/", created_at=START, expires_at=START))


def _left() -> tuple[int, int]:
    counts = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (LimitWindow, SignInTransaction)]
    session.rollback()
    return counts[0], counts[1]


@pytest.mark.store
def test_what_is_over_is_swept(context: Flask, clock: FakeClock) -> None:
    _leave_something_behind()
    assert run_once(context, JOBS) == 0
    assert _left() == (1, 1)
    clock.advance(days=1)
    assert run_once(context, JOBS) == 0
    assert _left() == (0, 0)


def test_a_job_that_fails_stops_no_other(context: Flask, clock: FakeClock) -> None:
    ran: list[datetime] = []

    def broken(_now: datetime) -> None:
        raise RuntimeError("planted")

    assert run_once(context, (broken, ran.append)) == 1
    assert ran == [START]
    clock.advance(seconds=1)
    assert run_once(context, (ran.append,)) == 0
    assert ran[1] == START + timedelta(seconds=1)
