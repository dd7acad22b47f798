"""The `jti` of what clients sign (assertions, request objects, DPoP proofs): spent once, in the transaction that answers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.oidc import jose
from idp.oidc.models import UsedJti

# protocol.md, Times: one constant for all that clients sign
SKEW_SECONDS = 60
MAX_CHARACTERS = 256


@dataclass(frozen=True)
class Jti:
    """The `jti` of something that passed every other check, not yet spent. `owner`: the client, or the thumbprint of a DPoP key."""

    owner: str
    digest: str
    expires_at: datetime


def of(owner: str, value: object, last: float) -> Jti | None:
    """A `jti` to spend, of something that counts until `last` (seconds of the epoch); None if it is no usable one."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS:
        return None
    return Jti(owner, opaque_tokens.digest(value), datetime.fromtimestamp(last, UTC) + timedelta(seconds=SKEW_SECONDS))


def too_early(claims: Any, now: float) -> str | None:
    """The name of the first of `iat` and `nbf` that is no time, or lies further ahead than clocks differ."""
    for name in ("iat", "nbf"):
        if name in claims:
            at = jose.number(claims[name])
            if at is None or at > now + SKEW_SECONDS:
                return name
    return None


def spend(jti: Jti) -> bool:
    """Spend it (inside the transaction that answers); False if it was spent before. The unique key is the condition."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"client_id": jti.owner, "jti_digest": jti.digest, "expires_at": jti.expires_at}
    return spend_once(insert(cast("Table", UsedJti.__table__)).values(**values).on_conflict_do_nothing())


def sweep(now: datetime) -> None:
    """Forget what could no longer be accepted (a job of the worker)."""
    session.execute(delete(UsedJti).where(UsedJti.expires_at < now))
