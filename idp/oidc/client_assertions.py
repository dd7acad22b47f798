"""private_key_jwt (OIDC Core §9, RFC 7523): judging an assertion, and spending its `jti` once.

1 form, size, header  2 signature by a key of the client  3 iss = sub = client  4 aud is the issuer, one string  5 times  6 jti
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.oidc import jose
from idp.oidc.clients import Client
from idp.oidc.models import UsedJti
from idp.oidc.registration import ASSERTION_ALGORITHMS

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = ("JWT", "client-authentication+jwt")
SKEW_SECONDS = 60
MAX_LIFE_SECONDS = 600
MAX_JTI_CHARACTERS = 256


@dataclass(frozen=True)
class Jti:
    """The `jti` of a good assertion, not yet spent."""

    client_id: str
    digest: str
    expires_at: datetime


def claimed_client(assertion: str) -> str | None:
    """Who the assertion says it is from, before anything is verified; None if it is malformed."""
    parts = jose.peek(assertion)
    subject = parts.claims.get("sub") if parts else None
    return subject if isinstance(subject, str) else None


def judge(assertion: str, client: Client, audiences: tuple[str, ...], now: datetime) -> Jti | str:
    """The `jti` to spend, or a stable code of what is wrong (for the audit; the client hears only invalid_client)."""
    wanted = client.registration.token_endpoint_auth_signing_alg
    # 1, 2: never the library's default list of algorithms
    claims = client.verified(assertion, (wanted,) if wanted else ASSERTION_ALGORITHMS, TYPES, now)
    if claims is None:
        return "assertion_signature"
    # 3
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        return "assertion_issuer"
    # 4: draft-ietf-oauth-rfc7523bis: the issuer alone, no list
    if claims.get("aud") not in audiences:
        return "assertion_audience"
    # 5
    times = _times_fault(claims, now.timestamp())
    if times:
        return times
    # 6
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        return "assertion_jti"
    last = datetime.fromtimestamp(jose.number(claims["exp"]) or 0, UTC) + timedelta(seconds=SKEW_SECONDS)
    return Jti(client.client_id, opaque_tokens.digest(jti), last)


def _times_fault(claims: Mapping[str, Any], now: float) -> str | None:
    expires = jose.number(claims.get("exp"))
    if expires is None or not now - SKEW_SECONDS < expires <= now + MAX_LIFE_SECONDS + SKEW_SECONDS:
        return "assertion_exp"
    for name in ("iat", "nbf"):
        if name in claims:
            at = jose.number(claims[name])
            if at is None or at > now + SKEW_SECONDS:
                return f"assertion_{name}"
    return None


def spend(jti: Jti) -> bool:
    """Spend a `jti` (inside the transaction that answers); False if it was spent before. The unique key is the condition."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"client_id": jti.client_id, "jti_digest": jti.digest, "expires_at": jti.expires_at}
    return spend_once(insert(cast("Table", UsedJti.__table__)).values(**values).on_conflict_do_nothing())


def sweep(now: datetime) -> None:
    """Forget what could no longer be accepted (a job of the worker)."""
    session.execute(delete(UsedJti).where(UsedJti.expires_at < now))
