"""Authorization requests that wait on the server: for the sign-in, the consent, or their own GET after a cross-site POST."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, select, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.oidc import clients
from idp.oidc.authorization_request import AuthorizationRequest
from idp.oidc.models import AuthorizationRequestRecord, LogoutRequestRecord

# longer than a sign-in waits for its person, so that 【重新登录】 on an expired one still leads back to the client (R84)
LIFE = timedelta(hours=2)
# for how long an answered request is answered again: a double click, or an answer that got lost
AGAIN = timedelta(seconds=60)
_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")
Refusal = Literal["unknown", "expired", "other_browser"]


def store(
    request: AuthorizationRequest, browser: str, since: datetime | None, now: datetime, pushed: str | None = None, *, signed: bool = False
) -> str | None:
    """Keep a checked request for this browser (its secret; "" = not known yet); returns its id, None if its client has just gone.

    `pushed`: the digest under which its client pushed it; `signed`: it came in a request object.
    """
    if not clients.hold(request.client_id):
        return None
    row = AuthorizationRequestRecord(
        id=opaque_tokens.make(),
        browser_digest=opaque_tokens.digest(browser) if browser else "",
        pushed=pushed,
        signed=signed,
        client_id=request.client_id,
        parameters=dict(request.values),
        factors_since=since,
        created_at=now,
        expires_at=now + LIFE,
    )
    session.add(row)
    return row.id


def find(request_id: str, browsers: Collection[str], now: datetime) -> AuthorizationRequestRecord | Refusal:
    """The stored request, if it is in time and this browser's (its secrets, see signin.browser), or nobody's yet."""
    row = session.get(AuthorizationRequestRecord, request_id) if _ID.match(request_id) else None
    if row is None:
        return "unknown"
    if row.browser_digest and not any(opaque_tokens.same(row.browser_digest, opaque_tokens.digest(each)) for each in browsers):
        return "other_browser"
    spent = row.answered_at is not None and now - row.answered_at >= AGAIN
    return "expired" if spent or now >= row.expires_at else row


def answered(request_id: str, now: datetime) -> None:
    """Inside the transaction that answers its client: note the first time."""
    first = (AuthorizationRequestRecord.id == request_id, AuthorizationRequestRecord.answered_at.is_(None))
    session.execute(update(AuthorizationRequestRecord).where(*first).values(answered_at=now))


def drop_oldest(browsers: Collection[str]) -> None:
    """Forget the oldest of this browser (its secrets), which finds no room for another (`room.claim`)."""
    mine = AuthorizationRequestRecord.browser_digest.in_([opaque_tokens.digest(each) for each in browsers])
    oldest = select(AuthorizationRequestRecord.id).where(mine).order_by(AuthorizationRequestRecord.created_at).limit(1).scalar_subquery()
    session.execute(
        delete(AuthorizationRequestRecord).where(AuthorizationRequestRecord.id == oldest), execution_options={"synchronize_session": False}
    )


def bind(request_id: str, browser: str) -> bool:
    """The first browser that comes for a request that was posted gets it; False if another was first."""
    unbound = (AuthorizationRequestRecord.id == request_id, AuthorizationRequestRecord.browser_digest == "")
    return spend_once(update(AuthorizationRequestRecord).where(*unbound).values(browser_digest=opaque_tokens.digest(browser)))


def store_logout(parameters: dict[str, str], now: datetime) -> str:
    """Keep what a sign-out request has proven until its own GET; returns its id."""
    row = LogoutRequestRecord(id=opaque_tokens.make(), parameters=parameters, expires_at=now + LIFE)
    session.add(row)
    return row.id


def find_logout(request_id: str, now: datetime) -> dict[str, str] | None:
    """What a posted request had proven; None if it is unknown or too old."""
    row = session.get(LogoutRequestRecord, request_id) if _ID.match(request_id) else None
    return dict(row.parameters) if row is not None and now < row.expires_at else None


def sweep(now: datetime) -> None:
    """Drop what nobody came back to (a job of the worker)."""
    for record in (AuthorizationRequestRecord, LogoutRequestRecord):
        session.execute(delete(record).where(record.expires_at < now))
