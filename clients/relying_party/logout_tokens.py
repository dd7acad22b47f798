"""Logout tokens: the platform says that a session is over (OIDC Back-Channel Logout §2.6)."""

import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from clients.relying_party import platform_tokens
from clients.relying_party.provider import SKEW_SECONDS, Distrusted, Provider
from clients.relying_party.signed_in import Memory

EVENT = "http://schemas.openid.net/event/backchannel-logout"
# a token of this age is no news any more
LIFE_SECONDS = 600


@dataclass(frozen=True)
class Ended:
    """Which sessions are over: the one of this `sid`, or every one of this `sub`."""

    sid: str | None
    sub: str | None


def judge(provider: Provider, seen: Memory, token: str) -> Ended:
    """What a logout token ends; Distrusted on any fault, also if it was shown before."""
    try:
        claims = _verified(provider, token)
    except (JoseError, ValueError) as error:
        raise Distrusted(f"logout token: {error}") from error
    # 5: it is about a logout
    events = claims["events"]
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise Distrusted("logout token: no logout event")
    # 6, 7: an ID token is no logout token
    if "nonce" in claims:
        raise Distrusted("logout token: holds a nonce")
    ended = Ended(platform_tokens.text(claims, "sid"), platform_tokens.text(claims, "sub"))
    if ended == Ended(None, None):
        raise Distrusted("logout token: names neither sid nor sub")
    # 8: each once
    if not seen.first(f"logout {claims['jti']}", LIFE_SECONDS + 2 * SKEW_SECONDS):
        raise Distrusted("logout token: shown before")
    return ended


def _verified(provider: Provider, token: str) -> dict[str, Any]:
    # 1–4: signature by the registered algorithm, then issuer, audience, times
    claims = platform_tokens.decoded(provider, token, "logout+jwt")
    registry = jwt.JWTClaimsRegistry(
        leeway=SKEW_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": provider.client_id},
        iat={"essential": True},
        exp={"essential": True},
        jti={"essential": True},
        events={"essential": True},
    )
    registry.validate(claims)
    if claims["iat"] < time.time() - LIFE_SECONDS - SKEW_SECONDS:
        raise ValueError("too old")
    return claims
