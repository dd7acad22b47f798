"""The merge itself: makes the accounts of the plan (R6–R12, R62, D19).

Accounts are written enterprise by enterprise, some in each transaction; what was planned before is planned again inside. Whatever stands
already is left alone, so that a second apply changes nothing, and one after a later import brings accounts up to date (D17).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Update, delete, select, update

from idp import opaque_tokens
from idp.accounts import directory
from idp.accounts.models import Account, AccountKey, FormerPassword, ImportedContact
from idp.audit import catalogue as audit
from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.legacy import merge_plan, old_users
from idp.legacy.merge_plan import OldUser, PlannedAccount
from idp.legacy.models import LegacyRow, LegacyRun

ENTERPRISES_A_TRANSACTION = 50
OFFICE_CLASS = 4  # made by the key office (R88): what it says about an account counts more than old rows
ProofPolicy = Literal["none", "sensitive", "all"]


@dataclass(frozen=True)
class Merge:
    """What one apply works with: the moment, its run, and the systems whose right waits for a proof in a merged account (R62)."""

    now: datetime
    run_id: int
    to_be_proven: frozenset[str]


def apply(now: datetime, proof: ProofPolicy, advance: Callable[[int, int], None] = lambda _done, _all: None) -> Counter[str]:
    """Make, fill and bring up to date all accounts of old users; opens its own transactions. How many were made, joined, updated."""
    counts: Counter[str] = Counter()
    ids = old_users.enterprise_ids()
    for start in range(0, len(ids), ENTERPRISES_A_TRANSACTION):
        batch = ids[start : start + ENTERPRISES_A_TRANSACTION]
        with transaction():
            counts += _apply_batch(batch, now, proof)
        session.expunge_all()
        advance(min(start + len(batch), len(ids)), len(ids))
    return counts


def to_be_proven(proof: ProofPolicy) -> frozenset[str]:
    """Systems whose right opens in a merged account only after one proof (R62)."""
    if proof == "none":
        return frozenset()
    statement = select(BusinessSystem.code) if proof == "all" else select(BusinessSystem.code).where(BusinessSystem.sensitive)
    return frozenset(session.scalars(statement))


def _apply_batch(enterprise_ids: Sequence[int], now: datetime, proof: ProofPolicy) -> Counter[str]:
    planned = merge_plan.plan(old_users.read(now.date(), enterprise_ids, lock=True)).accounts
    run = LegacyRun(kind="merge", started_at=now, finished_at=now)
    session.add(run)
    session.flush()
    merge = Merge(now, run.id, to_be_proven(proof))
    counts = Counter(what for what in (_write(account, merge) for account in planned) if what)
    merged = update(LegacyRow).where(LegacyRow.enterprise_id.in_(enterprise_ids), LegacyRow.unmerged).values(unmerged=False)
    session.execute(merged.execution_options(synchronize_session=False))
    run.counts = dict(counts)
    if not counts:
        session.delete(run)
    return counts


def _write(planned: PlannedAccount, merge: Merge) -> str | None:
    """Make or complete one account; what was done: made, joined, updated, None = it was as planned."""
    account = session.get(Account, planned.account_id, with_for_update=True) if planned.account_id else None
    made = account is None
    account = account or _make(planned, merge.now)
    if planned.joining:
        _join(account, planned, merge)
    renewed = _renew_contacts(account, planned) | _renew_rights(account, planned, merge.now)
    if not planned.joining and not renewed:
        return None
    account.updated_at = merge.now
    systems = sorted({user.system for user in planned.joining or planned.rows})
    audit.legacy_merged(merge.now, account_id=account.id, enterprise_id=account.enterprise_id, run_id=merge.run_id, systems=systems)
    return "made" if made else "joined" if planned.joining else "updated"


def _make(planned: PlannedAccount, now: datetime) -> Account:
    account = Account(
        sub=opaque_tokens.make(),
        enterprise_id=planned.enterprise_id,
        user_class=planned.user_class,
        status="active" if planned.enabled else "disabled",
        created_at=now,
        updated_at=now,
    )
    session.add(account)
    session.flush()
    return account


def _join(account: Account, planned: PlannedAccount, merge: Merge) -> None:
    """Give the account what the joining rows bring: names, the key, old passwords; and hold what one password must not open (R62)."""
    ids = [user.id for user in planned.joining]
    canonical = account.canonical_name or planned.canonical
    for name, system, local_name in planned.names:
        directory.add_name(account, name, canonical=not account.canonical_name and name == canonical, system=system, local_name=local_name)
    if planned.key_serial and session.get(AccountKey, planned.key_serial) is None:
        session.add(AccountKey(serial=planned.key_serial, account_id=account.id))
    session.execute(_rows_of(ids).values(account_id=account.id))
    _take_passwords(account, ids)
    _add_states(account, "approved", {user.system for user in planned.joining if user.enabled and user.by_approval}, merge.now)
    if planned.merged:
        _add_states(account, "held", merge.to_be_proven, merge.now)


def _take_passwords(account: Account, row_ids: list[int]) -> None:
    """Let the joining rows' old passwords open the account, unless it has its own already: then they die (R12, D17)."""
    mine = FormerPassword.id.in_(select(LegacyRow.former_password_id).where(LegacyRow.id.in_(row_ids), LegacyRow.former_password_id.is_not(None)))
    if account.password_hash is None:
        session.execute(update(FormerPassword).where(mine).values(account_id=account.id).execution_options(synchronize_session=False))
        return
    session.execute(delete(FormerPassword).where(mine).execution_options(synchronize_session=False))


def _rows_of(ids: Sequence[int]) -> Update:
    return update(LegacyRow).where(LegacyRow.id.in_(ids)).execution_options(synchronize_session=False)


def _renew_rights(account: Account, planned: PlannedAccount, now: datetime) -> bool:
    """Blocks, status and class as all rows now have them; whether anything changed."""
    had = set(session.scalars(select(Entitlement.system).where(Entitlement.account_id == account.id, Entitlement.state == "blocked")))
    lifted = had & {user.system for user in planned.rows} - set(planned.blocked)
    _add_states(account, "blocked", set(planned.blocked) - had, now)
    _add_states(account, "approved", lifted & set(planned.approved), now)
    session.execute(delete(Entitlement).where(Entitlement.account_id == account.id, Entitlement.state == "blocked", Entitlement.system.in_(lifted)))
    changed = bool(lifted or set(planned.blocked) - had)
    if account.password_hash is None and account.user_class not in (OFFICE_CLASS, planned.user_class):
        account.user_class, changed = planned.user_class, True
    return _renew_status(account, planned, had) or changed


def _renew_status(account: Account, planned: PlannedAccount, blocked_before: set[str]) -> bool:
    """D15: all rows disabled = account disabled. Lifted again only where it was the rows that did it, and only for accounts made of rows."""
    merged_before = {user.system for user in planned.rows if user.account_id is not None}
    if account.status == "active" and not planned.enabled and merged_before:
        account.status = "disabled"
        account.epoch += 1
        return True
    if account.status == "disabled" and planned.enabled and merged_before and merged_before <= blocked_before:
        account.status = "active"
        return True
    return False


def _add_states(account: Account, state: str, systems: Collection[str], now: datetime) -> None:
    for system in sorted(systems):
        if session.get(Entitlement, (account.id, system, state)) is None:
            session.add(Entitlement(account_id=account.id, system=system, state=state, since=now))


def _imported(users: Sequence[OldUser]) -> dict[tuple[str, str, str], bool]:
    """(kind, value, system) → whether an enabled row has it."""
    found: dict[tuple[str, str, str], bool] = {}
    for user in users:
        for kind, value in (("mobile", user.mobile), ("email", user.email)):
            if value:
                found[(kind, value, user.system)] = user.enabled or found.get((kind, value, user.system), False)
    return found


def _renew_contacts(account: Account, planned: PlannedAccount) -> bool:
    """Imported contacts as the rows have them; once the account has its own password only joining rows add theirs (D17). Whether anything changed."""
    own = account.password_hash is not None
    wanted = _imported(planned.joining if own else planned.rows)
    standing = {
        (row.kind, row.value, row.system): row for row in session.scalars(select(ImportedContact).where(ImportedContact.account_id == account.id))
    }
    gone = [] if own else [row for key, row in standing.items() if key not in wanted]
    for row in gone:
        session.delete(row)
    new = {key: enabled for key, enabled in wanted.items() if key not in standing or standing[key].enabled != enabled}
    for (kind, value, system), enabled in new.items():
        session.merge(ImportedContact(account_id=account.id, kind=kind, value=value, system=system, enabled=enabled))
    return _prefill(account, planned) or bool(gone or new)


def _prefill(account: Account, planned: PlannedAccount) -> bool:
    """Offer the survivor's contacts, unproven, until the person has said or set anything (R57, R63)."""
    touched = account.password_hash or account.contacts_given_at or account.mobile_proven_at or account.email_proven_at
    if touched or account.user_class == OFFICE_CLASS or (account.mobile, account.email) == (planned.mobile, planned.email):
        return False
    account.mobile, account.email = planned.mobile, planned.email
    return True
