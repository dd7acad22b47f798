"""Roles of officers (R90): who holds what, and what may never meet in one person. Writes run inside a transaction."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, exists, func, select

from idp.accounts import directory
from idp.accounts.models import Account, AccountRole
from idp.audit import catalogue as audit
from idp.audit.models import AuditEvent
from idp.db import session

ROLES = ("key_office", "mech_office", "service_desk", "security_officer", "auditor")
# R90: these two and the operators at the command line are never one person
APART = frozenset(["security_officer", "auditor"])
OFFICER_CLASS = 0
EVERYWHERE = frozenset([""])


def held(account_id: int) -> frozenset[str]:
    """The roles of an account that may be signed in, whatever the region."""
    mine = select(AccountRole.role).join(Account, Account.id == AccountRole.account_id)
    return frozenset(session.scalars(mine.where(AccountRole.account_id == account_id, Account.status == "active")))


def regions(account_id: int, wanted: Collection[str]) -> frozenset[str]:
    """Where an account that may be signed in holds one of these roles: beginnings of codes of regions, "" = everywhere."""
    mine = select(AccountRole.region).join(Account, Account.id == AccountRole.account_id)
    return frozenset(session.scalars(mine.where(AccountRole.account_id == account_id, AccountRole.role.in_(wanted), Account.status == "active")))


def covers(held_in: Collection[str], region: str) -> bool:
    """Whether an enterprise of this region is theirs who hold a role there."""
    return any(region.startswith(each) for each in held_in)


def officer(name: str) -> Account | None:
    """The officer of this name."""
    return next((found for found in directory.candidates(name) if found.user_class == OFFICER_CLASS), None)


def why_apart(account: Account, role: str) -> str | None:
    """Why this account may not hold `role` beside what it is already (R90): roles_apart | role_operator."""
    mine = set(session.scalars(select(AccountRole.role).where(AccountRole.account_id == account.id))) | {role}
    if mine >= APART:
        return "roles_apart"
    return "role_operator" if role in APART and _has_operated(account) else None


def _has_operated(account: Account) -> bool:
    """Whether a command was run under one of the account's names."""
    keys = [name.name_key for name in account.names]
    return bool(session.scalar(select(exists().where(func.lower(AuditEvent.operator).in_(keys)))))


def may_operate(name: str) -> bool:
    """Whether somebody of this name may change things at the command line: no security officer and no auditor (R90)."""
    of_name = (held(account.id) for account in directory.candidates(name) if account.user_class == OFFICER_CLASS)
    return not any(mine & APART for mine in of_name)


def give(account: Account, role: str, region: str, operator: str, now: datetime) -> str | None:
    """Let the account, which is held, have the role, the very role twice is one; else why not (`why_apart`)."""
    why = why_apart(account, role)
    if why is None and session.get(AccountRole, (account.id, role, region)) is None:
        session.add(AccountRole(account_id=account.id, role=role, region=region, since=now, granted_by=operator))
        audit.role_given(now, account_id=account.id, role=role, region=region)
    return why


def take(account: Account, role: str | None, now: datetime) -> list[str]:
    """Take this role (None: every one), in every region; what was taken."""
    mine = delete(AccountRole).where(AccountRole.account_id == account.id, *([AccountRole.role == role] if role else []))
    taken = sorted(set(session.scalars(mine.returning(AccountRole.role))))
    for each in taken:
        audit.role_taken(now, account_id=account.id, role=each)
    return taken
