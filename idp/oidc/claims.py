"""What tokens and userinfo say about a person and about the authorization. Protocol claims and profile claims never mix."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select

from idp import opaque_tokens
from idp.accounts.models import Account, AccountName
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.oidc import scopes

SUPPORTED = (
    *("iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "at_hash", "sid"),
    *("name", "preferred_username", "updated_at", "email", "email_verified", "phone_number", "phone_number_verified"),
    *("enterprise_code", "uscc", "enterprise_name", "licences", "legacy_usernames"),
)


@dataclass(frozen=True)
class Facts:
    """The facts of one grant that its tokens state."""

    issuer: str
    client_id: str
    grant_id: int
    sub: str
    sid: str | None
    acr: str
    amr: list[str]
    auth_time: datetime


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


# --- userinfo -------------------------------------------------------------------------------------------------------------------------------

_PROFILE = {"profile", "email", "phone"}
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
    .join(Enterprise, Enterprise.id == Account.enterprise_id)
    .where(Account.id == bindparam("account_id"))
)
_NAMES = (
    select(AccountName.name, AccountName.canonical, AccountName.system, AccountName.local_name)
    .where(AccountName.account_id == bindparam("account_id"))
    .order_by(AccountName.id)
)


def userinfo(account_id: int, sub: str, granted: Collection[str], client_system: str | None) -> dict[str, Any]:
    """The released claims (OIDC Core §5.3): `granted` are the scopes that hold now, licences already cut to the rights."""
    said: dict[str, Any] = {}
    if {*_PROFILE, "enterprise"} & set(granted):
        said |= _told(session.connection().execute(_PERSON, {"account_id": account_id}).mappings().one(), granted)
    if "profile" in granted or scopes.systems_of(granted):
        said |= _names(account_id, granted, client_system)
    if scopes.systems_of(granted):
        said["licences"] = sorted(scopes.systems_of(granted))
    # protocol claims are laid over, never under
    return {**{name: value for name, value in said.items() if value not in (None, "")}, "sub": sub}


def _told(person: RowMapping, granted: Collection[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "profile" in granted:
        told |= {"name": person["display_name"], "updated_at": int(person["updated_at"].timestamp())}
    if "email" in granted and person["email"]:
        told |= {"email": person["email"], "email_verified": person["email_proven_at"] is not None}
    if "phone" in granted and person["mobile"]:
        told |= {"phone_number": person["mobile"], "phone_number_verified": person["mobile_proven_at"] is not None}
    if "enterprise" in granted:
        told |= {"enterprise_code": person["code"], "uscc": person["uscc"], "enterprise_name": person["enterprise_name"]}
    return told


def _names(account_id: int, granted: Collection[str], client_system: str | None) -> dict[str, Any]:
    rows = session.connection().execute(_NAMES, {"account_id": account_id}).all()
    told: dict[str, Any] = {}
    if "profile" in granted:
        told["preferred_username"] = next((row.name for row in rows if row.canonical), None)
    # D11: only the client's own old names, and only under its own licence; absent = create the user by `sub`
    if client_system is not None and scopes.LICENCE + client_system in granted:
        told["legacy_usernames"] = [row.local_name for row in rows if row.system == client_system and row.local_name] or None
    return told
