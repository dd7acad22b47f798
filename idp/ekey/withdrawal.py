"""What follows when a key counts no more: the sessions that rest on it fall back to what their other factors make them."""

from collections.abc import Callable
from datetime import date, datetime

from sqlalchemy import ColumnElement, exists, select

from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import binding
from idp.ekey.models import EKeyBinding
from idp.key_register.models import EKey
from idp.sessions import lifecycle
from idp.sessions.models import Session

OnLost = Callable[[int, datetime], None]


def withdraw(serial: str, now: datetime, on_lost: OnLost) -> int:
    """Withdraw a key (inside a transaction); how many sessions rested on it. `on_lost` is web.Hooks.key_lost."""
    binding.withdraw(serial, now)
    return _lose(Session.ekey_serial == serial, now=now, on_lost=on_lost)


def fall_back(today: date, now: datetime, on_lost: OnLost) -> int:
    """Take from every session a key that is dead by the list, its dates, its enterprise or a withdrawal (a job of the worker); how many."""
    in_use = session.scalars(select(Session.ekey_serial).where(Session.ekey_serial.is_not(None), Session.ended_at.is_(None)).distinct()).all()
    return sum(_lose(Session.ekey_serial == serial, now=now, on_lost=on_lost) for serial in in_use if serial and _is_dead(serial, today))


def is_bound(serial: str) -> bool:
    """Whether some certificate counts as this key."""
    return bool(session.scalar(select(exists().where(EKeyBinding.serial == serial, EKeyBinding.withdrawn_at.is_(None)))))


def _is_dead(serial: str, today: date) -> bool:
    key = session.get(EKey, serial)
    return key is None or binding.dead(key, today) is not None or not is_bound(serial)


def _lose(which: ColumnElement[bool], *, now: datetime, on_lost: OnLost) -> int:
    rows = session.scalars(select(Session).where(which, Session.ended_at.is_(None)).with_for_update()).all()
    for row in rows:
        audit.ekey_lost(now, account_id=row.account_id, session_id=row.id, serial=row.ekey_serial or "")
        lifecycle.lose_key(row)
        on_lost(row.id, now)
    return len(rows)
