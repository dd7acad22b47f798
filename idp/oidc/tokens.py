"""Tokens: signed in memory first, handed out by one short transaction (`settle`), which also commits what a refusal has learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from authlib.oidc.core.util import create_half_hash
from sqlalchemy import bindparam, select, update

from idp.accounts.models import Account
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.oidc import claims, client_assertions, jose, revocation, scopes
from idp.oidc.client_authentication import Authenticated, refused
from idp.oidc.clients import Client
from idp.oidc.keys import KeyRing, KeySet
from idp.oidc.models import AuthorizationCode, Grant
from idp.oidc.refusal import Refused

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105  # RFC 9068 §2.1, no secret
# Every resource server of the ministry verifies ES256, and it signs ten times faster than RS256.
ACCESS_TOKEN_ALG = "ES256"  # noqa: S105  # as above


@dataclass(frozen=True)
class Moment:
    """What a token request rests on beside form and client: time, day, issuer, lives, keys."""

    now: datetime
    today: date
    issuer: str
    life: timedelta
    keys: KeyRing


@dataclass(frozen=True)
class Redemption:
    """A code ready to be redeemed: its answer is signed, nothing is written yet."""

    code_digest: str
    client_id: str
    grant_id: int
    account_id: int
    scope: str
    scope_changed: bool
    body: dict[str, Any]


def sign(row: Any, granted: Sequence[str], client: Client, at: Moment) -> dict[str, Any]:
    """The answer for a grant (its facts in `row`): access token, and an ID token where openid is granted."""
    keys = at.keys.at(row.key_version)
    facts = claims.Facts(at.issuer, client.client_id, row.grant_id, row.sub, row.sid, row.acr, row.amr, row.auth_time)
    expires_at = min(at.now + at.life, row.expires_at)
    audience = scopes.audience(row.resource, granted, client.registration.system, at.issuer)
    scope = " ".join(granted)
    access = _signed(keys, ACCESS_TOKEN_ALG, claims.access_token(facts, scope, audience, at.now, expires_at), ACCESS_TOKEN_TYPE)
    body = {"access_token": access, "token_type": "Bearer", "expires_in": int((expires_at - at.now).total_seconds()), "scope": scope}
    if "openid" not in granted:
        return body
    alg = client.registration.id_token_signed_response_alg
    half = create_half_hash(access, alg)
    # CVE-2026-28498: an algorithm without a hash must not leave the token unbound
    if half is None:
        raise RuntimeError(f"no at_hash for {alg}")
    return body | {"id_token": _signed(keys, alg, claims.id_token(facts, row.nonce, half.decode(), at.now, expires_at), "JWT")}


def _signed(keys: KeySet, alg: str, content: dict[str, Any], typ: str) -> str:
    signer = keys.signers[alg]
    return jose.signed(signer.key, signer.kid, alg, content, typ)


def settle(caller: Authenticated, plan: Redemption | Refused, now: datetime) -> dict[str, Any] | Refused:
    """Inside the transaction: spend what was shown, then redeem or refuse. A refusal is committed too, with what it ends."""
    # the assertion first: a replayed one redeems nothing
    if caller.jti is not None and not client_assertions.spend(caller.jti):
        return _refuse(refused("assertion_replayed", caller.client.client_id), now)
    return _refuse(plan, now) if isinstance(plan, Refused) else _redeem(plan, now)


def _refuse(no: Refused, now: datetime) -> Refused:
    audit.client_refused(now, client_id=no.client_id, reason=no.reason)
    if no.ends_grant is not None:
        revocation.end_grant(no.ends_grant, no.reason, now)
    return no


def _redeem(plan: Redemption, now: datetime) -> dict[str, Any] | Refused:
    unspent = (AuthorizationCode.spent_at.is_(None), AuthorizationCode.expires_at > now)
    mine = (AuthorizationCode.digest == plan.code_digest, AuthorizationCode.client_id == plan.client_id)
    if not spend_once(update(AuthorizationCode).where(*mine, *unspent).values(spent_at=now)):
        # somebody was faster with the same code: RFC 6749 §4.1.2
        return _refuse(Refused("invalid_grant", "code_replayed", client_id=plan.client_id, ends_grant=plan.grant_id), now)
    if not _still_live(plan.grant_id):
        return _refuse(Refused("invalid_grant", "grant_over", client_id=plan.client_id), now)
    if plan.scope_changed:
        session.execute(update(Grant).where(Grant.id == plan.grant_id).values(scope=plan.scope))
    audit.tokens_issued(now, account_id=plan.account_id, client_id=plan.client_id, grant_id=plan.grant_id, scope=plan.scope)
    return plan.body


_LIVE = (
    select(Grant.id)
    .join(Account, Account.id == Grant.account_id)
    .where(Grant.id == bindparam("grant_id"), Grant.ended_at.is_(None), Grant.epoch == Account.epoch)
    .with_for_update(of=Grant)
)


def _still_live(grant_id: int) -> bool:
    """Whether the grant lives in the transaction that redeems; a sign-out that committed first is seen here."""
    return session.connection().execute(_LIVE, {"grant_id": grant_id}).one_or_none() is not None
