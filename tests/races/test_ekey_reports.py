"""Two reports of one key at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.ekey import withdrawal
from idp.key_register.models import EKeyReport
from tests import people
from tests.fakes import START

FOLLOW = withdrawal.Follow(lambda _id, _now: None, lambda _row, _now: None)


@pytest.mark.store
@pytest.mark.slow
@pytest.mark.requirement("R68")
def test_two_reports_at_once_give_one_receipt(app: Flask) -> None:
    with app.app_context(), transaction():
        owner = people.account(people.enterprise(), [people.NAME])
        people.key(owner, ["export"], "EK76DA6FAE991C57")

    def report(_number: int) -> str:
        with app.app_context():
            try:
                with transaction():
                    return withdrawal.report("EK76DA6FAE991C57", "lost", "public", 15, FOLLOW, START, START.date()).number
            finally:
                session.remove()

    with ThreadPoolExecutor(6) as pool:
        numbers = set(pool.map(report, range(12)))
    with app.app_context():
        assert list(session.scalars(select(EKeyReport.number))) == list(numbers)
