"""The first tokens of a grant, whatever code stands for it: made in memory, handed out with the one spending of the code."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Update, update

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session, spend_once
from idp.oidc import grant_facts, refresh_tokens, tokens
from idp.oidc.clients import Client
from idp.oidc.models import Grant
from idp.oidc.refusal import Refused
from idp.oidc.sender import Confirmation


@dataclass(frozen=True)
class Redemption:
    """A code, or a device code, ready to be redeemed: `spend` marks it as spent at a moment, and holds the whole condition.

    `refresh` is the refresh token that comes with it, until `refresh_until`; None if the client gets none.
    """

    client_id: str
    grant_id: int
    account_id: int
    scope: str
    scope_changed: bool
    cnf: Confirmation
    refresh: str | None
    refresh_until: datetime
    body: dict[str, Any]
    spend: Callable[[datetime], Update]

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Spend the code, once; hand out, if the grant still lives."""
        if not spend_once(self.spend(now)):
            # somebody was faster with the same code: RFC 6749 §4.1.2
            return Refused("invalid_grant", "code_replayed", client_id=self.client_id, ends_grant=self.grant_id)
        if not grant_facts.still_lives(self.grant_id):
            return Refused("invalid_grant", "grant_over", client_id=self.client_id)
        if self.scope_changed or self.cnf:
            session.execute(update(Grant).where(Grant.id == self.grant_id).values(scope=self.scope, cnf=self.cnf))
        audit.tokens_issued(now, account_id=self.account_id, client_id=self.client_id, grant_id=self.grant_id, scope=self.scope)
        if self.refresh is None:
            return self.body
        of = {"grant_id": self.grant_id, "client_id": self.client_id, "issued_at": now, "expires_at": self.refresh_until}
        refresh_tokens.add(self.refresh, of)
        return {**self.body, "refresh_token": self.refresh}


def ready(
    row: Any, client: Client, at: tokens.Moment, cnf: Confirmation, spend: Callable[[datetime], Update], nonce: str | None = None
) -> Redemption | Refused:
    """The redemption of a grant that lives (its facts in `row`), by what the rights leave of it now; Refused if that is nothing."""
    left = grant_facts.worth_now(row, client, at.today)
    if left is None:
        return Refused("invalid_grant", "licence_gone", client_id=client.client_id, ends_grant=row.grant_id)
    scope = " ".join(left)
    return Redemption(
        client_id=client.client_id,
        grant_id=row.grant_id,
        account_id=row.account_id,
        scope=scope,
        scope_changed=scope != row.scope,
        cnf=cnf,
        # whatever the scope: `offline_access` is not spoken here; R54: none by the legacy entry
        refresh=opaque_tokens.make() if "refresh_token" in client.registration.grant_types and row.only_system is None else None,
        refresh_until=min(at.now + at.refresh_life, row.expires_at),
        body=tokens.sign(row, left, client, nonce, at, cnf),
        spend=spend,
    )
