"""Refresh tokens at rest: made with a code, found by what is shown, rotated once."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.oidc import grant_facts
from idp.oidc.models import Grant
from idp.oidc.token_models import RefreshToken

MAX_CHARACTERS = 256
# A public client whose answer was lost, or whose two tabs refresh at once, shows a rotated token again this soon.
GRACE = timedelta(seconds=10)

_ADD = insert(RefreshToken.__table__)  # type: ignore[arg-type]  # SQLAlchemy types __table__ as FromClause
_COLUMNS = (
    *(RefreshToken.digest, RefreshToken.client_id, RefreshToken.issued_at, RefreshToken.rotated_at),
    RefreshToken.expires_at.label("refresh_expires_at"),
)
_FIND = grant_facts.with_holder(
    select(*_COLUMNS, *grant_facts.FACTS).join(Grant, Grant.id == RefreshToken.grant_id).where(RefreshToken.digest == bindparam("digest"))
)
_ROTATED_AT = select(RefreshToken.rotated_at).where(RefreshToken.digest == bindparam("digest"))


def find(shown: str) -> Any:
    """The token and the facts of its grant; None if there is no such token."""
    return session.connection().execute(_FIND, {"digest": opaque_tokens.digest(shown[:MAX_CHARACTERS])}).one_or_none()


def add(token: str, of: Mapping[str, Any]) -> None:
    """Keep a new token (inside a transaction); `of` names grant_id, client_id, issued_at and expires_at."""
    session.connection().execute(_ADD, {"digest": opaque_tokens.digest(token), **of})


def rotate(digest: str, client_id: str, now: datetime) -> bool:
    """Mark a token as replaced; True for the one who may hand out the successor."""
    mine = (RefreshToken.digest == digest, RefreshToken.client_id == client_id)
    return spend_once(update(RefreshToken).where(*mine, RefreshToken.rotated_at.is_(None), RefreshToken.expires_at > now).values(rotated_at=now))


def rotated_at(digest: str) -> datetime | None:
    """When it was replaced, if it was, as this transaction sees it."""
    return session.connection().execute(_ROTATED_AT, {"digest": digest}).scalar_one_or_none()


def replayed(rotated: datetime | None, now: datetime) -> bool:
    """Whether showing a token that was replaced then is no longer an honest repetition (RFC 9700 §4.14)."""
    return rotated is not None and now > rotated + GRACE
