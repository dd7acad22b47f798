"""Which licences an access token allows, found offline with the platform's public keys (RFC 9068 §4)."""

from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from clients.relying_party.provider import SKEW_SECONDS, Distrusted, Provider

# what the platform may sign access tokens with; never none, never a shared secret
ALGORITHMS = ["ES256", "RS256"]


def _decoded(token: str, keys: dict[str, Any]) -> jwt.Token:
    return jwt.decode(token, KeySet.import_key_set(keys), registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False))  # type: ignore[arg-type]  # joserfc's KeySetSerialization


def scopes(provider: Provider, token: str, resource: str) -> set[str]:
    """The scopes of `token`, if the platform signed it for this client and this resource and it is in time; Distrusted otherwise."""
    try:
        # the ID token that came with it has just brought the keys up to date
        found = _decoded(token, provider.fetch_jwk_set())
        _check(provider, found, resource)
    except (JoseError, ValueError) as error:
        raise Distrusted(f"access token: {error}") from error
    scope = found.claims["scope"]
    if not isinstance(scope, str):
        raise Distrusted("access token: scope is no string")
    return set(scope.split())


def _check(provider: Provider, token: jwt.Token, resource: str) -> None:
    # RFC 9068 §4: the type keeps ID tokens and other JWTs out
    if str(token.header.get("typ", "")).lower().removeprefix("application/") != "at+jwt":
        raise Distrusted(f"access token: type {token.header.get('typ')!r}")
    claims = jwt.JWTClaimsRegistry(
        leeway=SKEW_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": resource},
        client_id={"essential": True, "value": provider.client_id},
        exp={"essential": True},
        scope={"essential": True, "allow_blank": True},
    )
    claims.validate(token.claims)
