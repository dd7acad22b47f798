"""Counted windows in the database for everything an attacker guesses at. `take()` is the only entrance.

Shared by all workers and kept over a restart; it never fails open.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Index, String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base, session


@dataclass(frozen=True)
class Rule:
    """At most `most` per fixed window of `seconds`, each key on its own."""

    name: str
    most: int
    seconds: int


@dataclass(frozen=True)
class Taken:
    """What `take()` found: `count` in this window, whether it is within the rule, and when the window ends."""

    count: int
    allowed: bool
    retry_at: datetime


class LimitWindow(Base):
    """One counter of one rule, key and window; rows die with their window."""

    __tablename__ = "limit_windows"
    __table_args__ = (Index("ix_limit_windows_ends_at", "ends_at"),)

    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    ends_at: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int]


def window_end(rule: Rule, now: datetime) -> datetime:
    """End of the window that `now` is in."""
    started = int(now.timestamp()) // rule.seconds * rule.seconds
    return datetime.fromtimestamp(started, UTC) + timedelta(seconds=rule.seconds)


def take(rule: Rule, key: str, now: datetime) -> Taken:
    """Count one for `key` (inside a transaction) and say whether it was still within the rule.

    One upsert, so that of many requests at once exactly `rule.most` are allowed.
    """
    ends_at = window_end(rule, now)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    upsert = (
        insert(LimitWindow)
        .values(rule=rule.name, key=key, ends_at=ends_at, count=1)
        .on_conflict_do_update(index_elements=["rule", "key", "ends_at"], set_={"count": LimitWindow.count + 1})
        .returning(LimitWindow.count)
    )
    count = session.execute(upsert).scalar_one()
    return Taken(count, count <= rule.most, ends_at)


def peek(rule: Rule, key: str, now: datetime) -> Taken:
    """What the next `take()` would find, without counting; for pages that only want to know."""
    ends_at = window_end(rule, now)
    count = (
        session.scalar(select(LimitWindow.count).where(LimitWindow.rule == rule.name, LimitWindow.key == key, LimitWindow.ends_at == ends_at)) or 0
    )
    return Taken(count, count < rule.most, ends_at)


def sweep(now: datetime) -> None:
    """Drop windows that have ended (a job of the worker)."""
    session.execute(delete(LimitWindow).where(LimitWindow.ends_at < now))
