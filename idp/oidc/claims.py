"""What tokens and userinfo say about a person and about the authorization. Protocol claims and profile claims never mix."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select

from idp import opaque_tokens
from idp.accounts.models import Account, AccountName
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.oidc import scopes
from idp.oidc.claims_request import ClaimsRequest

# the claims about a person that a scope releases, or the `claims` parameter one by one
BY_SCOPE = {
    "profile": ("name", "preferred_username", "updated_at"),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "enterprise": ("enterprise_code", "uscc", "enterprise_name"),
}
_SCOPE_OF = {name: scope for scope, names in BY_SCOPE.items() for name in names}
SUPPORTED = (
    *("iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "at_hash", "sid"),
    *_SCOPE_OF,
    *("licences", "legacy_usernames", "legacy_entry_remaining"),
)


def scope_of(name: str) -> str:
    """The scope that releases a claim together with others of its kind; "" if none does."""
    return _SCOPE_OF.get(name, "")


def asked(request: ClaimsRequest, scopes_: Collection[str]) -> dict[str, list[str]]:
    """The claims asked for one by one that a client with these scopes may have, by the place where they are to stand."""
    places = {"id_token": request.id_token, "userinfo": request.userinfo}
    kept = {place: allowed(sorted(wishes), scopes_) for place, wishes in places.items()}
    return {place: names for place, names in kept.items() if names}


def allowed(names: Iterable[str], scopes_: Collection[str]) -> list[str]:
    """Of these claims those that a client with these scopes may be told."""
    return [name for name in names if scope_of(name) in scopes_]


@dataclass(frozen=True)
class Facts:
    """The facts of one grant that its tokens state; `entry_remaining` see `entry`."""

    issuer: str
    client_id: str
    grant_id: int
    sub: str
    sid: str | None
    acr: str
    amr: list[str]
    auth_time: datetime
    entry_remaining: int | None = None


def entry(remaining: int | None) -> dict[str, int]:
    """R64: how often the person may still come by the legacy entry; nothing where that is not how they came, or it is not counted."""
    return {"legacy_entry_remaining": remaining} if remaining is not None else {}


def id_token(facts: Facts, nonce: str | None, at_hash: str, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """Claims of an ID token (OIDC Core §2); no personal data, that is for userinfo."""
    claims: dict[str, Any] = {
        "iss": facts.issuer,
        "sub": facts.sub,
        "aud": facts.client_id,
        "exp": int(expires_at.timestamp()),
        "iat": int(now.timestamp()),
        "auth_time": int(facts.auth_time.timestamp()),
        "acr": facts.acr,
        "amr": facts.amr,
        "at_hash": at_hash,
    }
    claims |= entry(facts.entry_remaining)
    # exactly the nonce that was sent, and none if none was
    return claims | ({"nonce": nonce} if nonce is not None else {}) | ({"sid": facts.sid} if facts.sid else {})


def access_token(facts: Facts, scope: str, audience: list[str], now: datetime, expires_at: datetime) -> dict[str, Any]:
    """Claims of an access token (RFC 9068 §2.2); `gid` is the grant that it lives and dies with."""
    return {
        "iss": facts.issuer,
        "sub": facts.sub,
        "aud": audience if len(audience) > 1 else audience[0],
        "exp": int(expires_at.timestamp()),
        "iat": int(now.timestamp()),
        "jti": opaque_tokens.make(),
        "client_id": facts.client_id,
        "scope": scope,
        "auth_time": int(facts.auth_time.timestamp()),
        "acr": facts.acr,
        "gid": str(facts.grant_id),
    }


def own_access_token(issuer: str, client_id: str, scope: str, audience: str, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """Claims of an access token that a client holds in its own name (RFC 9068 §2.2: `sub` is the client)."""
    return {
        "iss": issuer,
        "sub": client_id,
        "aud": audience,
        "exp": int(expires_at.timestamp()),
        "iat": int(now.timestamp()),
        "jti": opaque_tokens.make(),
        "client_id": client_id,
        "scope": scope,
    }


# --- userinfo -------------------------------------------------------------------------------------------------------------------------------

_PERSON = (
    select(
        Account.display_name,
        Account.updated_at,
        Account.email,
        Account.email_proven_at,
        Account.mobile,
        Account.mobile_proven_at,
        Enterprise.code,
        Enterprise.uscc,
        Enterprise.name.label("enterprise_name"),
    )
    .outerjoin(Enterprise, Enterprise.id == Account.enterprise_id)
    .where(Account.id == bindparam("account_id"))
)
_MINE = AccountName.account_id == bindparam("account_id")
_CANONICAL = select(AccountName.name).where(_MINE, AccountName.canonical).order_by(AccountName.id).limit(1)
_OLD_NAMES = (
    select(AccountName.local_name)
    .where(_MINE, AccountName.system == bindparam("system"), AccountName.local_name.is_not(None), AccountName.local_name != "")
    .order_by(AccountName.id)
)


def userinfo(account_id: int, sub: str, granted: Collection[str], client_system: str | None, named: Collection[str] = ()) -> dict[str, Any]:
    """The released claims (OIDC Core §5.3): `granted` are the scopes that hold now, licences already cut to the rights; `named` see `told`."""
    said = told(account_id, [*(name for scope in granted for name in BY_SCOPE.get(scope, ())), *named])
    if scopes.systems_of(granted):
        said["licences"] = sorted(scopes.systems_of(granted))
    # D11: only the client's own old names, and only under its own licence; absent = create the user by `sub`
    if client_system is not None and scopes.LICENCE + client_system in granted:
        said |= _filled({"legacy_usernames": _old_names(account_id, client_system)})
    # protocol claims are laid over, never under
    return {**said, "sub": sub}


def told(account_id: int, names: Collection[str]) -> dict[str, Any]:
    """The claims of these names that the account has a value for."""
    wanted, said = set(names), dict[str, Any]()
    if wanted - {"preferred_username"}:
        said = _about(session.connection().execute(_PERSON, {"account_id": account_id}).mappings().one())
    if "preferred_username" in wanted:
        said["preferred_username"] = session.connection().execute(_CANONICAL, {"account_id": account_id}).scalar()
    return _filled({name: value for name, value in said.items() if name in wanted})


def _filled(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value not in (None, "", [])}


def _about(person: RowMapping) -> dict[str, Any]:
    return {
        "name": person["display_name"],
        "updated_at": int(person["updated_at"].timestamp()),
        "email": person["email"],
        "email_verified": person["email_proven_at"] is not None if person["email"] else None,
        "phone_number": person["mobile"],
        "phone_number_verified": person["mobile_proven_at"] is not None if person["mobile"] else None,
        "enterprise_code": person["code"],
        "uscc": person["uscc"],
        "enterprise_name": person["enterprise_name"],
    }


def _old_names(account_id: int, system: str) -> list[str]:
    # a dual-use user has two names here and one there (D1)
    rows = session.connection().execute(_OLD_NAMES, {"account_id": account_id, "system": system})
    return list(dict.fromkeys(row.local_name for row in rows))
