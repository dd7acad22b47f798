import signal
import threading
from queue import Queue

import pytest
from flask import Flask
from sqlalchemy import select

from idp import worker
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import backchannel
from idp.outbox import queue
from idp.outbox.models import OutboxItem
from idp.worker import Deliveries, deliver
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
        assert len(queue.claim(START, 20, ["letter"])) == 1
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
                    claimed = queue.claim(START, 3, ["letter"])
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


def test_each_kind_is_claimed_apart(context: Flask) -> None:
    crowd()
    seen: list[dict[str, str]] = []
    assert deliver(context, {"letter": seen.append}) == 1
    assert seen == [{"to": "person"}]
    assert deliver(context, {"token": seen.append}) == 2


class Receivers:
    """Receivers of which some answer only when they are let; who was reached waits to be asked for."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.reached: Queue[str] = Queue()

    def __call__(self, payload: dict[str, str]) -> None:
        self.reached.put(payload["to"])
        if payload["to"].startswith("slow"):
            assert self.let.wait(10)

    def next(self, count: int = 1) -> list[str]:
        return sorted(self.reached.get(timeout=10) for _ in range(count))


def tell(*lanes: str) -> None:
    with transaction():
        for lane in lanes:
            queue.enqueue("token", {"to": lane}, START, lane=lane)


@pytest.mark.store
def test_who_is_slow_keeps_only_its_own_lane(context: Flask) -> None:
    receivers = Receivers()
    tell("slow", "slow", "quick")
    with Deliveries(context, {"token": receivers}, 4) as deliveries:
        try:
            assert deliveries.start() == 2
            assert receivers.next(2) == ["quick", "slow"]
            # what comes later does not wait for the batch before it, and a lane that is under way is left alone
            tell("quick", "other")
            claimed = deliveries.start()
            while claimed < 2:
                deliveries.wait(10)
                claimed += deliveries.start()
            assert set(receivers.next(2)) == {"quick", "other"}
            assert receivers.reached.empty()
        finally:
            receivers.let.set()
        while deliveries.wait(10):
            pass
        assert deliveries.start() == 1
    assert receivers.next() == ["slow"]
    assert tries_left(context) == []


def test_no_more_is_claimed_than_there_are_threads(context: Flask) -> None:
    receivers = Receivers()
    tell("slow1", "slow2", "slow3")
    with Deliveries(context, {"token": receivers}, 2) as deliveries:
        try:
            assert deliveries.start() == 2
            receivers.next(2)
            assert deliveries.start() == 0
            assert sorted(tries_left(context)) == [0, 1, 1]
        finally:
            receivers.let.set()


@pytest.mark.slow
@pytest.mark.store
def test_twenty_slow_receivers_of_logout_tokens_hold_up_nobody(context: Flask) -> None:
    receivers = Receivers()
    slow = [f"slow{n}" for n in range(20)]
    tell(*slow, "quick")
    with Deliveries(context, {"token": receivers}, worker.THREADS_OF[backchannel.LOGOUT_TOKEN]) as deliveries:
        try:
            assert deliveries.start() == 21
            assert receivers.next(21) == sorted([*slow, "quick"])
        finally:
            receivers.let.set()


def test_the_worker_keeps_every_kind_apart(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logo that takes its time holds up no logout token: `main` gives each kind threads of its own."""
    receivers, done = Receivers(), threading.Event()
    with app.app_context():
        tell("quick")
        with transaction():
            for n in range(20):
                queue.enqueue("picture", {"to": f"slow{n}"}, START, lane=f"slow{n}")

    def until_the_token_left(*_: object) -> int:
        while receivers.reached.get(timeout=10) != "quick":
            pass
        done.set()
        receivers.let.set()
        # the worker's own way to end
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(worker, "create_app", lambda: app)
    monkeypatch.setattr(worker, "handlers", lambda *_: {"picture": receivers, "token": receivers})
    monkeypatch.setattr(worker, "run_once", until_the_token_left)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        worker.main()
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert done.is_set()
