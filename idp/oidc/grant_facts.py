"""What every statement about a grant shares: its facts as columns, whether it lives, and what its scopes are worth now."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, bindparam, select

from idp.accounts.models import Account
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements import rules as entitlements
from idp.oidc import scopes
from idp.oidc.clients import Client
from idp.oidc.keys import VERSION
from idp.oidc.models import Grant

FACTS = (
    *(Grant.id.label("grant_id"), Grant.account_id, Grant.session_id, Grant.sid, Grant.sub),
    *(Grant.requested_scope, Grant.asked_scope, Grant.scope, Grant.resource, Grant.acr, Grant.amr, Grant.auth_time, Grant.claims, Grant.cnf),
    *(Grant.only_system, Grant.entry_remaining, Grant.epoch, Grant.expires_at, Grant.ended_at, Account.epoch.label("account_epoch")),
    *(Account.status, Enterprise.status.label("enterprise_status"), VERSION.label("key_version")),
)


def with_holder(statement: Select[Any]) -> Select[Any]:
    """The statement, which names Grant, joined with the person of the grant."""
    return statement.join(Account, Account.id == Grant.account_id).outerjoin(Enterprise, Enterprise.id == Account.enterprise_id)


def over(row: Any, now: datetime) -> bool:
    """Whether the grant of these facts is over, or its person may not be signed in any more."""
    # None: an officer, who has no enterprise
    active = row.status == "active" and row.enterprise_status in ("active", None) and row.epoch == row.account_epoch
    return row.ended_at is not None or now >= row.expires_at or not active


_LIVES = (
    select(Grant.id)
    .join(Account, Account.id == Grant.account_id)
    .where(Grant.id == bindparam("grant_id"), Grant.ended_at.is_(None), Grant.epoch == Account.epoch)
    .with_for_update(of=Grant)
)


def still_lives(grant_id: int) -> bool:
    """Whether the grant lives in the transaction that hands out tokens; a sign-out that committed first is seen here."""
    return session.connection().execute(_LIVES, {"grant_id": grant_id}).one_or_none() is not None


def worth_now(row: Any, client: Client, today: date) -> tuple[str, ...] | None:
    """The consented scopes that client and rights allow now, so that a right can come back; None if nothing or no licence is left."""
    consented = scopes.split(row.asked_scope)
    left = held(consented, client, row, today)
    return None if not left or scopes.lost_every_licence(consented, left) else left


def held(granted: tuple[str, ...], client: Client, row: Any, today: date) -> tuple[str, ...]:
    """Of these scopes those that the client is still registered for and the person of the grant still has a right to (R66)."""
    # R54: what came by the legacy entry is for that system's own client, while it is one
    if row.only_system is not None and not client.registration.serves_alone(row.only_system):
        return ()
    kept = tuple(scope for scope in granted if scope in client.registration.scopes)
    return scopes.entitled(kept, entitlements.open_systems(row.account_id, today, row.only_system)) if scopes.systems_of(kept) else kept
