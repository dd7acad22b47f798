"""The figures that are watched before and after a cut-over (R92): how many rows have accounts, and how many of their people have come."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Select, case, exists, func, select

from idp.accounts import directory
from idp.accounts.models import Account, AccountName, FormerPassword
from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.legacy.models import LegacyRow
from idp.legacy.name_claims import other_name


@dataclass(frozen=True)
class SystemFigures:
    """Of one old system: rows in all, enabled, waiting for a merge, without account, whose account has its own password; legacy log-ins counted."""

    system: str
    rows: int
    enabled: int
    unmerged: int
    without_account: int
    came: int
    entry_logins: int


def by_system() -> list[SystemFigures]:
    """Every business system, in its order."""
    marks = (LegacyRow.enabled, LegacyRow.unmerged, LegacyRow.account_id.is_(None) & LegacyRow.id.is_not(None), Account.password_hash.is_not(None))
    sums = [func.coalesce(func.sum(case((mark, 1), else_=0)), 0) for mark in marks]
    statement = (
        select(BusinessSystem.code, func.count(LegacyRow.id), *sums, func.coalesce(func.sum(LegacyRow.entry_logins), 0))
        .outerjoin(LegacyRow, LegacyRow.system == BusinessSystem.code)
        .outerjoin(Account, Account.id == LegacyRow.account_id)
        .group_by(BusinessSystem.code, BusinessSystem.position)
        .order_by(BusinessSystem.position)
    )
    return [SystemFigures(*found) for found in session.execute(statement)]


def _crowded() -> Select[str]:
    claimed = func.count(AccountName.account_id.distinct())
    return select(AccountName.name_key).group_by(AccountName.name_key).having(claimed > directory.MAX_CANDIDATES)


def crowded_names() -> set[str]:
    """Names, as they are compared, that more accounts claim than a sign-in looks at (D9)."""
    return set(session.scalars(_crowded()))


def crowds() -> Iterator[tuple[str, ...]]:
    """Each of them with `whose: other name` for every account that claims it: what these people type instead, `-` = nothing."""
    crowded = crowded_names()
    for name in sorted(crowded):
        claim = select(AccountName.account_id).where(AccountName.name_key == name)
        statement = select(AccountName.account_id, AccountName.name).where(AccountName.account_id.in_(claim)).order_by(AccountName.id)
        names: dict[int, list[str]] = {}
        for account_id, spelled in session.execute(statement):
            names.setdefault(account_id, []).append(spelled)
        owners = {account.id: _called(account) for account in session.scalars(select(Account).where(Account.id.in_(claim)))}
        yield (name, *(f"{owners[account_id]}: {other_name(spelled, crowded) or '-'}" for account_id, spelled in sorted(names.items())))


def _called(account: Account) -> str:
    """Its key, or else its enterprise."""
    return next((key.serial for key in account.keys), account.enterprise.prefix if account.enterprise else "")


def no_password() -> int:
    """Accounts with an enabled row that no password opens: their people need the office."""
    opens = exists().where(FormerPassword.account_id == Account.id, FormerPassword.enabled, ~FormerPassword.replaced)
    shut = (LegacyRow.enabled, Account.status == "active", Account.password_hash.is_(None), ~opens)
    statement = select(func.count(LegacyRow.account_id.distinct())).join(Account, Account.id == LegacyRow.account_id).where(*shut)
    return session.scalar(statement) or 0
