"""Ordering a cut-over, and taking it back (R92): for all, for a region, or for enterprises that go first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, and_, case, func, select, true

from idp import delimited
from idp.audit import migration as audit
from idp.db import session
from idp.enterprises import codes, register
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput
from idp.legacy.models import LegacyCutover, LegacyRow

MAX_LISTED = 5000


@dataclass(frozen=True)
class Scope:
    """For whom: for all, for enterprises whose region begins with `region`, or for these."""

    region: str = ""
    enterprise_ids: tuple[int, ...] = ()

    @property
    def targets(self) -> list[int | None]:
        """One cut-over each; None = whoever the region says."""
        return list(self.enterprise_ids) or [None]

    def rows(self) -> ColumnElement[bool]:
        """Which legacy rows it is about."""
        if self.enterprise_ids:
            return LegacyRow.enterprise_id.in_(self.enterprise_ids)
        if not self.region:
            return true()
        return LegacyRow.enterprise_id.in_(select(Enterprise.id).where(Enterprise.region.startswith(self.region, autoescape=True)))


@dataclass(frozen=True)
class Figures:
    """What must be right before a system is cut over: its dump was taken in, how many of the rows wait for a merge, how many have no account."""

    system: str
    taken: bool
    rows: int
    unmerged: int
    without_account: int

    @property
    def go(self) -> bool:
        """Whether all of them say so."""
        return self.taken and not self.unmerged and not self.without_account


def systems(wanted: str) -> list[str]:
    """The system of this code, or `all`; BadInput for an unknown one."""
    known = list(session.scalars(select(BusinessSystem.code).order_by(BusinessSystem.position)))
    if wanted != "all" and wanted not in known:
        raise BadInput(f"no business system; known are all, {', '.join(known)}", field=wanted)
    return known if wanted == "all" else [wanted]


def enterprises(path: Path) -> tuple[int, ...]:
    """The enterprises of a list: a CSV file with the column `enterprise_code` (code or USCC); BadInput names the line of one that is unknown."""
    found: dict[int, None] = {}
    for row in delimited.rows(path, delimited.Form(), ["enterprise_code"], delimited.Report(str(path))):
        enterprise = register.find(codes.normalise(row.cells["enterprise_code"])) if row.fault is None else None
        if enterprise is None:
            raise BadInput(row.fault or "no enterprise has it", str(path), row.line, "enterprise_code")
        found[enterprise.id] = None
    if not 0 < len(found) <= MAX_LISTED:
        raise BadInput(f"must name 1 to {MAX_LISTED} enterprises; for more use --region", str(path))
    return tuple(found)


def figures(system: str, scope: Scope) -> Figures:
    """How far the rows of a system are."""
    waiting, lost = (func.coalesce(func.sum(case((which, 1), else_=0)), 0) for which in (LegacyRow.unmerged, LegacyRow.account_id.is_(None)))
    rows, unmerged, without = session.execute(select(func.count(), waiting, lost).where(LegacyRow.system == system, scope.rows())).one()
    taken = bool(rows) or session.scalar(select(LegacyRow.id).where(LegacyRow.system == system).limit(1)) is not None
    return Figures(system, taken, rows, unmerged, without)


def piloted(system: str, now: datetime) -> bool:
    """Whether a part of the system's users has gone first."""
    part = (LegacyCutover.system == system, LegacyCutover.reverted_at.is_(None), LegacyCutover.at <= now)
    return session.scalar(select(LegacyCutover.id).where(*part).limit(1)) is not None


def order(wanted: Iterable[str], scope: Scope, at: datetime, operator: str, now: datetime) -> list[LegacyCutover]:
    """Order it; the same once more changes nothing, another time for the same needs the first to be taken back (BadInput). What was added."""
    made = [
        LegacyCutover(system=system, region=scope.region, enterprise_id=enterprise_id, at=at, made_at=now, made_by=operator)
        for system in wanted
        for enterprise_id in scope.targets
        if not _stands(system, scope.region, enterprise_id, at)
    ]
    session.add_all(made)
    session.flush()
    for row in made:
        audit.cutover_set(now, cutover_id=row.id, system=row.system, at=row.at, region=row.region, enterprise_id=row.enterprise_id)
    return made


def _stands(system: str, region: str, enterprise_id: int | None, at: datetime) -> bool:
    firm = LegacyCutover.enterprise_id.is_(None) if enterprise_id is None else LegacyCutover.enterprise_id == enterprise_id
    same = and_(LegacyCutover.system == system, LegacyCutover.region == region, firm, LegacyCutover.reverted_at.is_(None))
    row = session.scalar(select(LegacyCutover).where(same).with_for_update())
    if row is not None and row.at != at:
        raise BadInput(f"cut-over {row.id} of {system} stands for the same at another time; take it back first: --revert {row.id}")
    return row is not None


def revert(ids: Sequence[int], now: datetime) -> list[LegacyCutover]:
    """Take them back, before or after their time: from now on nothing is counted; what was counted stays. BadInput if one does not stand."""
    rows = []
    for cutover_id in ids:
        row = session.get(LegacyCutover, cutover_id, with_for_update=True)
        if row is None or row.reverted_at is not None:
            raise BadInput(f"there is no cut-over {cutover_id} that stands")
        row.reverted_at = now
        audit.cutover_reverted(now, cutover_id=row.id, system=row.system, enterprise_id=row.enterprise_id)
        rows.append(row)
    return rows


def standing() -> list[tuple[LegacyCutover, Enterprise | None]]:
    """Those that stand, by time, with the enterprise where they are for one."""
    statement = select(LegacyCutover, Enterprise).outerjoin(Enterprise, Enterprise.id == LegacyCutover.enterprise_id)
    found = session.execute(statement.where(LegacyCutover.reverted_at.is_(None)).order_by(LegacyCutover.at, LegacyCutover.id))
    return [(row, enterprise) for row, enterprise in found]
