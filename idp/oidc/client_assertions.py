"""private_key_jwt (OIDC Core §9, RFC 7523): judging an assertion.

1 form, size, header  2 signature by a key of the client  3 iss = sub = client  4 aud is the issuer, one string  5 times  6 jti
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from idp.oidc import jose, jti
from idp.oidc.clients import Client
from idp.oidc.jti import SKEW_SECONDS, Jti

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = ("JWT", "client-authentication+jwt")
MAX_LIFE_SECONDS = 600
# what only an authorization request says
REQUESTED = ("response_type", "redirect_uri", "scope", "code_challenge")


def claimed_client(assertion: str) -> str | None:
    """Who the assertion says it is from, before anything is verified; None if it is malformed."""
    parts = jose.peek(assertion)
    subject = parts.claims.get("sub") if parts else None
    return subject if isinstance(subject, str) else None


def judge(assertion: str, client: Client, audiences: tuple[str, ...], now: datetime) -> Jti | str:
    """The `jti` to spend, or a stable code of what is wrong (for the audit; the client hears only invalid_client)."""
    wanted = client.registration.token_endpoint_auth_signing_alg
    # 1, 2: never the library's default list of algorithms
    claims = client.verified(assertion, (wanted,) if wanted else client.registration.client_algorithms, TYPES, now)
    if claims is None:
        return "assertion_signature"
    # 3
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        return "assertion_issuer"
    # RFC 9101 §10.8: what a person's browser carried in the open proves nobody
    if any(name in claims for name in REQUESTED):
        return "assertion_request"
    # 4: draft-ietf-oauth-rfc7523bis: the issuer alone, no list
    if claims.get("aud") not in audiences:
        return "assertion_audience"
    # 5
    times = _times_fault(claims, now.timestamp())
    if times:
        return times
    # 6
    return jti.of(client.client_id, claims.get("jti"), jose.number(claims["exp"]) or 0) or "assertion_jti"


def _times_fault(claims: Mapping[str, Any], now: float) -> str | None:
    expires = jose.number(claims.get("exp"))
    if expires is None or not now - SKEW_SECONDS < expires <= now + MAX_LIFE_SECONDS + SKEW_SECONDS:
        return "assertion_exp"
    early = jti.too_early(claims, now)
    return f"assertion_{early}" if early else None
