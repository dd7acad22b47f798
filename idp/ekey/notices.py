"""What the outbox tells people of their keys: that one was reported lost or damaged, and that one ends soon (R68). To proven contacts alone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from idp.accounts import channels
from idp.accounts.models import Account, AccountKey
from idp.adapters import Adapters
from idp.db import session, spend_once
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey, EKeyReport, EKeyWarning
from idp.messages import words
from idp.outbox.queue import enqueue

NOTICE = "ekey_notice"
# days before the end, the last one first
THRESHOLDS = (7, 30, 60)
MOST = 500


def announce_report(report: EKeyReport, account: Account, now: datetime) -> None:
    """One item for each proven contact, in the commit of the report."""
    _tell(f"ekey_{report.word}", account, {"serial": report.serial, "number": report.number}, now)


def warn(now: datetime, today: date) -> bool:
    """Announce keys that end in 60, 30, 7 days or less, once each (a job of the worker); whether there is more to do."""
    found = 0
    for days, after in zip(THRESHOLDS, (-1, *THRESHOLDS), strict=False):
        for key, account in _ending(today + timedelta(days=after), today + timedelta(days=days), days):
            found += 1
            if _first(key, days, now) and dead(key, today) is None:
                _tell("ekey_ends", account, {"serial": key.serial, "expires": f"{key.expires}"}, now)
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


def _tell(message: str, account: Account, values: dict[str, str], now: datetime) -> None:
    for way in channels.proven(account):
        enqueue(NOTICE, {"message": message, "account_id": account.id, "channel": way.channel, "values": values}, now)


def tell(adapters: Adapters, telephone: str) -> Callable[[dict[str, Any]], None]:
    """The handler: look the contact up again and write to it; OSError = try again."""

    def handle(payload: dict[str, Any]) -> None:
        account = session.get_one(Account, payload["account_id"])
        way = next((way for way in channels.proven(account) if way.channel == payload["channel"]), None)
        name = account.canonical_name
        session.rollback()
        if way is None:  # it has changed meanwhile
            return
        text = words.text(payload["message"], name=name, phone=telephone, **payload["values"])
        if way.channel == "mobile":
            adapters.sms.send(way.recipient, text)
        else:
            adapters.mail.send(way.recipient, words.subject(payload["message"]), text)

    return handle
