"""Which keys of the list count on a day, and how many an enterprise may have (R68, D15)."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, select

from idp.db import session
from idp.key_register import reports
from idp.key_register.models import EKey

MOST_LIVE = 3


def dead(key: EKey, today: date) -> str | None:
    """Why a key of the list does not count on this day, in Beijing; None if it is live. What was reported here comes first (R68)."""
    report = reports.live(key.serial)
    return reports.fault(report.word) if report is not None else fault_by_list(key, today)


def fault_by_list(key: EKey, today: date) -> str | None:
    """The same by the office's word, the dates and the enterprise alone."""
    if key.status == "revoked":
        return "key_revoked"
    if key.status != "active" or (key.expires is not None and key.expires < today):
        return "key_expired"
    if key.issued is not None and key.issued > today:
        return "key_not_yet_valid"
    return None if key.enterprise.status == "active" else "enterprise_cancelled"


def live_of(enterprise_id: int, today: date) -> int:
    """How many keys of the enterprise count, whoever has them; the office may issue more than MOST_LIVE, of which so many are used (R68)."""
    keys = session.scalars(select(EKey).where(EKey.enterprise_id == enterprise_id, EKey.status == "active"))
    return sum(dead(key, today) is None for key in keys)


def with_many() -> Sequence[int]:
    """Enterprises for which the list has more active keys than may be live, dead ones included."""
    many = select(EKey.enterprise_id).where(EKey.status == "active").group_by(EKey.enterprise_id).having(func.count() > MOST_LIVE)
    return session.scalars(many.order_by(EKey.enterprise_id)).all()
