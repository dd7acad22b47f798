"""What ends a grant. From that commit userinfo refuses; every end is in the audit with its reason."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update

from idp.audit import provider as audit
from idp.db import session as db_session
from idp.oidc import acr, backchannel
from idp.oidc.models import Grant
from idp.sessions.models import Session

# A grant that ends alone for one of these is told to its client: nothing else would tell that the person is to be signed out there.
TOLD = frozenset({"licence_gone", "consent_withdrawn", "key_withdrawn"})
_WHAT = (Grant.id, Grant.account_id, Grant.client_id, Grant.sid)


def _end(*which: ColumnElement[bool], reason: str, now: datetime) -> int:
    ended = update(Grant).where(*which, Grant.ended_at.is_(None)).values(ended_at=now, end_reason=reason).returning(*_WHAT)
    rows = db_session.execute(ended, execution_options={"synchronize_session": False}).all()
    for row in rows:
        audit.grant_ended(now, account_id=row.account_id, client_id=row.client_id, grant_id=row.id, reason=reason)
    if reason in TOLD:
        for client_id, sid, account_id in sorted({(row.client_id, row.sid, row.account_id) for row in rows if row.sid}):
            backchannel.tell(client_id, sid, account_id, now)
    return len(rows)


def end_grant(grant_id: int, reason: str, now: datetime) -> bool:
    """End one grant (inside a transaction); False if it was over already."""
    return _end(Grant.id == grant_id, reason=reason, now=now) == 1


def end_grants_at(account_id: int, client_id: str, reason: str, now: datetime) -> int:
    """End every grant of an account at one client; returns how many."""
    return _end(Grant.account_id == account_id, Grant.client_id == client_id, reason=reason, now=now)


def end_grants_of_client(client_id: str, reason: str, now: datetime) -> int:
    """End every grant of a client; returns how many."""
    return _end(Grant.client_id == client_id, reason=reason, now=now)


def on_session_end(row: Session, now: datetime) -> None:
    """The hook for `sessions.lifecycle.end`: in the commit that ends a session its grants end, and its clients will be told."""
    # the end was written past the object, so its reason is read
    reason = db_session.scalar(select(Session.end_reason).where(Session.id == row.id))
    _end(Grant.session_id == row.id, reason=reason or "session_ended", now=now)
    backchannel.session_over(row.id, row.account_id, now)


def on_key_lost(session_id: int, now: datetime) -> None:
    """The hook for the commit in which a session loses its e-key: what was granted on the key ends (protocol.md)."""
    resting = [level.acr for level in acr.LEVELS if "ekey" in level.factors]
    _end(Grant.session_id == session_id, Grant.acr.in_(resting), reason="key_withdrawn", now=now)


def sweep(now: datetime) -> None:
    """Drop grants past their absolute end, with their codes (a job of the worker): nothing of them could be accepted any more."""
    db_session.execute(delete(Grant).where(Grant.expires_at < now))
