"""grant_type=authorization_code (RFC 6749 §4.1.3, RFC 7636 §4.6), up to the point where something is written.

1 the code exists for this client  2 it was not shown before  3 it is in time  4 redirect_uri  5 verifier  6 the key it
was bound to  7 the grant lives  8 resource  9 rights now  10 sign in memory
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import Update, bindparam, select, update

from idp import opaque_tokens
from idp.db import session
from idp.oidc import grant_facts, sender, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.clients import Client
from idp.oidc.grants import redemption
from idp.oidc.models import AuthorizationCode, Grant
from idp.oidc.refusal import Refused

MAX_CODE_CHARACTERS = 256
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_CODE = (
    *(AuthorizationCode.digest, AuthorizationCode.client_id, AuthorizationCode.redirect_uri, AuthorizationCode.code_challenge),
    *(AuthorizationCode.nonce, AuthorizationCode.dpop_jkt, AuthorizationCode.expires_at.label("code_expires_at"), AuthorizationCode.spent_at),
)
_FIND = grant_facts.with_holder(
    select(*_CODE, *grant_facts.FACTS).join(Grant, Grant.id == AuthorizationCode.grant_id).where(AuthorizationCode.digest == bindparam("digest"))
)


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment) -> redemption.Redemption | Refused:
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
    return redemption.ready(row, client, at, cnf, partial(_spend, row, client), nonce=row.nonce)


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


def _spend(row: Any, client: Client, now: datetime) -> Update:
    mine = (AuthorizationCode.digest == row.digest, AuthorizationCode.client_id == client.client_id)
    return update(AuthorizationCode).where(*mine, AuthorizationCode.spent_at.is_(None), AuthorizationCode.expires_at > now).values(spent_at=now)
