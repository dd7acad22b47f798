"""grant_type=authorization_code (RFC 6749 §4.1.3, RFC 7636 §4.6), up to the point where something is written.

1 the code exists for this client  2 it was not shown before  3 it is in time  4 redirect_uri  5 verifier  6 the key it
was bound to  7 the grant lives  8 resource  9 rights now  10 sign in memory
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import bindparam, select, update

from idp import opaque_tokens
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.oidc import grant_facts, refresh_tokens, sender, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.clients import Client
from idp.oidc.models import AuthorizationCode, Grant
from idp.oidc.refusal import Refused
from idp.oidc.sender import Confirmation

MAX_CODE_CHARACTERS = 256
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_CODE = (
    *(AuthorizationCode.digest, AuthorizationCode.client_id, AuthorizationCode.redirect_uri, AuthorizationCode.code_challenge),
    *(AuthorizationCode.nonce, AuthorizationCode.dpop_jkt, AuthorizationCode.expires_at.label("code_expires_at"), AuthorizationCode.spent_at),
)
_FIND = grant_facts.with_holder(
    select(*_CODE, *grant_facts.FACTS).join(Grant, Grant.id == AuthorizationCode.grant_id).where(AuthorizationCode.digest == bindparam("digest"))
)


@dataclass(frozen=True)
class Redemption:
    """A code ready to be redeemed. `refresh` is the refresh token that comes with it, until `refresh_until`; None if the client gets none."""

    code_digest: str
    client_id: str
    grant_id: int
    account_id: int
    scope: str
    scope_changed: bool
    cnf: Confirmation
    refresh: str | None
    refresh_until: datetime
    body: dict[str, Any]

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Spend the code, once; hand out, if the grant still lives."""
        mine = (AuthorizationCode.digest == self.code_digest, AuthorizationCode.client_id == self.client_id)
        unspent = (AuthorizationCode.spent_at.is_(None), AuthorizationCode.expires_at > now)
        if not spend_once(update(AuthorizationCode).where(*mine, *unspent).values(spent_at=now)):
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


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment) -> Redemption | Refused:
    """What redeeming this code would answer, signed already; or the refusal."""
    client, cnf = caller.client, sender.confirmation(caller.client.registration, caller.sender)
    if isinstance(cnf, Refused):
        return cnf
    code = form.get("code")
    if not code:
        return Refused("invalid_request", "code_missing", client_id=client.client_id)
    row = session.connection().execute(_FIND, {"digest": opaque_tokens.digest(code[:MAX_CODE_CHARACTERS])}).one_or_none()
    refused = _shown(row, client, at) or _proven(row, form, caller) or _live(row, form, client, at)
    if refused is not None or row is None:
        return refused or _no("code_unknown", client)
    return _redemption(row, client, at, cnf)


def _no(reason: str, client: Client, ends_grant: int | None = None) -> Refused:
    return Refused("invalid_grant", reason, client_id=client.client_id, ends_grant=ends_grant)


def _shown(row: Any, client: Client, at: tokens.Moment) -> Refused | None:
    # 1: another client's code is as good as none, and nothing happens to it
    if row is None or row.client_id != client.client_id:
        return _no("code_unknown", client)
    # 2: RFC 6749 §4.1.2: what came of it ends
    if row.spent_at is not None:
        return _no("code_replayed", client, row.grant_id)
    # 3
    return _no("code_expired", client) if at.now >= row.code_expires_at else None


def _proven(row: Any, form: Mapping[str, str], caller: Authenticated) -> Refused | None:
    client = caller.client
    # 4: RFC 6749 §4.1.3
    if form.get("redirect_uri") != row.redirect_uri:
        return _no("redirect_uri", client)
    # 5: a challenge that was sent is always enforced, and a verifier without one is a downgrade (RFC 9700 §4.8.2)
    verifier = form.get("code_verifier")
    if (verifier is None) != (row.code_challenge is None):
        return _no("code_verifier_missing" if verifier is None else "code_verifier_unasked", client)
    if verifier is not None and not (_VERIFIER.match(verifier) and opaque_tokens.same(_s256(verifier), row.code_challenge)):
        return _no("code_verifier", client)
    # 6: RFC 9449 §10
    return _no("code_dpop_key", client) if row.dpop_jkt is not None and row.dpop_jkt != caller.sender.jkt else None


def _s256(verifier: str) -> str:
    challenge: str = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]  # untyped in authlib's stubs
    return challenge


def _live(row: Any, form: Mapping[str, str], client: Client, at: tokens.Moment) -> Refused | None:
    # 7
    if grant_facts.over(row, at.now):
        return _no("grant_over", client)
    # 8: RFC 8707 §2.2: no other resource than the authorized one
    if form.get("resource", row.resource) != row.resource:
        return Refused("invalid_target", "resource", client_id=client.client_id)
    return None


def _redemption(row: Any, client: Client, at: tokens.Moment, cnf: Confirmation) -> Redemption | Refused:
    # 9
    left = grant_facts.worth_now(row, client, at.today)
    if left is None:
        return _no("licence_gone", client, row.grant_id)
    # 10
    scope = " ".join(left)
    return Redemption(
        code_digest=row.digest,
        client_id=client.client_id,
        grant_id=row.grant_id,
        account_id=row.account_id,
        scope=scope,
        scope_changed=scope != row.scope,
        cnf=cnf,
        # whatever the scope: `offline_access` is not spoken here
        refresh=opaque_tokens.make() if "refresh_token" in client.registration.grant_types else None,
        refresh_until=min(at.now + at.refresh_life, row.expires_at),
        body=tokens.sign(row, left, client, row.nonce, at, cnf),
    )
