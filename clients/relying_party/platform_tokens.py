"""Tokens that the platform itself brings: signed by it, of the right type, for this client (RFC 7519 §7.2)."""

from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from clients.relying_party.provider import Distrusted, Provider

MOST_CHARACTERS = 8192


def decoded(provider: Provider, token: str, typ: str) -> dict[str, Any]:
    """The claims of a token of this type that the platform signed by the registered algorithm; ValueError or JoseError on any fault."""
    if len(token) > MOST_CHARACTERS:
        raise ValueError("too long")
    found = _verified(provider, token)
    if str(found.header.get("typ", "")).lower().removeprefix("application/") != typ:
        raise ValueError(f"type {found.header.get('typ')!r}")
    return found.claims


def _verified(provider: Provider, token: str) -> jwt.Token:
    registry = JWSRegistry(algorithms=[provider.id_token_alg], strict_check_header=False)
    try:
        return jwt.decode(token, KeySet.import_key_set(provider.fetch_jwk_set()), registry=registry)  # type: ignore[arg-type]  # joserfc's KeySetSerialization
    except (JoseError, ValueError):
        # the platform may have changed its key since; who sends nonsense may make us ask again only now and then
        keys = provider.refetch_jwk_set()
        if keys is None:
            raise
        return jwt.decode(token, KeySet.import_key_set(keys), registry=registry)  # type: ignore[arg-type]  # as above


def text(claims: dict[str, Any], name: str) -> str | None:
    """A member that is a string or absent; Distrusted for anything else."""
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise Distrusted(f"{name} is no string")
    return value
