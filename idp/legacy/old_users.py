"""Legacy rows as the plan of the merge sees them."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import lazyload

from idp.accounts import directory
from idp.accounts.models import Account, AccountKey
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.key_register.live_keys import fault_by_list
from idp.key_register.models import EKey
from idp.legacy import naming
from idp.legacy.merge_plan import OldUser
from idp.legacy.models import LegacyRow

_BARE = LegacyRow.system.in_((naming.CONTROL_NAMES, naming.OWN_NAMES))

_FRESH = {"populate_existing": True}
_COLUMNS = (
    LegacyRow.id,
    LegacyRow.system,
    LegacyRow.username,
    LegacyRow.enterprise_id,
    LegacyRow.key_serial,
    LegacyRow.mobile,
    LegacyRow.email,
    LegacyRow.enabled,
    LegacyRow.last_login,
    LegacyRow.former_password_id,
    LegacyRow.account_id,
    AccountKey.account_id.label("key_account_id"),
)


def enterprise_ids(after: int, most: int, *, unmerged: bool = False) -> Sequence[int]:
    """The next enterprises that have old users, by their numbers; `unmerged`: such as wait for a merge."""
    statement = select(LegacyRow.enterprise_id).where(LegacyRow.enterprise_id > after)
    statement = statement.where(LegacyRow.unmerged) if unmerged else statement
    return session.scalars(statement.distinct().order_by(LegacyRow.enterprise_id).limit(most)).all()


def waiting() -> int:
    """How many enterprises wait for a merge."""
    return session.scalar(select(func.count(LegacyRow.enterprise_id.distinct())).where(LegacyRow.unmerged)) or 0


def wandering_names() -> set[str]:
    """Names, as they are compared, that users of several enterprises may have: those without code that stand twice, or look like a code form (D1)."""
    twice = select(LegacyRow.username_key).where(_BARE).group_by(LegacyRow.username_key).having(func.count() > 1)
    dashed = select(LegacyRow.username_key).where(_BARE, LegacyRow.username_key.contains("-", autoescape=True))
    return {*session.scalars(twice), *(name for name in session.scalars(dashed) if directory.is_code_form(name))}


def hold(enterprise_ids: Sequence[int]) -> None:
    """Keep everybody else from these enterprises' accounts, keys and old users until the transaction ends.

    Enterprises first, which nobody gets an account in meanwhile; accounts before old users, as a forced change does it.
    """
    mine = (Account.enterprise_id.in_(enterprise_ids), LegacyRow.enterprise_id.in_(enterprise_ids))
    session.execute(select(Enterprise.id).where(Enterprise.id.in_(enterprise_ids)).order_by(Enterprise.id).with_for_update()).close()
    session.execute(select(Account.id).where(mine[0]).order_by(Account.id).with_for_update()).close()
    session.execute(select(LegacyRow.id).where(mine[1]).order_by(LegacyRow.id).with_for_update()).close()


def read(today: date, enterprise_ids: Sequence[int]) -> list[OldUser]:
    """All old users of these enterprises, in the order of their numbers."""
    mine = LegacyRow.enterprise_id.in_(enterprise_ids)
    firms = {firm.id: firm for firm in session.scalars(select(Enterprise).where(Enterprise.id.in_(enterprise_ids)), execution_options=_FRESH)}
    systems = {system.code: system for system in session.scalars(select(BusinessSystem))}
    keys = select(EKey).where(EKey.serial.in_(select(LegacyRow.key_serial).where(mine))).options(lazyload(EKey.licences))
    faults = {key.serial: _key_fault(key, today) for key in session.scalars(keys, execution_options=_FRESH)}
    statement = select(*_COLUMNS).outerjoin(AccountKey, AccountKey.serial == LegacyRow.key_serial).where(mine).order_by(LegacyRow.id)
    return [_old_user(row, firms[row.enterprise_id], systems[row.system], faults.get(row.key_serial)) for row in session.execute(statement)]


def _key_fault(key: EKey, today: date) -> str | None:
    fault = fault_by_list(key, today)
    # of the enterprise the row says so itself
    return None if fault == "enterprise_cancelled" else fault


def _old_user(row: Row[*tuple[Any, ...]], firm: Enterprise, system: BusinessSystem, key_fault: str | None) -> OldUser:
    return OldUser(
        id=row.id,
        system=row.system,
        position=system.position,
        by_approval=system.right_from == "approval",
        username=row.username,
        enterprise_id=firm.id,
        prefix=firm.prefix,
        enterprise_active=firm.status == "active",
        key_serial=row.key_serial,
        key_fault=key_fault,
        key_account_id=row.key_account_id,
        mobile=row.mobile,
        email=row.email,
        enabled=row.enabled,
        last_login=row.last_login,
        former_password_id=row.former_password_id,
        account_id=row.account_id,
    )
