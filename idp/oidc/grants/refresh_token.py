"""grant_type=refresh_token (RFC 6749 §6, RFC 9700 §4.14, OIDC Core §12), up to the point where something is written, and the writing.

1 the token exists for this client  2 it was not replaced long ago  3 it is in time  4 shown by its key  5 the grant lives  6 resource
7 scope within the original request  8 rights now  9 sign in memory
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session
from idp.oidc import grant_facts, refresh_tokens, scopes, sender, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.clients import Client
from idp.oidc.models import Grant
from idp.oidc.refusal import Refused
from idp.oidc.sender import Confirmation
from idp.sessions import lifecycle

# How one of the ministry's systems says that its user has just clicked (R77); a parameter of our own, which others ignore (RFC 6749 §3.2).
ACTIVITY = "user_activity"


@dataclass(frozen=True)
class Renewal:
    """New tokens for a grant. `successor` replaces the token shown; None where it is not rotated, or was just now.

    `binds` is what the grant is bound to from now on; None if that does not change.
    `touched` is the session whose person is active, if the client may say so and did.
    """

    digest: str
    client_id: str
    grant_id: int
    account_id: int
    scope: str
    expires_at: datetime
    successor: str | None
    binds: Confirmation | None
    touched: int | None
    idle: timedelta
    body: dict[str, Any]

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Rotate once; hand out, if the grant still lives."""
        rotates = self.successor is not None and refresh_tokens.rotate(self.digest, self.client_id, now)
        if self.successor is not None and not rotates and not self._was_rotated(now):
            return _no("refresh_expired", self.client_id)
        # before the grant is held: a sign-out takes the session first, too
        if self.touched is not None:
            lifecycle.touch_live(self.touched, now, self.idle)
        if not grant_facts.still_lives(self.grant_id):
            return _no("grant_over", self.client_id)
        # RFC 9449 §5: whoever was slower with the same token got no successor, and no word in whose key the next one needs
        if self.binds is not None and (rotates or self.successor is None):
            session.execute(update(Grant).where(Grant.id == self.grant_id).values(cnf=self.binds))
        audit.tokens_issued(now, account_id=self.account_id, client_id=self.client_id, grant_id=self.grant_id, scope=self.scope)
        if self.successor is None or not rotates:
            return self.body
        of = {"grant_id": self.grant_id, "client_id": self.client_id, "issued_at": now, "expires_at": self.expires_at}
        refresh_tokens.add(self.successor, of)
        return {**self.body, "refresh_token": self.successor}

    def _was_rotated(self, now: datetime) -> bool:
        """Somebody was faster with the same token, a moment ago: an access token and no new refresh token."""
        at = refresh_tokens.rotated_at(self.digest)
        return at is not None and not refresh_tokens.replayed(at, now)


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment) -> Renewal | Refused:
    """What this refresh would answer, signed already; or the refusal."""
    client, cnf = caller.client, sender.confirmation(caller.client.registration, caller.sender)
    if isinstance(cnf, Refused):
        return cnf
    shown = form.get("refresh_token")
    if not shown:
        return Refused("invalid_request", "refresh_token_missing", client_id=client.client_id)
    row = refresh_tokens.find(shown)
    refused = _shown(row, client, at, cnf) or _live(row, form, client, at)
    return refused if refused is not None else _renewal(row, form, client, at, cnf)


def _no(reason: str, client_id: str, ends_grant: int | None = None) -> Refused:
    return Refused("invalid_grant", reason, client_id=client_id, ends_grant=ends_grant)


def _shown(row: Any, client: Client, at: tokens.Moment, cnf: Confirmation) -> Refused | None:
    # 1: another client's token is as good as none, and its family is left alone
    if row is None or row.client_id != client.client_id:
        return _no("refresh_unknown", client.client_id)
    # 2: one of the two who hold it is a thief
    if refresh_tokens.replayed(row.rotated_at, at.now):
        return _no("refresh_replayed", client.client_id, row.grant_id)
    # 3
    if at.now >= row.refresh_expires_at:
        return _no("refresh_expired", client.client_id)
    # 4: RFC 9449 §5: a confidential client proves itself, and may change its key, but nobody gets rid of the binding
    bound = row.cnf == cnf if client.registration.public else bool(cnf)
    return None if not row.cnf or bound else _no("refresh_key", client.client_id)


def _live(row: Any, form: Mapping[str, str], client: Client, at: tokens.Moment) -> Refused | None:
    # 5
    if grant_facts.over(row, at.now):
        return _no("grant_over", client.client_id)
    # 6: RFC 8707 §2.2
    if form.get("resource", row.resource) != row.resource:
        return Refused("invalid_target", "resource", client_id=client.client_id)
    # 7: what was asked for once may be asked for again, whatever came of it; anything else never (RFC 6749 §6)
    if not set(scopes.split(form.get("scope", ""))) <= set(scopes.split(row.requested_scope)):
        return Refused("invalid_scope", "scope", client_id=client.client_id)
    return None


def _renewal(row: Any, form: Mapping[str, str], client: Client, at: tokens.Moment, cnf: Confirmation) -> Renewal | Refused:
    # 8
    worth = grant_facts.worth_now(row, client, at.today)
    if worth is None:
        return _no("licence_gone", client.client_id, row.grant_id)
    wanted = scopes.split(form.get("scope", "")) or worth
    left = tuple(scope for scope in worth if scope in wanted)
    if not left:
        return Refused("invalid_scope", "scope", client_id=client.client_id)
    # 9: no nonce (OIDC Core §12.2)
    body = tokens.sign(row, left, client, None, at, cnf)
    return Renewal(
        digest=row.digest,
        client_id=client.client_id,
        grant_id=row.grant_id,
        account_id=row.account_id,
        scope=" ".join(left),
        expires_at=row.refresh_expires_at,
        # RFC 9700 §2.2.2: confidential clients prove themselves each time, bound tokens their key: theirs stays
        successor=opaque_tokens.make() if client.registration.public and not row.cnf and row.rotated_at is None else None,
        binds=_binds(row, client, cnf),
        touched=row.session_id if client.registration.first_party and form.get(ACTIVITY) == "true" else None,
        idle=at.idle,
        body=body,
    )


def _binds(row: Any, client: Client, cnf: Confirmation) -> Confirmation | None:
    """A first key binds what comes after it; a token that was rotated a moment ago decides nothing any more."""
    late = client.registration.public and row.rotated_at is not None
    return None if cnf == row.cnf or late else cnf
