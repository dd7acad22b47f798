import threading

import pytest
from flask import Flask
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.outbox import queue
from idp.outbox.models import OutboxItem
from idp.worker import deliver
from tests.fakes import START, FakeClock

ITEMS = 40


@pytest.fixture
def one(context: Flask) -> None:
    with transaction():
        queue.enqueue("letter", {"n": 1}, START)


def tries_left(context: Flask) -> list[int]:
    found = list(session.scalars(select(OutboxItem.tries)))
    session.rollback()  # a snapshot that stayed open would never see what the worker does
    return found


def test_delivered_once_and_gone(one: None, context: Flask) -> None:
    seen: list[object] = []
    assert deliver(context, {"letter": seen.append}) == 1
    assert deliver(context, {"letter": seen.append}) == 0
    assert seen == [{"n": 1}]


def test_a_failure_waits_longer_each_time_and_is_given_up_with_a_record(one: None, context: Flask, clock: FakeClock) -> None:
    def fails(_payload: object) -> None:
        raise OSError("gateway down")

    waits = []
    while tries_left(context):
        began = clock.now()
        while not deliver(context, {"letter": fails}):
            clock.advance(seconds=30)
        waits.append((clock.now() - began).total_seconds())
    assert waits[:5] == [0, 30, 60, 120, 240]
    assert len(waits) == queue.MAX_TRIES
    assert session.scalars(select(AuditEvent.event)).all() == ["outbox.given_up"]


def test_a_rolled_back_change_sends_nothing(context: Flask) -> None:
    def change_then_fail() -> None:
        with transaction():
            queue.enqueue("letter", {}, START)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_then_fail()
    assert tries_left(context) == []


def test_a_worker_that_died_gives_its_item_back(one: None, context: Flask, clock: FakeClock) -> None:
    with transaction():
        assert len(queue.claim(START)) == 1
    seen: list[object] = []
    assert deliver(context, {"letter": seen.append}) == 0
    clock.advance(minutes=5)
    assert deliver(context, {"letter": seen.append}) == 1


@pytest.mark.slow
@pytest.mark.store
def test_two_workers_never_take_the_same_item(app: Flask) -> None:
    with app.app_context(), transaction():
        for n in range(ITEMS):
            queue.enqueue("letter", {"n": n}, START)
    taken: list[int] = []

    def work() -> None:
        with app.app_context():
            for _ in range(ITEMS):
                with transaction():
                    claimed = queue.claim(START, most=3)
                taken.extend(item.id for item in claimed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == ITEMS


def crowd() -> None:
    """Sixty items of a dead receiver, then one of a healthy one and a letter."""
    with transaction():
        for n in range(60):
            queue.enqueue("token", {"to": "dead", "n": n}, START, lane="dead")
        queue.enqueue("token", {"to": "healthy"}, START, lane="healthy")
        queue.enqueue("letter", {"to": "person"}, START)


@pytest.mark.store
def test_a_dead_receiver_holds_up_nobody_else(context: Flask, clock: FakeClock) -> None:
    crowd()
    tried: list[str] = []

    def handle(payload: dict[str, str]) -> None:
        tried.append(payload["to"])
        if payload["to"] == "dead":
            raise OSError("time")

    both = {"token": handle, "letter": handle}
    deliver(context, both)
    assert sorted(tried) == ["dead", "healthy", "person"]
    # the whole lane rests
    clock.advance(seconds=29)
    assert deliver(context, both) == 0
    clock.advance(seconds=1)
    assert deliver(context, both) == 1
    # not the same item again and again: one that is never taken stops no other
    assert sorted(tries_left(context)) == [0] * 58 + [1] * 2


def test_letters_and_tokens_are_claimed_apart(context: Flask) -> None:
    crowd()
    seen: list[dict[str, str]] = []
    both = {"token": seen.append, "letter": seen.append}
    assert deliver(context, both, laned=False) == 1
    assert seen == [{"to": "person"}]
    assert deliver(context, both, laned=True) == 2


def test_a_receiver_that_hangs_does_not_stop_the_batch(context: Flask) -> None:
    crowd()
    reached = threading.Event()

    def handle(payload: dict[str, str]) -> None:
        if payload["to"] == "dead":
            # waits for the healthy one, which was claimed after it
            assert reached.wait(5)
            raise OSError("time")
        reached.set()

    assert deliver(context, {"token": handle}, laned=True) == 2
    assert len(tries_left(context)) == 61
