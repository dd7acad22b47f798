"""What a person has allowed a client: remembered, asked again only for more, listed, and withdrawn by the person."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idp.audit import provider as audit
from idp.db import session
from idp.oidc import claims, revocation
from idp.oidc.models import ClientRecord, Consent


@dataclass(frozen=True)
class Agreed:
    """The scopes and single claims that were agreed to."""

    scopes: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()

    def covers(self, scopes: Collection[str], named: Collection[str]) -> bool:
        """Whether nothing beyond this is asked; a claim is covered by its scope as well."""
        return set(scopes) <= self.scopes and all(name in self.claims or claims.scope_of(name) in self.scopes for name in named)


NOTHING = Agreed()
_MINE = (Consent.account_id == bindparam("account_id"), Consent.client_id == bindparam("client_id"))
_FIND = select(Consent.scopes, Consent.claims).where(*_MINE)
# shared, so that a withdrawal at the same moment either refuses this code or ends its grant
_HOLD = _FIND.with_for_update(read=True)


def agreed(account_id: int, client_id: str, *, hold: bool = False) -> Agreed:
    """What stands now; with `hold` (inside a transaction) it stands until the commit."""
    row = session.connection().execute(_HOLD if hold else _FIND, {"account_id": account_id, "client_id": client_id}).one_or_none()
    return Agreed(frozenset(row.scopes), frozenset(row.claims)) if row is not None else NOTHING


def remember(account_id: int, client_id: str, scopes: Collection[str], named: Collection[str], now: datetime) -> None:
    """Add to what stands (inside a transaction); two at once lose nothing."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    fresh: dict[str, Any] = {"account_id": account_id, "client_id": client_id, "scopes": sorted(scopes), "claims": sorted(named), "at": now}
    added = (
        insert(cast("Table", Consent.__table__)).values(**fresh).on_conflict_do_update(index_elements=["account_id", "client_id"], set_={"at": now})
    )
    # the row is ours now until the commit, whoever made it
    row = session.execute(added.returning(Consent.scopes, Consent.claims)).one()
    wider = {"scopes": sorted({*row.scopes, *scopes}), "claims": sorted({*row.claims, *named})}
    mine = (Consent.account_id == account_id, Consent.client_id == client_id)
    session.execute(update(Consent).where(*mine).values(**wider), execution_options={"synchronize_session": False})
    audit.consent_given(now, account_id=account_id, client_id=client_id, scope=" ".join(sorted(scopes)), claims=sorted(named))


def withdraw(account_id: int, client_id: str, now: datetime) -> bool:
    """Forget it and end all that rests on it; False if there was none."""
    gone = delete(Consent).where(Consent.account_id == account_id, Consent.client_id == client_id).returning(Consent.client_id)
    if session.execute(gone, execution_options={"synchronize_session": False}).one_or_none() is None:
        return False
    audit.consent_withdrawn(now, account_id=account_id, client_id=client_id)
    revocation.end_grants_at(account_id, client_id, "consent_withdrawn", now)
    return True


def listing(account_id: int) -> Sequence[tuple[Consent, ClientRecord]]:
    """Everything the person agreed to, the newest first, with its client."""
    found = select(Consent, ClientRecord).join(ClientRecord, ClientRecord.client_id == Consent.client_id).where(Consent.account_id == account_id)
    return [(row[0], row[1]) for row in session.execute(found.order_by(Consent.at.desc(), Consent.client_id))]
