"""Dynamic registration (RFC 7591, RFC 7592, OIDC Registration): what strangers may register, by whose leave, and how it is told back.

1 JSON that can be stored  2 nothing that is not offered  3 our own members only by the token's policy  4 judged like any client
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import delete, select, update

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session, spend_once
from idp.errors import BadInput
from idp.limits import Rule, take
from idp.oidc import acr, claims_request, scopes
from idp.oidc.client_models import InitialAccessToken
from idp.oidc.models import ClientRecord
from idp.oidc.registration import CLIENT_ID, DEVICE_CODE, SINGLE_URIS, GrantType, Registration, ResponseType, judge

# What an initial access token lets its clients be. `certification` is what the OpenID Foundation's suite does: no PKCE, an older audience, and
# servers in the network of whoever runs it.
POLICIES: dict[str, dict[str, Any]] = {
    "default": {"public_addresses_only": True},
    "certification": {"require_pkce": False, "assertion_audience": "compat"},
}
# registrations whose addresses are looked up: by one token, an initial or a client's own, and from one network
BY_TOKEN = Rule("client_registration", 20, 60)
BY_NETWORK = Rule("client_registration_network", 40, 60)
MAX_UNKNOWN_MEMBERS = 50
MAX_UNKNOWN_CHARACTERS = 8192
MAX_NAME_CHARACTERS = 100
MAX_DEPTH = 8
# given by operators alone
OWN = frozenset(
    {"system", "profile", "first_party", "require_pkce", "require_acr", "assertion_audience", "form_action_origins", "public_addresses_only"}
)
# what the answer tells, so that a request has no say in it (RFC 7592 §2.2)
ANSWERED = frozenset({"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"})
# not offered and harmless: left out of what is registered, and so of the answer (RFC 7591 §2)
LEFT_OUT = frozenset(
    {
        *("request_uris", "request_object_encryption_alg", "request_object_encryption_enc"),
        *("frontchannel_logout_uri", "frontchannel_logout_session_required"),
        # a secret is made here, or is not one: what is sent is neither kept nor told
        "client_secret",
    }
)
# not offered, and whoever asks for it relies on it
REFUSED = frozenset(
    {
        *("id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc"),
        *("authorization_encrypted_response_alg", "authorization_encrypted_response_enc", "software_statement"),
    }
)
# lists that may name more than is offered here, as long as what everything starts with is among them: member → (that, all that is offered)
FLOWS = {"grant_types": ("authorization_code", get_args(GrantType)), "response_types": ("code", get_args(ResponseType))}
KNOWN = frozenset(field.alias or name for name, field in Registration.model_fields.items())


@dataclass(frozen=True)
class Rejected:
    """An error of RFC 7591 §3.2.2 and the sentence that says why; `retry_after` (seconds): it came too often."""

    error: str
    description: str
    retry_after: int | None = None


@dataclass(frozen=True)
class Wanted:
    """Metadata that may be stored: what we know, and what means nothing to us but is kept and told back."""

    registration: Registration
    unknown: dict[str, Any]


def read(body: bytes) -> dict[str, Any] | Rejected:
    """The JSON object of a request, without members that are null (RFC 7592 §2.2: null means left out)."""
    try:
        text = body.decode("utf-8")
        # before anything is parsed: what is nested deeper than this, some step on the way could not walk
        if claims_request.depth(text) > MAX_DEPTH:
            return Rejected("invalid_client_metadata", f"nested deeper than {MAX_DEPTH}")
        # 1: NaN and 1e999 are no JSON, and half of a surrogate pair is no text
        sent = json.loads(text)
        json.dumps(sent, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return Rejected("invalid_client_metadata", "the body is no JSON that can be stored")
    if not isinstance(sent, dict):
        return Rejected("invalid_client_metadata", "the body is no JSON object")
    return {name: value for name, value in sent.items() if value is not None}


def judged(
    sent: Mapping[str, Any], client_id: str, own: Mapping[str, Any], licences: Collection[str] = (), *, device: bool = False
) -> Wanted | Rejected:
    """What of the sent metadata becomes the client; `own` are the members that an operator or a policy gives, `licences` scopes of that kind.

    `device`: the device grant is offered.
    """
    fault = _fault(sent)
    if fault is not None:
        return Rejected("invalid_client_metadata", fault)
    unknown = {name: value for name, value in sent.items() if name not in KNOWN and name not in LEFT_OUT | REFUSED}
    if (
        len(unknown) > MAX_UNKNOWN_MEMBERS
        or len(json.dumps(unknown)) > MAX_UNKNOWN_CHARACTERS
        or any(len(name) > MAX_NAME_CHARACTERS for name in unknown)
    ):
        return Rejected("invalid_client_metadata", "too much that is unknown here")
    members = {name: value for name, value in sent.items() if name in KNOWN}
    return _whole(_within_reach(members, licences, device=device), client_id, own, unknown)


def _fault(sent: Mapping[str, Any]) -> str | None:
    # 2
    for name in sorted(REFUSED & set(sent)):
        if sent[name] is not False:
            return f"{name}: not offered"
    # 3
    for name in sorted((OWN | ANSWERED) & set(sent)):
        return f"{name}: not for clients to say"
    # OIDC Registration §2: https; plain http on loopback is for what operators register
    for name in SINGLE_URIS:
        if not str(sent.get(name, "https:")).startswith("https:"):
            return f"{name}: must be https"
    return None


def _within_reach(members: dict[str, Any], licences: Collection[str], *, device: bool) -> dict[str, Any]:
    """What we do not know, or give through operators only, of scopes, levels and flows is left out; the answer shows the rest (RFC 7591 §3.2.1)."""
    asked = members.pop("scope", None)
    if isinstance(asked, str):
        kept = [scope for scope in scopes.split(asked) if scope in scopes.STANDARD or scope in licences]
        members |= {"scope": " ".join(kept)} if kept else {}
    elif asked is not None:
        members["scope"] = asked
    levels, known = members.get("default_acr_values"), {level.acr for level in acr.LEVELS}
    if isinstance(levels, list):
        members["default_acr_values"] = [level for level in levels if not isinstance(level, str) or level in known]
    if not device and isinstance(members.get("grant_types"), list):
        members["grant_types"] = [each for each in members["grant_types"] if each != DEVICE_CODE]
    return members | {name: _offered(name, members[name]) for name in FLOWS if name in members}


def _offered(name: str, asked: Any) -> Any:
    """Without the flows that are not offered; the same again where the one that is needed is not asked for, for the judge to refuse."""
    needed, offered = FLOWS[name]
    if not isinstance(asked, list) or needed not in asked:
        return asked
    return [each for each in asked if not isinstance(each, str) or each in offered]


def _whole(members: dict[str, Any], client_id: str, own: Mapping[str, Any], unknown: dict[str, Any]) -> Wanted | Rejected:
    given = dict(own)
    # a public client has nothing but PKCE, whatever the policy
    if members.get("token_endpoint_auth_method") == "none":
        given.pop("require_pkce", None)
    try:
        # 4
        return Wanted(judge({**members, **given, "client_id": client_id}), unknown)
    except BadInput as error:
        return rejected(error)


def rejected(error: BadInput) -> Rejected:
    """The error of RFC 7591 for what is wrong."""
    about = (error.field or "").split(".")[0]
    return Rejected("invalid_redirect_uri" if about == "redirect_uris" else "invalid_client_metadata", str(error))


def told(registration: Registration, unknown: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is registered, defaults too (RFC 7591 §3.2.1); our own members are between us and our operators."""
    whole = registration.model_dump(mode="json", by_alias=True)
    said = {name: value for name, value in whole.items() if name not in OWN and value not in (None, "", [])}
    return {**unknown, **said}


def too_often(token: str, network: str, now: datetime) -> Rejected | None:
    """Count one registration that has names looked up (inside a transaction): a refused one spends no leave, and holds a thread for seconds."""
    taken = [take(BY_TOKEN, opaque_tokens.digest(token), now), take(BY_NETWORK, network, now)]
    until = [each.retry_at for each in taken if not each.allowed]
    if not until:
        return None
    return Rejected("temporarily_unavailable", "too many registrations; try again later", max(1, int((max(until) - now).total_seconds())))


# --- initial access tokens ------------------------------------------------------------------------------------------------------------------


def allow(policy: str, uses: int, expires_at: datetime, now: datetime) -> str:
    """A fresh initial access token (inside a transaction); shown once, kept as a digest."""
    token = opaque_tokens.make()
    session.add(InitialAccessToken(digest=opaque_tokens.digest(token), policy=policy, uses_left=uses, made_at=now, expires_at=expires_at))
    audit.initial_access_token_made(now, policy=policy, uses=uses)
    return token


def policy_of(token: str, now: datetime) -> str | None:
    """The policy of a token that could still be used; None otherwise. Nothing is spent yet."""
    live = (InitialAccessToken.uses_left > 0, InitialAccessToken.expires_at > now)
    return session.scalar(select(InitialAccessToken.policy).where(InitialAccessToken.digest == opaque_tokens.digest(token), *live))


def offered(policy: str, *, production: bool) -> bool:
    """Whether clients may be made under that policy here: not `certification` in production, for they would go without PKCE."""
    return not (production and policy == "certification")


def use(token: str, now: datetime) -> bool:
    """Spend one use (inside the transaction that registers); of many at once no more than were allowed."""
    mine = (InitialAccessToken.digest == opaque_tokens.digest(token), InitialAccessToken.uses_left > 0, InitialAccessToken.expires_at > now)
    return spend_once(update(InitialAccessToken).where(*mine).values(uses_left=InitialAccessToken.uses_left - 1))


def sweep(now: datetime) -> None:
    """Drop tokens past their time (a job of the worker)."""
    session.execute(delete(InitialAccessToken).where(InitialAccessToken.expires_at < now))


def client_of(client_id: str, token: str, *, hold: bool = False) -> ClientRecord | None:
    """The client whose own registration access token this is; None if it is another's, or the client is off (it cannot switch itself on).

    With `hold` (inside a transaction) it stays so until the commit.
    """
    row = session.get(ClientRecord, client_id, with_for_update=hold) if CLIENT_ID.match(client_id) else None
    if row is None or row.access_digest is None or row.disabled_at is not None:
        return None
    return row if opaque_tokens.same(row.access_digest, opaque_tokens.digest(token)) else None
