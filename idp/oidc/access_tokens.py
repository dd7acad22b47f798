"""Access tokens that come back to us: whether one is ours and lives, what it is worth now, and taking one back (RFC 7009)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from idp.db import session, spend_once
from idp.oidc import grant_facts, scopes, sender
from idp.oidc.clients import Client, ClientCache
from idp.oidc.models import Grant
from idp.oidc.sender import Confirmation
from idp.oidc.token_models import RevokedToken
from idp.oidc.tokens import ACCESS_TOKEN_TYPE, Moment


@dataclass(frozen=True)
class AccessToken:
    """A living access token: its claims, the client it was given to, the scopes that hold now; `grant` is None for a client of its own."""

    claims: dict[str, Any]
    client: Client
    scopes: tuple[str, ...]
    grant: Any

    @property
    def cnf(self) -> Confirmation:
        """What it is bound to; {} = nothing."""
        found: Confirmation = self.claims.get("cnf", {})
        return found

    @property
    def audience(self) -> tuple[str, ...]:
        """For whom it is."""
        said = self.claims["aud"]
        return tuple(said) if isinstance(said, list) else (said,)


_REVOKED = exists().where(RevokedToken.jti == bindparam("jti")).label("revoked")
_GRANT = grant_facts.with_holder(select(*grant_facts.FACTS, _REVOKED).where(Grant.id == bindparam("grant_id")))
_ALONE = select(_REVOKED)


def genuine(token: str, at: Moment) -> dict[str, Any] | None:
    """The claims of an access token that we signed and that is in time."""
    claims = at.keys.latest().verified(token, (ACCESS_TOKEN_TYPE,), at.now)
    return claims if claims is not None and claims.get("iss") == at.issuer and at.now.timestamp() < claims["exp"] else None


def judge(token: str, at: Moment, clients: ClientCache) -> AccessToken | None:
    """The token, if it is ours, in time, not revoked, of a grant that lives and a client that is enabled."""
    claims = genuine(token, at)
    if claims is None:
        return None
    row, client = _row(claims), clients.find(claims["client_id"])
    if row is None or row.revoked or client is None:
        return None
    # given before it was switched off, or to another client that had this id; tokens and clients older than this claim have none
    if claims.get("gen", "") != client.generation:
        return None
    # what is bound to nobody counts no more once the client may have bound tokens only
    if sender.unbound(client.registration, claims.get("cnf", {})):
        return None
    granted = scopes.split(claims["scope"])
    if "gid" not in claims:
        return AccessToken(claims, client, granted, None)
    if grant_facts.over(row, at.now):
        return None
    return AccessToken(claims, client, grant_facts.held(granted, client, row, at.today), row)


def _row(claims: dict[str, Any]) -> Any:
    """`revoked`, and the facts of its grant if it has one; None if that grant is gone."""
    jti, connection = {"jti": claims["jti"]}, session.connection()
    if "gid" not in claims:
        return connection.execute(_ALONE, jti).one()
    return connection.execute(_GRANT, {"grant_id": int(claims["gid"]), **jti}).one_or_none()


def revoke(claims: dict[str, Any]) -> None:
    """Take a genuine token back until its end (inside a transaction); doing it again changes nothing."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"jti": claims["jti"], "expires_at": datetime.fromtimestamp(claims["exp"], UTC)}
    spend_once(insert(cast("Table", RevokedToken.__table__)).values(**values).on_conflict_do_nothing())


def sweep(now: datetime) -> None:
    """Forget revocations of tokens that are over anyway (a job of the worker)."""
    session.execute(delete(RevokedToken).where(RevokedToken.expires_at < now))
