"""Signed authorization requests (JAR, RFC 9101; OIDC Core §6.1): judging a request object. Whatever is wrong is `invalid_request_object`.

1 signature by a key of the client  2 iss, aud, client_id  3 no request in the request  4 times  5 the types of the parameters
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp.db import dumps
from idp.oidc import authorization_request, jose, jti
from idp.oidc.authorization_request import AuthorizationRequest
from idp.oidc.checks import Fault
from idp.oidc.clients import Client
from idp.oidc.jti import SKEW_SECONDS, Jti

# RFC 9101 §10.8; plain JWT is what OpenID Connect Core knows
TYPES = ("oauth-authz-req+jwt", "JWT")
# FAPI 2.0 Message Signing §5.3.1
MAX_LIFE_SECONDS = MAX_AGE_SECONDS = 3600
# what is remembered until its end has to have one, and not in some years
MAX_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Opened:
    """The request that was signed, and the `jti` of its object, if it has one."""

    request: AuthorizationRequest
    jti: Jti | None = None


def opened(asked: AuthorizationRequest, client: Client, issuer: str, now: datetime) -> Opened | Fault:
    """The request inside `asked`; nothing that stands beside the object counts (RFC 9101 §6.3). May ask the client's `jwks_uri`."""
    wanted = client.registration.request_object_signing_alg
    # 1
    claims = client.verified(asked.get("request"), (wanted,) if wanted else client.registration.client_algorithms, TYPES, now)
    if claims is None:
        return _fault("signature")
    # 2, 3, 4
    wrong = _about(claims, client, issuer) or _times(claims, client, now.timestamp())
    if wrong:
        return _fault(wrong)
    # 5
    form = {name: _texts(name, claims[name]) for name in authorization_request.KNOWN if name in claims}
    for name, values in form.items():
        if values is None:
            return _fault(name)
    spent = _jti(claims, client, now.timestamp())
    if isinstance(spent, Fault):
        return spent
    return Opened(authorization_request.read({name: values for name, values in form.items() if values}), spent)


def _fault(what: str) -> Fault:
    return Fault("invalid_request_object", f"request_object_{what}")


def _about(claims: Mapping[str, Any], client: Client, issuer: str) -> str | None:
    if claims.get("iss") != client.client_id:
        return "iss"
    aud = claims.get("aud")
    # unlike an assertion's (RFC 9101 §4)
    if issuer not in (aud if isinstance(aud, list) else [aud]):
        return "aud"
    # RFC 9101 §10.8: it could pass for a client's assertion, and is never one that passed before
    if claims.get("sub") == client.client_id:
        return "sub"
    # RFC 9101 §5
    if claims.get("client_id") != client.client_id:
        return "client_id"
    # RFC 9101 §4
    return "nested" if "request" in claims or "request_uri" in claims else None


def _times(claims: Mapping[str, Any], client: Client, now: float) -> str | None:
    if "exp" in claims:
        expires = jose.number(claims["exp"])
        if expires is None or expires <= now - SKEW_SECONDS:
            return "exp"
    early = jti.too_early(claims, now)
    if early or client.registration.profile != "fapi2-message-signing":
        return early
    # FAPI 2.0 Message Signing §5.3.1
    expires, begins = jose.number(claims.get("exp")), jose.number(claims.get("nbf"))
    if expires is None or begins is None:
        return "exp" if expires is None else "nbf"
    if begins < now - MAX_AGE_SECONDS:
        return "nbf"
    return "exp" if expires - begins > MAX_LIFE_SECONDS else None


def _texts(name: str, value: object) -> list[str] | None:
    """A member as the parameter it stands for (RFC 9101 §4, OIDC Core §6.1), with nothing for an empty one; None if it can stand for none."""
    if isinstance(value, str):
        return _clean([value])
    if name == "max_age" and isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if name in ("claims", "registration") and isinstance(value, dict):
        return _written(value)
    # RFC 8707 §2
    if name == "resource" and isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return _clean(value)
    return None


def _clean(values: list[str]) -> list[str] | None:
    try:
        "".join(values).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return None
    return [value for value in values if value]


def _written(value: dict[str, Any]) -> list[str] | None:
    try:
        return _clean([dumps(value)])
    except (ValueError, RecursionError):
        return None


def _jti(claims: Mapping[str, Any], client: Client, now: float) -> Jti | Fault | None:
    if "jti" not in claims:
        return None
    last = jose.number(claims.get("exp"))
    if last is None or last > now + MAX_KEPT_SECONDS:
        return _fault("exp")
    # apart from those of the client's assertions; no client's id holds a blank
    return jti.of(f"{client.client_id} request", claims["jti"], last) or _fault("jti")
