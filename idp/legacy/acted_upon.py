"""What somebody has done with accounts since a merge: such accounts are left whole when it is taken back (R62)."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from idp.accounts.models import Account, AccountKey, AccountLink, AccountName, AccountRole, InitialPassword
from idp.db import session
from idp.entitlements.models import Entitlement
from idp.legacy.models import LegacyAccountChange, LegacyBatch

PASSWORD, LINKED, LATER, DECIDED = "password", "linked", "later", "decided"


def since(batch: LegacyBatch, journal: Sequence[LegacyAccountChange]) -> dict[int, str]:
    """Account → why it stays: the gravest of all reasons (a code)."""
    found: dict[int, str] = {}
    mine = select(LegacyAccountChange.account_id).where(LegacyAccountChange.batch_id == batch.id)
    for why, accounts in _reasons(mine, batch):
        for account_id in session.scalars(accounts):
            found.setdefault(account_id, why)
    for account_id in _decided(mine, journal):
        found.setdefault(account_id, DECIDED)
    return found


def _reasons(mine: Select[Any], batch: LegacyBatch) -> Iterator[tuple[str, Select[Any]]]:
    """Code → a query for the accounts that it concerns."""
    yield PASSWORD, select(Account.id).where(Account.id.in_(mine), Account.password_hash.is_not(None))
    for end in (AccountLink.account_id, AccountLink.linked_id):
        yield LINKED, select(end).where(end.in_(mine), AccountLink.undone_at.is_(None))
    later = (LegacyAccountChange.account_id.in_(mine), LegacyAccountChange.batch_id > batch.id)
    yield LATER, select(LegacyAccountChange.account_id).where(*later)
    yield DECIDED, select(Account.id).where(Account.id.in_(mine), Account.contacts_given_at.is_not(None))
    yield DECIDED, select(Entitlement.account_id).where(Entitlement.account_id.in_(mine), Entitlement.since > batch.at)
    own: ColumnElement[bool] = or_(AccountName.system.is_(None), AccountName.chosen_at.is_not(None))
    yield DECIDED, select(AccountName.account_id).where(AccountName.account_id.in_(mine), own)
    for other in (AccountRole, InitialPassword):
        yield DECIDED, select(other.account_id).where(other.account_id.in_(mine))


def _decided(mine: Select[Any], journal: Sequence[LegacyAccountChange]) -> Iterator[int]:
    """Accounts whose status is not what the merge made it, and those made by it that have another key by now."""
    statuses = dict(session.execute(select(Account.id, Account.status).where(Account.id.in_(mine))).all())
    keys: dict[int, set[str]] = {}
    for serial, account_id in session.execute(select(AccountKey.serial, AccountKey.account_id).where(AccountKey.account_id.in_(mine))):
        keys.setdefault(account_id, set()).add(serial)
    for change in journal:
        account_id, before = change.account_id, change.before
        left = before["status"] if change.made else before["columns"].get("status", [None, statuses[account_id]])[1]
        own = {before["key"]} - {None}
        if statuses[account_id] != left or (change.made and keys.get(account_id, set()) != own):
            yield account_id
