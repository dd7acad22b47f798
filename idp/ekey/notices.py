"""What the outbox tells people of their keys: that one was reported, withdrawn or replaced, and that one ends soon (R68)."""

from datetime import date, datetime, timedelta

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from idp.accounts import notices
from idp.accounts.models import Account, AccountKey
from idp.db import session, spend_once
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey, EKeyReport, EKeyWarning

# days before the end, the last one first
THRESHOLDS = (7, 30, 60)
MOST = 500
# the platform's word on a key → what its person is told
MESSAGES = {"lost": "ekey_lost", "damaged": "ekey_damaged", "withdrawn": "ekey_withdrawn", "replaced": "ekey_replaced"}


def announce_report(report: EKeyReport, account: Account, now: datetime) -> None:
    """What the platform says of a key from now on, in the same commit."""
    notices.announce(MESSAGES[report.word], account, now, serial=report.serial, number=report.number)


def warn(now: datetime, today: date) -> bool:
    """Announce keys that end in 60, 30, 7 days or less, once each (a job of the worker); whether there is more to do."""
    found = 0
    for days, after in zip(THRESHOLDS, (-1, *THRESHOLDS), strict=False):
        for key, account in _ending(today + timedelta(days=after), today + timedelta(days=days), days):
            found += 1
            if _first(key, days, now) and dead(key, today) is None:
                notices.announce("ekey_ends", account, now, serial=key.serial, expires=f"{key.expires}")
    return found >= MOST


def _ending(after: date, until: date, days: int) -> list[tuple[EKey, Account]]:
    """Active keys that end in these days, with whom to tell, and were not announced so late yet."""
    told = exists().where(EKeyWarning.serial == EKey.serial, EKeyWarning.expires == EKey.expires, EKeyWarning.days == days)
    pairs = select(EKey, Account).join(AccountKey, AccountKey.serial == EKey.serial).join(Account, Account.id == AccountKey.account_id)
    reachable = or_(Account.mobile_proven_at.is_not(None), Account.email_proven_at.is_not(None))
    due = (EKey.status == "active", EKey.expires > after, EKey.expires <= until, ~told, reachable)
    return [(key, account) for key, account in session.execute(pairs.where(*due).order_by(EKey.serial).limit(MOST))]


def _first(key: EKey, days: int, now: datetime) -> bool:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return spend_once(insert(EKeyWarning).values(serial=key.serial, expires=key.expires, days=days, at=now).on_conflict_do_nothing())
