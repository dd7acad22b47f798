from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp.app import JOBS
from idp.db import session, transaction
from idp.limits import LimitWindow, Rule, take
from idp.sessions import lifecycle
from idp.sessions.models import Session, SessionClient
from idp.signin.models import SignInTransaction
from idp.worker import run_once
from tests import people
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


@pytest.mark.store
@pytest.mark.requirement("R77")
def test_sessions_are_dropped_a_day_after_their_end_and_never_before_they_are_ended(context: Flask, clock: FakeClock) -> None:
    with transaction():
        account = people.beijing()
        row, _ = lifecycle.start(account.id, account.epoch, {"password": START}, START, 3600)
        lifecycle.sid_for(row.id, "rp")
        later, _ = lifecycle.start(account.id, account.epoch, {"password": START}, START, 24 * 3600)
    kept = later.id
    for hours, left in ((1, 2), (24, 2), (1, 1)):
        clock.advance(hours=hours)
        assert run_once(context, JOBS) == 0
        assert (len(found := session.scalars(select(Session.id)).all()), kept in found) == (left, True)
        assert session.scalar(select(func.count()).select_from(SessionClient)) == left - 1
        session.rollback()


def test_a_job_that_fails_stops_no_other(context: Flask, clock: FakeClock) -> None:
    ran: list[datetime] = []

    def broken(_now: datetime) -> None:
        raise RuntimeError("planted")

    assert run_once(context, (broken, ran.append)) == 1
    assert ran == [START]
    clock.advance(seconds=1)
    assert run_once(context, (ran.append,)) == 0
    assert ran[1] == START + timedelta(seconds=1)
