"""The end of a sign-in: all steps passed, a session starts. Runs inside a transaction; plain values only."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from idp.accounts.models import Account
from idp.db import session
from idp.sessions import lifecycle
from idp.sessions.models import Session
from idp.signin import flow
from idp.signin.models import SignInTransaction

# A double submit may lose the first answer's cookie; for this long the same browser gets it again (R84).
REPEAT = timedelta(seconds=60)
OnEnd = Callable[[Any, datetime], None]


def usable(row: SignInTransaction) -> Account | None:
    """The account, if it is still as it was when the password was typed (R54, D15)."""
    account = session.get(Account, row.account_id, populate_existing=True)
    if account is None or account.epoch != row.facts.get("epoch"):
        return None
    return account if account.status == "active" and account.enterprise.status == "active" else None


def finish(row: SignInTransaction, account: Account, present_id: int | None, absolute_seconds: int, now: datetime, on_end: OnEnd) -> str | None:
    """Complete the transaction and sign in; the cookie's new secret, or None if another request was first.

    The same account in this browser keeps its session record; another account ends it first (protocol.md, Session).
    """
    if not flow.complete(row, now):
        return None
    factors = {"password": datetime.fromisoformat(row.facts["password_at"])}
    present = session.get(Session, present_id) if present_id is not None else None
    if present is not None and present.account_id == account.id and present.ended_at is None:
        flow.record(row, session_id=present.id)
        return lifecycle.renew(present, account.epoch, factors, now)
    if present is not None:
        lifecycle.end(present, "other_account", now, on_end)
    started, secret = lifecycle.start(account.id, account.epoch, factors, now, absolute_seconds)
    flow.record(row, session_id=started.id)
    return secret


def repeat(row: SignInTransaction, now: datetime) -> str | None:
    """A completed transaction whose browser has no session: the same session under a new secret, within a minute; else None."""
    present = session.get(Session, row.facts.get("session_id") or 0)
    if present is None or present.ended_at is not None or row.completed_at is None or now - row.completed_at >= REPEAT:
        return None
    return lifecycle.renew(present, present.epoch, {}, now)
