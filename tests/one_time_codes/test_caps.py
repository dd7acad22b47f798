"""How many codes may leave: nobody is pestered, and nobody's bill is run up (threats G)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from idp import limits
from idp.audit import origin
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.limits import LimitWindow
from idp.one_time_codes import caps, codes
from idp.one_time_codes.codes import Sent, TooMany, Wait
from idp.outbox.models import OutboxItem
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import START

pytestmark = [pytest.mark.requirement("R58"), pytest.mark.usefixtures("context")]
HOUR_END = START + timedelta(hours=1)


def send(n: int = 0, channel: codes.Channel = "mobile", **more: Any) -> Sent | Wait | TooMany:
    with transaction():
        return codes.send("recovery", f"s{n}", channel, f"+861380013{n:04}", START, secret=SECRET, **more)


def to_one(n: int, **more: Any) -> Sent | Wait | TooMany:
    with transaction():
        return codes.send("recovery", f"one{n}", "mobile", "+8613900139000", START, secret=SECRET, **more)


def used(rule: str, key: str, count: int) -> None:
    """So many were there before."""
    with transaction():
        session.add(LimitWindow(rule=rule, key=key, ends_at=HOUR_END, count=count))


def count(rule: str) -> int:
    return session.scalar(select(func.coalesce(func.sum(LimitWindow.count), 0)).where(LimitWindow.rule == rule)) or 0


def messages() -> int:
    return session.scalar(select(func.count()).select_from(OutboxItem)) or 0


@contextmanager
def coming_from(network: str) -> Iterator[None]:
    before = origin.current.set(origin.Origin(network=network))
    try:
        yield
    finally:
        origin.current.reset(before)


def test_a_network_has_so_many_in_an_hour_whether_they_leave_or_not(settings: Settings) -> None:
    used("codes.network.hour", "park", settings.codes_per_ip_hour - 2)
    with coming_from("park"):
        said = [send(1), send(2, deliver=False), send(3), send(4, deliver=False)]
    assert [type(each) for each in said] == [Sent, Sent, TooMany, TooMany]
    assert said[2] == TooMany(HOUR_END)
    with coming_from("elsewhere"):
        assert isinstance(send(3), Sent)


def test_an_account_has_so_many_a_day_wherever_they_go() -> None:
    said = [type(send(n, account_id=7)) for n in range(caps.PER_ACCOUNT.most + 1)]
    assert said == [Sent] * caps.PER_ACCOUNT.most + [TooMany]
    assert isinstance(send(99, account_id=8), Sent)


def test_all_together_have_so_many_in_an_hour_and_the_same_is_said_to_everybody(settings: Settings) -> None:
    used("codes.all.hour", "mobile", settings.codes_per_hour - 1)
    # what does not leave costs nothing, and uses nothing up
    assert [type(send(n, deliver=False)) for n in range(3)] == [Sent] * 3
    assert isinstance(send(10), Sent)
    assert send(11) == send(12, deliver=False) == TooMany(HOUR_END)
    assert isinstance(send(13, "email"), Sent)
    reasons = session.scalars(select(AuditEvent.detail["reason"].as_string()).where(AuditEvent.event == "code.refused")).all()
    assert reasons == ["too_many_in_all"] * 2


def test_what_is_refused_uses_up_nothing_else() -> None:
    with coming_from("park"):
        said = [type(to_one(n)) for n in range(9)]
    assert said == [Sent] * 5 + [TooMany] * 4
    assert (count("codes.network.hour"), count("codes.all.hour")) == (5, 5)


def test_one_number_in_many_accounts_is_not_pestered_and_the_pages_do_not_tell() -> None:
    most = caps.REACHING[0].most
    known = [to_one(n, budget=f"name{n // 5}") for n in range(most + 5)]
    assert [type(each) for each in known] == [Sent] * (most + 5)
    assert messages() == most
    # to whoever has proven who they are it is said
    assert to_one(99, account_id=7, proven=True) == TooMany(HOUR_END)


def test_names_that_nobody_has_keep_no_message_from_its_reader() -> None:
    for n in range(caps.REACHING[0].most + 5):
        to_one(n, budget=f"nobody{n // 5}", deliver=False)
    assert messages() == 0
    assert isinstance(to_one(99, budget="somebody"), Sent)
    assert messages() == 1


@pytest.mark.slow
@pytest.mark.store
def test_of_many_at_once_no_more_leave_than_there_is_room_for(app: Flask, settings: Settings) -> None:
    used("codes.all.hour", "mobile", settings.codes_per_hour - 3)
    gate, said = threading.Barrier(8), []

    def run(n: int) -> None:
        with app.app_context():
            gate.wait()
            said.append(type(send(n)))
            session.remove()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.rollback()
    assert (said.count(Sent), said.count(TooMany), messages()) == (3, 5, 3)
    assert limits.peek(limits.Rule("codes.all.hour", settings.codes_per_hour, 3600), "mobile", START).allowed is False
