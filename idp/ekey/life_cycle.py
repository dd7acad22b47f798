"""The keys of an account as its page shows them, and what of them may be reported now (R68, R75)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from idp.accounts.models import AccountKey
from idp.db import session
from idp.ekey import withdrawal
from idp.entitlements.models import BusinessSystem
from idp.key_register import reports
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey, EKeyReport

LAST = 4


@dataclass(frozen=True)
class Shown:
    """One key. `state`: why it does not count, None = live · `days_left` until `expires` · `report`: the platform's word on it."""

    serial: str
    systems: Sequence[BusinessSystem]
    bound: bool
    expires: date | None
    days_left: int | None
    state: str | None
    report: EKeyReport | None

    @property
    def last(self) -> str:
        """The end of the serial, as it stands on the key."""
        return self.serial[-LAST:]

    @property
    def may_report(self) -> tuple[str, ...]:
        """`lost` until a final word or the office's revocation, `damaged` while it is live."""
        final = self.state == "key_revoked" or (self.report is not None and self.report.word in reports.FINAL)
        return () if final else ("lost", "damaged") if self.state is None else ("lost",)


def of(account_id: int, today: date) -> list[Shown]:
    """Every key of the account, by serial."""
    keys = session.scalars(
        select(EKey).join(AccountKey, AccountKey.serial == EKey.serial).where(AccountKey.account_id == account_id).order_by(EKey.serial)
    )
    return [_shown(key, today) for key in keys.all()]


def receipt(account_id: int, number: str) -> EKeyReport | None:
    """A report of one of the account's keys, also one that is over; None if it is somebody else's."""
    mine = select(EKeyReport).join(AccountKey, AccountKey.serial == EKeyReport.serial).where(AccountKey.account_id == account_id)
    return session.scalar(mine.where(EKeyReport.number == number))


def _shown(key: EKey, today: date) -> Shown:
    codes = [licence.system for licence in key.licences]
    systems = session.scalars(select(BusinessSystem).where(BusinessSystem.code.in_(codes)).order_by(BusinessSystem.position)).all()
    left = (key.expires - today).days if key.expires is not None else None
    return Shown(key.serial, systems, withdrawal.is_bound(key.serial), key.expires, left, dead(key, today), reports.live(key.serial))
