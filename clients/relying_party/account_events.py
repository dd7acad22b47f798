"""Security event tokens: the platform says that two of its accounts are one now, or come apart again (RFC 8417, pushed by RFC 8935)."""

import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from clients.relying_party import platform_tokens
from clients.relying_party.provider import SKEW_SECONDS, Distrusted, Provider
from clients.relying_party.signed_in import Memory

JOINED, PARTED, TAKEN_BACK = (f"urn:licence:event:account-{name}" for name in ("joined", "parted", "taken-back"))
# the platform tries for hours, more slowly each time
LIFE_SECONDS = 24 * 3600


@dataclass
class Refused(Distrusted):
    """A token that will never be taken; `err` is the code of RFC 8935 §2.4."""

    err: str


@dataclass(frozen=True)
class Event:
    """`old` is `new` from now on (JOINED), is itself again (PARTED), or is nobody any more (TAKEN_BACK: `new` is "")."""

    kind: str
    old: str
    new: str


def judge(provider: Provider, seen: Memory, token: str) -> Event | None:
    """What a token says; None if it was said before, or a later word about the same person came first. Refused on any fault."""
    claims = _verified(provider, token)
    event = _event(claims["events"])
    # RFC 8935 §2: sent again because our answer got lost, so it is answered as before
    if not seen.first(f"event {claims['jti']}", LIFE_SECONDS + 2 * SKEW_SECONDS):
        return None
    # what failed once comes later than what followed it
    if (seen.get(f"said {event.old}") or 0) > claims["iat"]:
        return None
    seen.set(f"said {event.old}", claims["iat"], LIFE_SECONDS + 2 * SKEW_SECONDS)
    return event


def _verified(provider: Provider, token: str) -> dict[str, Any]:
    try:
        claims = platform_tokens.decoded(provider, token, "secevent+jwt")
    except (JoseError, ValueError) as error:
        raise Refused("invalid_key" if isinstance(error, JoseError) else "invalid_request") from error
    for name, value, err in (("iss", provider.issuer, "invalid_issuer"), ("aud", provider.client_id, "invalid_audience")):
        if not _names(claims, name, value):
            raise Refused(err)
    try:
        must = {"essential": True}
        jwt.JWTClaimsRegistry(leeway=SKEW_SECONDS, iat=must, jti=must, events=must).validate(claims)  # type: ignore[arg-type]  # joserfc's ClaimsOption
        old = claims["iat"] < time.time() - LIFE_SECONDS - SKEW_SECONDS
    except (JoseError, ValueError, TypeError) as error:
        raise Refused("invalid_request") from error
    # RFC 8417 §4: what a token of another kind holds
    if old or not isinstance(claims["jti"], str) or {"nonce", "sub", "exp"} & set(claims):
        raise Refused("invalid_request")
    return claims


def _names(claims: dict[str, Any], name: str, value: str) -> bool:
    said = claims.get(name)
    return said == value or (name == "aud" and isinstance(said, list) and value in said)


def _event(events: Any) -> Event:
    """The one event that we know, with its names."""
    if not isinstance(events, dict) or len(events) != 1:
        raise Refused("invalid_request")
    [(kind, about)] = events.items()
    names = {JOINED: ("old_sub", "new_sub"), PARTED: ("old_sub", "new_sub"), TAKEN_BACK: ("sub",)}.get(kind)
    if names is None or not isinstance(about, dict) or not all(isinstance(about.get(name), str) and about[name] for name in names):
        raise Refused("invalid_request")
    return Event(kind, about[names[0]], about[names[1]] if len(names) > 1 else "")
