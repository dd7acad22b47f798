"""Enqueue in the caller's transaction · claim with a lease (SKIP LOCKED) · done, or back off and at last give up.

Items of one lane go to one receiver: one at a time from each worker process, and when it fails, the whole lane rests.
"""

import json
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import String, cast, delete, func, or_, select, tuple_, update

from idp.audit import catalogue as audit
from idp.db import session
from idp.outbox.models import OutboxItem

LEASE = timedelta(minutes=5)
FIRST_WAIT = timedelta(seconds=30)
MAX_TRIES = 10  # the last one about eight hours after the first

Handler = Callable[[dict[str, Any]], None]

# the key of the item that is delivered just now, the same at each try and no other item's: for receivers that must know a repeated one
delivering: ContextVar[str] = ContextVar("delivering", default="")


@dataclass(frozen=True)
class Claimed:
    """An item that this worker may deliver until the lease ends."""

    id: int
    kind: str
    lane: str | None
    payload: dict[str, Any]
    tries: int
    key: str


def enqueue(kind: str, payload: dict[str, Any], now: datetime, lane: str | None = None) -> None:
    """To be delivered once the caller's transaction has been committed, not before `now`. `lane`: a receiver that may fail for all its items."""
    session.add(OutboxItem(kind=kind, lane=lane, payload=payload, created_at=now, due_at=now))


def forget(kind: str, lane: str) -> None:
    """Drop what still waits for this receiver; what a worker has claimed goes its way (inside a transaction)."""
    waiting = delete(OutboxItem).where(OutboxItem.kind == kind, OutboxItem.lane == lane)
    session.execute(waiting, execution_options={"synchronize_session": False})


def claim(now: datetime, most: int, kinds: Collection[str], under_way: Collection[Claimed] = ()) -> list[Claimed]:
    """Take what is due of these kinds, one item a lane and none of a lane that is under way; another worker at once takes other items.

    A worker that dies gives its items back when the lease ends.
    """
    # within a lane the least tried comes first, so that one item that is never taken stops no other
    turn = func.row_number().over(
        partition_by=(OutboxItem.kind, OutboxItem.lane.is_(None), func.coalesce(OutboxItem.lane, cast(OutboxItem.id, String))),
        order_by=(OutboxItem.tries, OutboxItem.due_at, OutboxItem.id),
    )
    busy = [(item.kind, item.lane) for item in under_way if item.lane is not None]
    free = or_(OutboxItem.lane.is_(None), tuple_(OutboxItem.kind, OutboxItem.lane).not_in(busy))
    turns = select(OutboxItem.id, turn.label("turn")).where(OutboxItem.due_at <= now, OutboxItem.kind.in_(list(kinds)), free)
    first = turns.subquery()
    # `due_at` once more: PostgreSQL judges only this level again after another worker's commit
    due = select(OutboxItem).where(OutboxItem.due_at <= now, OutboxItem.id.in_(select(first.c.id).where(first.c.turn == 1)))
    rows = session.scalars(due.order_by(OutboxItem.due_at, OutboxItem.id).limit(most).with_for_update(skip_locked=True)).all()
    for row in rows:
        row.due_at, row.tries = now + LEASE, row.tries + 1
    return [Claimed(row.id, row.kind, row.lane, row.payload, row.tries, _key(row)) for row in rows]


def _key(row: OutboxItem) -> str:
    # a number may come again once its item is gone, but not at the same moment
    return sha256(f"{row.id}\n{row.created_at.isoformat()}\n{json.dumps(row.payload, sort_keys=True)}".encode()).hexdigest()[:32]


def delivered(item: Claimed) -> None:
    """It left the house."""
    session.execute(delete(OutboxItem).where(OutboxItem.id == item.id))


def failed(item: Claimed, now: datetime) -> None:
    """It did not: again after 30 s, 1 min, 2 min, …; after the tenth try it is given up with an audit event. Its lane rests 30 s."""
    if item.lane is not None:
        lane = (OutboxItem.kind == item.kind, OutboxItem.lane == item.lane, OutboxItem.due_at < now + FIRST_WAIT)
        session.execute(update(OutboxItem).where(*lane).values(due_at=now + FIRST_WAIT), execution_options={"synchronize_session": False})
    if item.tries >= MAX_TRIES:
        audit.outbox_given_up(now, kind=item.kind, item=item.id)
        delivered(item)
        return
    again = now + FIRST_WAIT * 2 ** (item.tries - 1)
    session.execute(update(OutboxItem).where(OutboxItem.id == item.id).values(due_at=again), execution_options={"synchronize_session": False})
