"""What ends a grant. From that commit userinfo refuses; every end is in the audit with its reason."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update

from idp.audit import catalogue as audit
from idp.db import session as db_session
from idp.oidc.models import Grant
from idp.sessions.models import Session


def _end(which: ColumnElement[bool], reason: str, now: datetime) -> int:
    ended = update(Grant).where(which, Grant.ended_at.is_(None)).values(ended_at=now, end_reason=reason)
    rows = db_session.execute(ended.returning(Grant.id, Grant.account_id, Grant.client_id), execution_options={"synchronize_session": False}).all()
    for grant_id, account_id, client_id in rows:
        audit.grant_ended(now, account_id=account_id, client_id=client_id, grant_id=grant_id, reason=reason)
    return len(rows)


def end_grant(grant_id: int, reason: str, now: datetime) -> bool:
    """End one grant (inside a transaction); False if it was over already."""
    return _end(Grant.id == grant_id, reason, now) == 1


def end_grants_of_account(account_id: int, reason: str, now: datetime) -> int:
    """End every grant of an account; returns how many."""
    return _end(Grant.account_id == account_id, reason, now)


def on_session_end(row: Session, now: datetime) -> None:
    """The hook for `sessions.lifecycle.end`: the grants of a session end in the commit that ends it."""
    # the end was written past the object, so its reason is read
    reason = db_session.scalar(select(Session.end_reason).where(Session.id == row.id))
    _end(Grant.session_id == row.id, reason or "session_ended", now)


def sweep(now: datetime) -> None:
    """Drop grants past their absolute end, with their codes (a job of the worker): nothing of them could be accepted any more."""
    db_session.execute(delete(Grant).where(Grant.expires_at < now))
