"""Writes what a batch of the merge is to do, many accounts in a statement, and the journal by which it can be taken back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_, update

from idp import opaque_tokens
from idp.accounts.models import Account, AccountKey, AccountName, FormerPassword, ImportedContact
from idp.audit import migration as audit
from idp.db import insert_many, insert_numbered, session
from idp.entitlements.models import Entitlement
from idp.legacy import merge_changes
from idp.legacy.merge_changes import Changes, Standing
from idp.legacy.merge_plan import PlannedAccount
from idp.legacy.models import LegacyAccountChange, LegacyBatch, LegacyRow, LegacyRowChange

_PLAIN = {"synchronize_session": False}


@dataclass(frozen=True)
class Found:
    """One account of the plan, how it stands (None = it is to be made), and what is to be done."""

    planned: PlannedAccount
    standing: Standing | None
    changes: Changes


Numbered = Sequence[tuple[int, Found]]  # account → what is done about it


def write(found: Sequence[Found], batch: LegacyBatch) -> None:
    """Do it, in the caller's transaction."""
    made = [each for each in found if each.standing is None]
    ids = insert_numbered(Account, [_account(each, batch.at) for each in made])
    standing = [(each.planned.account_id or 0, each) for each in found if each.standing is not None]
    numbered = [*zip(ids, made, strict=True), *standing]
    _change_accounts(standing, batch.at)
    insert_many(AccountName, list(_names(numbered)))
    insert_many(AccountKey, [{"serial": each.changes.key, "account_id": number} for number, each in numbered if each.changes.key])
    _states(numbered, batch.at)
    _contacts(numbered)
    _join(numbered, batch)
    insert_many(LegacyAccountChange, [_journal(number, each, batch.id) for number, each in numbered])
    for number, each in numbered:
        systems = sorted({user.system for user in each.planned.joining or each.planned.rows})
        audit.legacy_merged(batch.at, account_id=number, enterprise_id=each.planned.enterprise_id, run_id=batch.run_id, systems=systems)


def _account(each: Found, now: datetime) -> dict[str, Any]:
    fixed = {"sub": opaque_tokens.make(), "enterprise_id": each.planned.enterprise_id, "created_at": now, "updated_at": now}
    return {**fixed, "mobile": None, "email": None, **each.changes.columns}


def _change_accounts(numbered: Numbered, now: datetime) -> None:
    for number, each in numbered:
        values = {**each.changes.columns, "updated_at": now}
        session.execute(update(Account).where(Account.id == number).values(**values), execution_options=_PLAIN)


def _names(numbered: Numbered) -> Iterator[dict[str, Any]]:
    for number, each in numbered:
        for name in each.changes.names:
            yield {"account_id": number, **name.__dict__}


def _states(numbered: Numbered, now: datetime) -> None:
    for number, each in numbered:
        if each.changes.lifted:
            these = tuple_(Entitlement.system, Entitlement.state).in_(each.changes.lifted)
            session.execute(delete(Entitlement).where(Entitlement.account_id == number, these), execution_options=_PLAIN)
    added = [(number, state) for number, each in numbered for state in each.changes.states]
    insert_many(Entitlement, [{"account_id": number, "system": system, "state": state, "since": now} for number, (system, state) in added])


def _contacts(numbered: Numbered) -> None:
    for number, each in numbered:
        gone = [*each.changes.dropped, *each.changes.contacts]
        if each.standing is not None and gone:
            these = tuple_(ImportedContact.kind, ImportedContact.value, ImportedContact.system).in_(gone)
            session.execute(delete(ImportedContact).where(ImportedContact.account_id == number, these), execution_options=_PLAIN)
    columns = ("account_id", "kind", "value", "system", "enabled")
    rows = [(number, *contact, enabled) for number, each in numbered for contact, enabled in each.changes.contacts.items()]
    insert_many(ImportedContact, [dict(zip(columns, row, strict=True)) for row in rows])


def _join(numbered: Numbered, batch: LegacyBatch) -> None:
    """The joining rows belong to their accounts; their old passwords open these, or die where the person has set one of their own (R12, D17)."""
    joining = [(number, user) for number, each in numbered for user in each.planned.joining]
    if not joining:
        return
    session.execute(update(LegacyRow), [{"id": user.id, "account_id": number, "batch_id": batch.id} for number, user in joining])
    hashes = [(user.former_password_id, number) for number, user in joining if user.former_password_id is not None]
    hashes += _replaced(batch.id)
    if hashes:
        session.execute(update(FormerPassword), [{"id": former_id, "account_id": number} for former_id, number in hashes])
    finished = [number for number, each in numbered if each.standing is not None and each.standing.own_password]
    if finished:
        session.execute(delete(FormerPassword).where(FormerPassword.account_id.in_(finished)), execution_options=_PLAIN)


def _replaced(batch_id: int) -> list[tuple[int, int]]:
    """Old passwords that a later dump replaced before anything was merged, and their accounts: they open nothing, and die with the others (R62)."""
    statement = select(LegacyRowChange.former_password_id, LegacyRow.account_id).join(LegacyRow, LegacyRow.id == LegacyRowChange.row_id)
    found = session.execute(statement.where(LegacyRow.batch_id == batch_id, LegacyRowChange.former_password_id.is_not(None)))
    return [(former_id, account_id) for former_id, account_id in found if former_id is not None and account_id is not None]


def _journal(number: int, each: Found, batch_id: int) -> dict[str, Any]:
    before = merge_changes.before(each.changes, each.standing)
    return {"batch_id": batch_id, "account_id": number, "made": each.standing is None, "before": before}
