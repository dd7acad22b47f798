"""What a token is worth now, told only to those it is meant for (RFC 7662); everybody else hears `{"active": false}`."""

from typing import Any

from idp.oidc import access_tokens, grant_facts, refresh_tokens, scopes, sender
from idp.oidc.access_tokens import AccessToken
from idp.oidc.clients import Client, ClientCache
from idp.oidc.tokens import Moment

# RFC 9701 §5
JWT_TYPE = "token-introspection+jwt"
INACTIVE: dict[str, Any] = {"active": False}


def told(token: str, caller: Client, at: Moment, clients: ClientCache) -> dict[str, Any]:
    """The answer to this caller. The token itself shows which kind it is, so a wrong token_type_hint does no harm (§2.1)."""
    found = access_tokens.judge(token, at, clients)
    if found is not None:
        return _of_access(found) if _meant_for(found, caller, at.issuer) else INACTIVE
    row = refresh_tokens.find(token)
    return _of_refresh(row, caller, at) if row is not None and row.client_id == caller.client_id else INACTIVE


def _meant_for(found: AccessToken, caller: Client, issuer: str) -> bool:
    # §4, CVE-2026-37979: the resource itself; a token for us alone may be asked about by the client that we gave it to
    own = caller.registration.system
    at_home = found.audience == (issuer,) and found.client.client_id == caller.client_id
    return at_home or (own is not None and scopes.resource_of(own) in found.audience)


def _of_access(found: AccessToken) -> dict[str, Any]:
    names = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "auth_time", "acr", "cnf")
    facts = {name: found.claims[name] for name in names if name in found.claims}
    return {"active": True, "token_type": sender.token_type(found.cnf), **facts, "scope": " ".join(found.scopes)}


def _of_refresh(row: Any, caller: Client, at: Moment) -> dict[str, Any]:
    worth = grant_facts.worth_now(row, caller, at.today)
    spent = row.rotated_at is not None or at.now >= row.refresh_expires_at or "refresh_token" not in caller.registration.grant_types
    if worth is None or spent or grant_facts.over(row, at.now):
        return INACTIVE
    return {
        "active": True,
        "iss": at.issuer,
        "sub": row.sub,
        "client_id": row.client_id,
        "iat": int(row.issued_at.timestamp()),
        "exp": int(min(row.refresh_expires_at, row.expires_at).timestamp()),
        "scope": " ".join(worth),
    }
