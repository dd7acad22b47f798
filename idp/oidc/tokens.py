"""Tokens: signed in memory first, handed out by one short transaction (`settle`), which also commits what a refusal has learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from authlib.oidc.core.util import create_half_hash

from idp.audit import provider as audit
from idp.oidc import claims, jti, revocation, scopes, sender
from idp.oidc.client_authentication import Authenticated, refused
from idp.oidc.clients import Client
from idp.oidc.keys import KeyRing, KeySet
from idp.oidc.refusal import Refused, counted
from idp.oidc.sender import Confirmation

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105  # RFC 9068 §2.1, no secret
# Every resource server of the ministry verifies ES256, and it signs ten times faster than RS256.
ACCESS_TOKEN_ALG = "ES256"  # noqa: S105  # as above


@dataclass(frozen=True)
class Moment:
    """What a token request rests on beside form and client: time, day, issuer, keys, and the lives that the settings give."""

    now: datetime
    today: date
    issuer: str
    keys: KeyRing
    life: timedelta
    refresh_life: timedelta
    idle: timedelta


class Plan(Protocol):
    """What a request would do: its answer is signed, nothing is written yet."""

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Inside the transaction: write, and the answer; or what has changed since the plan was made."""


def sign(row: Any, granted: Sequence[str], client: Client, nonce: str | None, at: Moment, cnf: Confirmation) -> dict[str, Any]:
    """The answer for a grant (its facts in `row`): access token, bound to `cnf` if that is not empty, and an ID token where openid is granted."""
    facts = claims.Facts(at.issuer, client.client_id, row.grant_id, row.sub, row.sid, row.acr, row.amr, row.auth_time, row.entry_remaining)
    expires_at = min(at.now + at.life, row.expires_at)
    audience = scopes.audience(row.resource, granted, client.registration.system, at.issuer)
    scope, keys = " ".join(granted), at.keys.at(row.key_version)
    body = handed(keys, claims.access_token(facts, scope, audience, at.now, expires_at), client, at.now, cnf)
    if "openid" not in granted:
        return body
    alg = client.registration.id_token_signed_response_alg
    half = create_half_hash(body["access_token"], alg)
    # CVE-2026-28498: an algorithm without a hash must not leave the token unbound
    if half is None:
        raise RuntimeError(f"no at_hash for {alg}")
    # what was asked for one by one (OIDC Core §5.5), never over the claims of the protocol
    named = claims.allowed(row.claims.get("id_token", ()), client.registration.scopes)
    content = {**claims.told(row.account_id, named), **claims.id_token(facts, nonce, half.decode(), at.now, expires_at)}
    return body | {"id_token": keys.sign(content, alg, "JWT")}


def handed(keys: KeySet, content: dict[str, Any], client: Client, now: datetime, cnf: Confirmation) -> dict[str, Any]:
    """The answer that hands out one access token of these claims (RFC 6749 §5.1); `gen` is the generation that the client must still be of."""
    bound = {**content, "gen": client.generation, **({"cnf": cnf} if cnf else {})}
    access = keys.sign(bound, ACCESS_TOKEN_ALG, ACCESS_TOKEN_TYPE)
    return {
        "access_token": access,
        "token_type": sender.token_type(cnf),
        "expires_in": content["exp"] - int(now.timestamp()),
        "scope": content["scope"],
    }


def settle(caller: Authenticated, plan: Plan | Refused, now: datetime, counter: str) -> dict[str, Any] | Refused:
    """Inside the transaction: spend what was shown, then do or refuse. A refusal is committed too, with what it ends.

    `counter` is the key under which refusals that cost nothing are counted.
    """
    client_id = caller.client.client_id
    # the assertion first: a replayed one does nothing
    if caller.jti is not None and not jti.spend(caller.jti):
        return counted(refused("assertion_replayed", client_id), counter, client_id, now)
    # RFC 9449 §11.1
    if caller.sender.jti is not None and not jti.spend(caller.sender.jti):
        return counted(Refused("invalid_dpop_proof", "dpop_replayed", client_id=client_id), counter, client_id, now)
    outcome = plan if isinstance(plan, Refused) else plan.commit(now)
    if not isinstance(outcome, Refused) or outcome.expected:
        return outcome
    # what ends a grant happens once, and is always written down; all else anybody who holds a spent code, or a key of its own, can repeat
    if outcome.ends_grant is not None and revocation.end_grant(outcome.ends_grant, outcome.reason, now):
        audit.client_refused(now, client_id=outcome.client_id, reason=outcome.reason)
        return outcome
    return counted(outcome, counter, outcome.client_id, now)
