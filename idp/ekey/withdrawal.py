"""What follows when a key counts no more: what rests on it falls back and its person is told; a report also ends the account's other sessions (R68).

Each function runs inside a transaction; hooks are web.Hooks' of the same names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, select

from idp.accounts import channels
from idp.accounts.models import Account, AccountKey
from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import notices
from idp.ekey.models import EKeyBinding
from idp.key_register import reports
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey, EKeyReport
from idp.sessions import lifecycle
from idp.sessions.models import Session

OnLost = Callable[[int, datetime], None]


@dataclass(frozen=True)
class Follow:
    """What must happen in the same commit: to a session that loses its key, and to one that ends."""

    on_lost: OnLost
    on_end: Callable[[Any, datetime], None]


def report(serial: str, word: str, how: str, days: int, follow: Follow, now: datetime, today: date, *, keep: int | None = None) -> EKeyReport:
    """Report a key of an account lost or damaged; of two reports at once both get the first one's receipt.

    A damaged key's rights stay open for `days`, where a code can be asked for. `keep`: the session that reports.
    """
    owner = session.get(AccountKey, serial)
    # held as at the end of a sign-in, so that none slips through without the code
    account = session.get_one(Account, owner.account_id, populate_existing=True, with_for_update=True) if owner is not None else None
    stays = word == reports.DAMAGED and account is not None and channels.second_proof(account)
    until = today + timedelta(days=days) if stays else None
    said = reports.say(serial, word, how, account.id if account is not None else None, now, until)
    if said.new:
        audit.ekey_reported(now, account_id=said.report.account_id, serial=serial, word=word, how=how, number=said.report.number)
        _lose(Session.ekey_serial == serial, now=now, on_lost=follow.on_lost)
    if said.new and account is not None:
        lifecycle.end_all(account.id, "key_reported", now, follow.on_end, keep)
        notices.announce_report(said.report, account, now)
    return said.report


def withdraw(serial: str, now: datetime, on_lost: OnLost, how: str = "command", word: str = "withdrawn") -> int | None:
    """End a key for ever (`word` withdrawn | replaced): proof and rights; how many sessions rested on it, None if a final word was said before."""
    owner = session.get(AccountKey, serial)
    said = reports.say(serial, word, how, owner.account_id if owner is not None else None, now)
    if not said.new:
        return None
    audit.ekey_reported(now, account_id=said.report.account_id, serial=serial, word=word, how=how, number=said.report.number)
    if owner is not None:
        notices.announce_report(said.report, session.get_one(Account, owner.account_id), now)
    return _lose(Session.ekey_serial == serial, now=now, on_lost=on_lost)


def lift(serial: str, now: datetime) -> bool:
    """A damaged key works after all, says an officer; False if no damage counts."""
    lifted = reports.lift(serial, now)
    if lifted:
        owner = session.get(AccountKey, serial)
        audit.ekey_repaired(now, account_id=owner.account_id if owner is not None else None, serial=serial)
    return lifted


def fall_back(today: date, now: datetime, on_lost: OnLost) -> int:
    """Take from every session a key that is dead by the list, its dates, its enterprise or a report (a job of the worker); how many."""
    in_use = session.scalars(select(Session.ekey_serial).where(Session.ekey_serial.is_not(None), Session.ended_at.is_(None)).distinct()).all()
    return sum(_lose(Session.ekey_serial == serial, now=now, on_lost=on_lost) for serial in in_use if serial and _is_dead(serial, today))


def is_bound(serial: str) -> bool:
    """Whether some certificate is bound to this key."""
    return bool(session.scalar(select(exists().where(EKeyBinding.serial == serial))))


def _is_dead(serial: str, today: date) -> bool:
    key = session.get(EKey, serial)
    return key is None or dead(key, today) is not None or not is_bound(serial)


def _lose(which: ColumnElement[bool], *, now: datetime, on_lost: OnLost) -> int:
    rows = session.scalars(select(Session).where(which, Session.ended_at.is_(None)).with_for_update()).all()
    for row in rows:
        audit.ekey_lost(now, account_id=row.account_id, session_id=row.id, serial=row.ekey_serial or "")
        lifecycle.lose_key(row)
        on_lost(row.id, now)
    return len(rows)
