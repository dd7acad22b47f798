"""Taking a batch of a merge back (R62): accounts that it made go, accounts that it changed are as they were; inside a transaction.

What somebody has acted upon since stays whole and is named: an own password, a link, a later merge, an officer's or the office's decision.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, tuple_, update

from idp.accounts.models import Account, AccountKey, AccountName, FormerPassword, ImportedContact
from idp.audit import migration as audit
from idp.db import insert_many, large_job, session, spend_once
from idp.entitlements.models import Entitlement
from idp.legacy import acted_upon, old_users
from idp.legacy.models import LegacyAccountChange, LegacyBatch, LegacyRow, LegacyRowChange, LegacyRun
from idp.sessions import lifecycle
from idp.web import Hooks

TAKEN_BACK = "merge_undone"
_PLAIN = {"synchronize_session": False}


@dataclass
class Undone:
    """How many accounts went, how many are as before, and which stay: account, name, why (a code)."""

    removed: int = 0
    returned: int = 0
    stayed: list[tuple[int, str, str]] = field(default_factory=list)


def take_back(batch_id: int, hooks: Hooks, now: datetime) -> Undone:
    """Take one batch back whose undoing was ordered; that order is spent with it. What stays can be ordered once more."""
    large_job()
    wanted = (LegacyBatch.id == batch_id, LegacyBatch.undo_ordered_at.is_not(None))
    if not spend_once(update(LegacyBatch).where(*wanted).values(undo_ordered_at=None)):
        return Undone()
    batch = session.get_one(LegacyBatch, batch_id, populate_existing=True)
    _hold(batch_id)
    journal = session.scalars(select(LegacyAccountChange).where(LegacyAccountChange.batch_id == batch_id), execution_options=_FRESH).all()
    kept = acted_upon.since(batch, journal)
    going = [change for change in journal if change.account_id not in kept]
    undone = Undone(stayed=_named(kept))
    _end_sessions([change.account_id for change in going], hooks, now)
    undone.removed = _remove([change.account_id for change in going if change.made], batch, hooks, now)
    undone.returned = _return([change for change in going if not change.made], batch, now)
    _close(batch, undone, now)
    return undone


_FRESH = {"populate_existing": True}


def _hold(batch_id: int) -> None:
    of_batch = select(LegacyAccountChange.account_id).where(LegacyAccountChange.batch_id == batch_id)
    firms = select(LegacyRow.enterprise_id).where(LegacyRow.account_id.in_(of_batch)).distinct()
    old_users.hold(session.scalars(firms).all())


def _named(kept: dict[int, str]) -> list[tuple[int, str, str]]:
    statement = select(AccountName.account_id, AccountName.name).where(AccountName.canonical, AccountName.account_id.in_(kept))
    names = dict(session.execute(statement).all())
    return [(account_id, names.get(account_id, ""), why) for account_id, why in sorted(kept.items())]


def _end_sessions(account_ids: Sequence[int], hooks: Hooks, now: datetime) -> None:
    """With them their grants end; limited ones (R54) too."""
    for account_id in lifecycle.signed_in(account_ids):
        lifecycle.end_all(account_id, TAKEN_BACK, now, hooks.session_ended)


def _free_rows(mine: ColumnElement[bool]) -> None:
    """Old users are without account again, their old passwords with them; a merge would look at them anew."""
    rows = select(LegacyRow.id).where(mine)
    theirs = (
        select(LegacyRow.former_password_id).where(mine, LegacyRow.former_password_id.is_not(None)),
        select(LegacyRowChange.former_password_id).where(LegacyRowChange.row_id.in_(rows), LegacyRowChange.former_password_id.is_not(None)),
    )
    for hashes in theirs:
        session.execute(update(FormerPassword).where(FormerPassword.id.in_(hashes)).values(account_id=None), execution_options=_PLAIN)
    session.execute(update(LegacyRow).where(mine).values(account_id=None, batch_id=None, unmerged=True), execution_options=_PLAIN)


def _remove(account_ids: Collection[int], batch: LegacyBatch, hooks: Hooks, now: datetime) -> int:
    """Accounts that the batch made go with all that hangs on them; business systems that know them are told."""
    hooks.accounts_taken_back(account_ids, now)
    for account_id, enterprise_id in session.execute(select(Account.id, Account.enterprise_id).where(Account.id.in_(account_ids))).all():
        audit.legacy_unmerged(now, account_id=account_id, enterprise_id=enterprise_id, batch_id=batch.id, removed=True)
    session.flush()
    _free_rows(LegacyRow.account_id.in_(account_ids))
    session.execute(delete(Account).where(Account.id.in_(account_ids)), execution_options=_PLAIN)
    return len(account_ids)


def _return(changes: Sequence[LegacyAccountChange], batch: LegacyBatch, now: datetime) -> int:
    """Accounts that the batch changed are as they were before it."""
    for change in changes:
        before, account_id = change.before, change.account_id
        _free_rows((LegacyRow.account_id == account_id) & (LegacyRow.batch_id == batch.id))
        session.execute(update(LegacyRow).where(LegacyRow.account_id == account_id).values(unmerged=True), execution_options=_PLAIN)
        _return_columns(account_id, before["columns"], now)
        _drop_additions(account_id, before)
        lifted = [(system, state, datetime.fromisoformat(since)) for system, state, since in before["lifted"]]
        insert_many(Entitlement, [{"account_id": account_id, "system": system, "state": state, "since": since} for system, state, since in lifted])
        _return_contacts(account_id, before["contacts"])
        owner = session.scalar(select(Account.enterprise_id).where(Account.id == account_id))
        audit.legacy_unmerged(now, account_id=account_id, enterprise_id=owner, batch_id=batch.id, removed=False)
        session.delete(change)
    session.flush()
    return len(changes)


def _return_columns(account_id: int, columns: dict[str, list[Any]], now: datetime) -> None:
    """Its own values; the epoch only ever grows: what was given before is over."""
    values = {column: before for column, (before, _after) in columns.items() if column != "epoch"}
    grown = {"epoch": Account.epoch + 1, "updated_at": now}
    session.execute(update(Account).where(Account.id == account_id).values(**values, **grown), execution_options=_PLAIN)


def _drop_additions(account_id: int, before: dict[str, Any]) -> None:
    for key, system in before["names"]:
        this = (AccountName.account_id == account_id, AccountName.name_key == key, AccountName.system == system)
        session.execute(delete(AccountName).where(*this), execution_options=_PLAIN)
    if before["key"]:
        session.execute(delete(AccountKey).where(AccountKey.serial == before["key"], AccountKey.account_id == account_id), execution_options=_PLAIN)
    added = tuple_(Entitlement.system, Entitlement.state).in_([tuple(state) for state in before["states"]])
    if before["states"]:
        session.execute(delete(Entitlement).where(Entitlement.account_id == account_id, added), execution_options=_PLAIN)


def _return_contacts(account_id: int, contacts: list[list[Any]]) -> None:
    if not contacts:
        return
    these = tuple_(ImportedContact.kind, ImportedContact.value, ImportedContact.system).in_([tuple(contact[:3]) for contact in contacts])
    session.execute(delete(ImportedContact).where(ImportedContact.account_id == account_id, these), execution_options=_PLAIN)
    columns = ("kind", "value", "system", "enabled")
    had = [{"account_id": account_id, **dict(zip(columns, contact, strict=True))} for contact in contacts if contact[3] is not None]
    insert_many(ImportedContact, had)


def _close(batch: LegacyBatch, undone: Undone, now: datetime) -> None:
    if not undone.stayed:
        batch.undone_at = now
        session.flush()
        standing = select(LegacyBatch.id).where(LegacyBatch.run_id == batch.run_id, LegacyBatch.undone_at.is_(None))
        if session.scalar(standing.limit(1)) is None:
            session.get_one(LegacyRun, batch.run_id).undone_at = now
    figures = {"removed": undone.removed, "returned": undone.returned, "stayed": len(undone.stayed)}
    audit.legacy_merge_undone(now, run_id=batch.run_id, batch_id=batch.id, **figures)
