import threading
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from idp.db import session, spend_once, transaction
from idp.enterprises.models import Enterprise
from idp.limits import Rule, peek, take
from idp.signin.models import SignInTransaction
from tests.fakes import START

THREADS = 8


def _transaction_row() -> SignInTransaction:
    return SignInTransaction(id="t", browser_digest="b", return_to="/", created_at=START, expires_at=START)


@pytest.mark.store
def test_of_eight_threads_one_spends(app: Flask) -> None:
    with app.app_context(), transaction() as s:
        s.add(_transaction_row())
    statement = update(SignInTransaction).where(SignInTransaction.id == "t", SignInTransaction.completed_at.is_(None)).values(completed_at=START)
    won: list[bool] = []
    gate = threading.Barrier(THREADS)

    def spend() -> None:
        with app.app_context():
            gate.wait()
            with transaction():
                result = spend_once(statement)
            won.append(result)

    threads = [threading.Thread(target=spend) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * (THREADS - 1) + [True]


@pytest.mark.store
def test_limit_counts_every_taker_once(app: Flask) -> None:
    rule = Rule("test", 5, 60)
    allowed: list[bool] = []

    def one() -> None:
        with app.app_context(), transaction():
            allowed.append(take(rule, "k", START).allowed)

    threads = [threading.Thread(target=one) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed.count(True) == rule.most
    with app.app_context():
        assert peek(rule, "k", START).count == THREADS
        assert peek(rule, "other", START).allowed


def test_a_write_outside_transaction_is_refused(context: Flask) -> None:
    session.add(Enterprise(code="0441987654321", name="x"))
    with pytest.raises(OperationalError, match="readonly"):
        session.commit()
    session.rollback()


def test_a_naive_datetime_never_reaches_the_database(context: Flask) -> None:
    row = _transaction_row()
    row.created_at = datetime(2026, 1, 1)  # noqa: DTZ001  # the fault under test
    with pytest.raises(Exception, match="naive"), transaction() as s:
        s.add(row)


@pytest.mark.store
def test_datetimes_come_back_aware_in_utc(context: Flask) -> None:
    with transaction() as s:
        s.add(_transaction_row())
    session.expire_all()
    row = session.get_one(SignInTransaction, "t")
    assert row.created_at == START
    assert row.created_at.tzinfo == UTC


def test_database_file_is_private(app: Flask) -> None:
    file = app.extensions["idp"].settings.data_dir / "idp.db"
    assert file.stat().st_mode & 0o777 == 0o600
