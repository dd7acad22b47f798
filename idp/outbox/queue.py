"""Enqueue in the caller's transaction · claim with a lease (SKIP LOCKED) · done, or back off and at last give up."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from idp.audit import catalogue as audit
from idp.db import session
from idp.outbox.models import OutboxItem

LEASE = timedelta(minutes=5)
FIRST_WAIT = timedelta(seconds=30)
MAX_TRIES = 10  # the last one about eight hours after the first

Handler = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Claimed:
    """An item that this worker may deliver until the lease ends."""

    id: int
    kind: str
    payload: dict[str, Any]
    tries: int


def enqueue(kind: str, payload: dict[str, Any], now: datetime) -> None:
    """To be delivered once the caller's transaction has been committed."""
    session.add(OutboxItem(kind=kind, payload=payload, created_at=now, due_at=now))


def claim(now: datetime, most: int = 20) -> list[Claimed]:
    """Take what is due; another worker at once takes other items. A worker that dies gives its items back when the lease ends."""
    due = select(OutboxItem).where(OutboxItem.due_at <= now).order_by(OutboxItem.due_at).limit(most).with_for_update(skip_locked=True)
    rows = session.scalars(due).all()
    for row in rows:
        row.due_at, row.tries = now + LEASE, row.tries + 1
    return [Claimed(row.id, row.kind, row.payload, row.tries) for row in rows]


def delivered(item: Claimed) -> None:
    """It left the house."""
    session.execute(delete(OutboxItem).where(OutboxItem.id == item.id))


def failed(item: Claimed, now: datetime) -> None:
    """It did not: again after 30 s, 1 min, 2 min, …; after the tenth try it is given up with an audit event."""
    if item.tries >= MAX_TRIES:
        audit.outbox_given_up(now, kind=item.kind, item=item.id)
        delivered(item)
        return
    session.get_one(OutboxItem, item.id).due_at = now + FIRST_WAIT * 2 ** (item.tries - 1)
