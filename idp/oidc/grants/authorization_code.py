"""grant_type=authorization_code (RFC 6749 §4.1.3, RFC 7636 §4.6), up to the point where something is written.

1 the code exists for this client  2 it was not shown before  3 it is in time  4 redirect_uri  5 verifier  6 the grant lives
7 resource  8 rights now  9 sign in memory
"""

import re
from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import bindparam, select

from idp import opaque_tokens
from idp.accounts.models import Account
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements import rules as entitlements
from idp.oidc import scopes, tokens
from idp.oidc.clients import Client
from idp.oidc.keys import VERSION
from idp.oidc.models import AuthorizationCode, Grant
from idp.oidc.refusal import Refused

MAX_CODE_CHARACTERS = 256
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_FIND = (
    select(
        *(AuthorizationCode.digest, AuthorizationCode.client_id, AuthorizationCode.redirect_uri, AuthorizationCode.code_challenge),
        *(AuthorizationCode.nonce, AuthorizationCode.expires_at.label("code_expires_at"), AuthorizationCode.spent_at),
        *(
            Grant.id.label("grant_id"),
            Grant.account_id,
            Grant.sid,
            Grant.asked_scope,
            Grant.scope,
            Grant.resource,
            Grant.acr,
            Grant.amr,
            Grant.auth_time,
        ),
        *(Grant.epoch, Grant.expires_at, Grant.ended_at, Account.sub, Account.epoch.label("account_epoch")),
        *(Account.status, Enterprise.status.label("enterprise_status"), VERSION.label("key_version")),
    )
    .join(Grant, Grant.id == AuthorizationCode.grant_id)
    .join(Account, Account.id == Grant.account_id)
    .join(Enterprise, Enterprise.id == Account.enterprise_id)
    .where(AuthorizationCode.digest == bindparam("digest"))
)


def plan(form: Mapping[str, str], client: Client, at: tokens.Moment) -> tokens.Redemption | Refused:
    """What redeeming this code would answer, signed already; or the refusal."""
    code = form.get("code")
    if not code:
        return Refused("invalid_request", "code_missing", client_id=client.client_id)
    row = session.connection().execute(_FIND, {"digest": opaque_tokens.digest(code[:MAX_CODE_CHARACTERS])}).one_or_none()
    refused = _shown(row, client, at) or _proven(row, form, client) or _live(row, form, client, at)
    if refused is not None or row is None:
        return refused or _no("code_unknown", client)
    return _redemption(row, client, at)


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


def _proven(row: Any, form: Mapping[str, str], client: Client) -> Refused | None:
    # 4: RFC 6749 §4.1.3
    if form.get("redirect_uri") != row.redirect_uri:
        return _no("redirect_uri", client)
    # 5: a challenge that was sent is always enforced, and a verifier without one is a downgrade (RFC 9700 §4.8.2)
    verifier = form.get("code_verifier")
    if (verifier is None) != (row.code_challenge is None):
        return _no("code_verifier_missing" if verifier is None else "code_verifier_unasked", client)
    if verifier is not None and not (_VERIFIER.match(verifier) and opaque_tokens.same(_s256(verifier), row.code_challenge)):
        return _no("code_verifier", client)
    return None


def _s256(verifier: str) -> str:
    challenge: str = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]  # untyped in authlib's stubs
    return challenge


def _live(row: Any, form: Mapping[str, str], client: Client, at: tokens.Moment) -> Refused | None:
    # 6
    active = row.status == "active" and row.enterprise_status == "active" and row.epoch == row.account_epoch
    if row.ended_at is not None or at.now >= row.expires_at or not active:
        return _no("grant_over", client)
    # 7: RFC 8707 §2.2: no other resource than the authorized one
    if form.get("resource", row.resource) != row.resource:
        return Refused("invalid_target", "resource", client_id=client.client_id)
    return None


def _redemption(row: Any, client: Client, at: tokens.Moment) -> tokens.Redemption | Refused:
    # 8
    asked = tuple(scope for scope in scopes.split(row.asked_scope) if scope in client.registration.scopes)
    left = scopes.entitled(asked, entitlements.open_systems(row.account_id, at.today)) if scopes.systems_of(asked) else asked
    if not left or scopes.lost_every_licence(scopes.split(row.asked_scope), left):
        return _no("licence_gone", client, row.grant_id)
    # 9
    scope = " ".join(left)
    body = tokens.sign(row, left, client, at)
    return tokens.Redemption(row.digest, client.client_id, row.grant_id, row.account_id, scope, scope != row.scope, body)
