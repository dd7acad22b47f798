"""Legacy rows as the plan of the merge sees them."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Select, select

from idp.accounts.models import AccountKey
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.key_register.live_keys import fault_by_list
from idp.key_register.models import EKey
from idp.legacy.merge_plan import OldUser
from idp.legacy.models import LegacyRow


def read(today: date, enterprise_ids: Sequence[int] | None = None, *, lock: bool = False) -> list[OldUser]:
    """All old users, or those of some enterprises; `lock` keeps other merges and imports off their rows until the transaction ends."""
    statement = _statement()
    if enterprise_ids is not None:
        statement = statement.where(LegacyRow.enterprise_id.in_(enterprise_ids))
    if lock:
        statement = statement.with_for_update(of=LegacyRow)
    found = session.execute(statement.execution_options(populate_existing=True))
    return [_old_user(today, row, enterprise, system, key, owner) for row, enterprise, system, key, owner in found]


def enterprise_ids() -> list[int]:
    """Enterprises that have old users."""
    return list(session.scalars(select(LegacyRow.enterprise_id).distinct().order_by(LegacyRow.enterprise_id)))


def _statement() -> Select[LegacyRow, Enterprise, BusinessSystem, EKey, AccountKey]:
    return (
        select(LegacyRow, Enterprise, BusinessSystem, EKey, AccountKey)
        .join(Enterprise, Enterprise.id == LegacyRow.enterprise_id)
        .join(BusinessSystem, BusinessSystem.code == LegacyRow.system)
        .outerjoin(EKey, EKey.serial == LegacyRow.key_serial)
        .outerjoin(AccountKey, AccountKey.serial == LegacyRow.key_serial)
        .order_by(LegacyRow.id)
    )


def _key_fault(key: EKey, today: date) -> str | None:
    fault = fault_by_list(key, today)
    # of the enterprise the row says so itself
    return None if fault == "enterprise_cancelled" else fault


def _old_user(today: date, row: LegacyRow, enterprise: Enterprise, system: BusinessSystem, key: EKey | None, owner: AccountKey | None) -> OldUser:
    return OldUser(
        id=row.id,
        system=row.system,
        position=system.position,
        by_approval=system.right_from == "approval",
        username=row.username,
        enterprise_id=enterprise.id,
        prefix=enterprise.prefix,
        enterprise_active=enterprise.status == "active",
        key_serial=row.key_serial,
        key_fault=_key_fault(key, today) if key else None,
        key_account_id=owner.account_id if owner else None,
        mobile=row.mobile,
        email=row.email,
        enabled=row.enabled,
        last_login=row.last_login,
        has_password=row.former_password_id is not None,
        account_id=row.account_id,
    )
