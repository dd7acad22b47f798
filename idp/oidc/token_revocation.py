"""Taking a token back (RFC 7009): what is shown decides which kind it is, so a wrong hint does no harm; a stranger's token is left alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp.audit import provider as audit
from idp.oidc import access_tokens, refresh_tokens, revocation
from idp.oidc.clients import Client
from idp.oidc.refusal import Refused
from idp.oidc.tokens import Moment


@dataclass(frozen=True)
class TakeBack:
    """What a revocation request comes to: `grant` ends by its refresh token, or the access token of these `claims` dies, or nothing happens."""

    client_id: str
    grant: int | None = None
    claims: dict[str, Any] | None = None

    def commit(self, now: datetime) -> dict[str, Any]:
        """Do it; the answer is empty whatever was found (RFC 7009 §2.2)."""
        if self.grant is not None:
            revocation.end_grant(self.grant, "revoked_by_client", now)
        if self.claims is not None:
            access_tokens.revoke(self.claims)
            audit.access_token_revoked(now, client_id=self.client_id, grant_id=int(self.claims["gid"]) if "gid" in self.claims else None)
        return {}


def plan(form: dict[str, str], client: Client, at: Moment) -> TakeBack | Refused:
    """What this request takes back."""
    shown = form.get("token")
    if not shown:
        return Refused("invalid_request", "token_missing", client_id=client.client_id)
    row = refresh_tokens.find(shown)
    # a replaced or expired one too: whoever holds it wants the end
    if row is not None:
        return TakeBack(client.client_id, grant=row.grant_id if row.client_id == client.client_id else None)
    claims = access_tokens.genuine(shown, at)
    return TakeBack(client.client_id, claims=claims if claims is not None and claims["client_id"] == client.client_id else None)
