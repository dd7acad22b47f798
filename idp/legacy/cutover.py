"""From when the platform takes the place of a system's own log-in (R1, R92), and what follows from it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select

from idp.accounts.models import FormerPassword
from idp.audit import catalogue as audit
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.legacy.models import LegacyCutover, LegacyRow, LegacyRowChange

SHOWN_AFTER = timedelta(weeks=8)
_STANDING = LegacyCutover.reverted_at.is_(None)
_FOR_ALL = and_(LegacyCutover.enterprise_id.is_(None), LegacyCutover.region == "")


@dataclass(frozen=True)
class Notice:
    """What the sign-in page says to everybody about one moment: the systems (codes) that were, or will be, cut over `at` it."""

    at: datetime
    come: bool
    systems: tuple[str, ...]


def since(enterprise_id: int, region: str, system: str, now: datetime) -> datetime | None:
    """From when on the platform signs this enterprise's people of `system` in; None = not yet. Of several that fit the earliest counts."""
    fits = or_(
        LegacyCutover.enterprise_id == enterprise_id,
        and_(LegacyCutover.enterprise_id.is_(None), literal(region).startswith(LegacyCutover.region)),
    )
    return session.scalar(select(func.min(LegacyCutover.at)).where(_STANDING, LegacyCutover.system == system, LegacyCutover.at <= now, fits))


def notices(now: datetime) -> list[Notice]:
    """What is to come for everybody, and for some weeks what has; by time. Pilots are no news for the others."""
    first = select(LegacyCutover.system, func.min(LegacyCutover.at)).where(_STANDING, _FOR_ALL).group_by(LegacyCutover.system)
    moments: dict[datetime, list[str]] = defaultdict(list)
    for system, at in session.execute(first):
        if now < at + SHOWN_AFTER:
            moments[at].append(system)
    return [Notice(at, at <= now, tuple(sorted(systems))) for at, systems in sorted(moments.items())]


def forget_old_hashes(days: int, now: datetime) -> int:
    """R62: a system's old hashes that nobody has used die `days` after its cut-over for the row's enterprise; returns how many died."""
    due = and_(_STANDING, LegacyCutover.at <= now - timedelta(days=days))
    if session.scalar(select(LegacyCutover.id).where(due).limit(1)) is None:
        return 0
    died = _forget(FormerPassword.system.in_(select(LegacyCutover.system).where(due, _FOR_ALL)))
    rows = (
        select(LegacyRow.id)
        .join(Enterprise, Enterprise.id == LegacyRow.enterprise_id)
        .join(LegacyCutover, and_(LegacyCutover.system == LegacyRow.system, due, ~_FOR_ALL))
        .where(
            or_(
                LegacyCutover.enterprise_id == Enterprise.id,
                and_(LegacyCutover.enterprise_id.is_(None), Enterprise.region.startswith(LegacyCutover.region)),
            )
        )
    )
    died += _forget(FormerPassword.id.in_(select(LegacyRow.former_password_id).where(LegacyRow.id.in_(rows))))
    died += _forget(FormerPassword.id.in_(select(LegacyRowChange.former_password_id).where(LegacyRowChange.row_id.in_(rows))))
    if died:
        audit.old_passwords_expired(now, old_hashes=died)
    return died


def _forget(which: ColumnElement[bool]) -> int:
    return len(
        session.scalars(delete(FormerPassword).where(which).returning(FormerPassword.id), execution_options={"synchronize_session": False}).all()
    )
