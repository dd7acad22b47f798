"""Logout tokens: the platform says that a session is over (OIDC Back-Channel Logout §2.6)."""

import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from clients.relying_party.provider import SKEW_SECONDS, Distrusted, Provider
from clients.relying_party.signed_in import Memory

EVENT = "http://schemas.openid.net/event/backchannel-logout"
MOST_CHARACTERS = 8192
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
    ended = Ended(_text(claims, "sid"), _text(claims, "sub"))
    if ended == Ended(None, None):
        raise Distrusted("logout token: names neither sid nor sub")
    # 8: each once
    if not seen.first(f"logout {claims['jti']}", LIFE_SECONDS + 2 * SKEW_SECONDS):
        raise Distrusted("logout token: shown before")
    return ended


def _verified(provider: Provider, token: str) -> dict[str, Any]:
    if len(token) > MOST_CHARACTERS:
        raise ValueError("too long")
    # 1–4: signature by the registered algorithm, then issuer, audience, times
    found = _decoded(provider, token)
    if str(found.header.get("typ", "")).lower().removeprefix("application/") != "logout+jwt":
        raise ValueError(f"type {found.header.get('typ')!r}")
    registry = jwt.JWTClaimsRegistry(
        leeway=SKEW_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": provider.client_id},
        iat={"essential": True},
        exp={"essential": True},
        jti={"essential": True},
        events={"essential": True},
    )
    registry.validate(found.claims)
    if found.claims["iat"] < time.time() - LIFE_SECONDS - SKEW_SECONDS:
        raise ValueError("too old")
    return found.claims


def _decoded(provider: Provider, token: str) -> jwt.Token:
    registry = JWSRegistry(algorithms=[provider.id_token_alg], strict_check_header=False)
    try:
        return jwt.decode(token, KeySet.import_key_set(provider.fetch_jwk_set()), registry=registry)  # type: ignore[arg-type]  # joserfc's KeySetSerialization
    except (JoseError, ValueError):
        # the platform may have changed its key since; who sends nonsense may make us ask again only now and then
        keys = provider.refetch_jwk_set()
        if keys is None:
            raise
        return jwt.decode(token, KeySet.import_key_set(keys), registry=registry)  # type: ignore[arg-type]  # as above


def _text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise Distrusted(f"logout token: {name} is no string")
    return value
