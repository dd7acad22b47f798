"""grant_type=client_credentials (RFC 6749 §4.4): a client in its own name. No person, so no licence, no ID token, no refresh, no userinfo."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp.audit import provider as audit
from idp.oidc import claims, scopes, sender, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.refusal import Refused


@dataclass(frozen=True)
class OwnToken:
    """An access token of a client for itself."""

    client_id: str
    scope: str
    body: dict[str, Any]

    def commit(self, now: datetime) -> dict[str, Any]:
        """Nothing is kept of it but the event."""
        audit.tokens_issued(now, account_id=None, client_id=self.client_id, grant_id=None, scope=self.scope)
        return self.body


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment) -> OwnToken | Refused:
    """The token, signed already; or the refusal."""
    client, own = caller.client, caller.client.registration
    cnf = sender.confirmation(own, caller.sender)
    if isinstance(cnf, Refused):
        return cnf
    available = tuple(scope for scope in own.scopes if scope != "openid" and not scope.startswith(scopes.LICENCE))
    asked = scopes.split(form.get("scope", "")) or available
    # licences belong to people, and what a client is not registered for it never gets
    if not set(asked) <= set(available):
        return Refused("invalid_scope", "scope", client_id=client.client_id)
    # RFC 8707 §2.2; what it may do at the platform itself needs a token for the platform
    home = scopes.resource_of(own.system) if own.system else at.issuer
    resource = form.get("resource", at.issuer if asked and all(map(scopes.is_own, asked)) else home)
    if resource not in (home, at.issuer):
        return Refused("invalid_target", "resource", client_id=client.client_id)
    scope = " ".join(asked)
    content = claims.own_access_token(at.issuer, client.client_id, scope, resource, at.now, at.now + at.life)
    return OwnToken(client.client_id, scope, tokens.handed(at.keys.latest(), content, client, at.now, cnf))
