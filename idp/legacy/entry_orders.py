"""What officers do about legacy entries (R64, R90): let them last longer, close them, begin a count anew. Inside a transaction."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update

from idp.accounts import directory
from idp.audit import legacy_entry as audit
from idp.db import session
from idp.enterprises import codes, register
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput, Refusal
from idp.legacy import entry
from idp.legacy.entry import Terms
from idp.legacy.models import LegacyEntryEnd, LegacyRow
from idp.second_person import rules as second_person
from idp.second_person.rules import Acts, Filer

RESET = "legacy_entry_reset"
ROLES = frozenset(["security_officer", "service_desk"])
_PLAIN = {"synchronize_session": False}


def system(code: str) -> str:
    """The code of a business system; BadInput for one that is unknown."""
    if session.scalar(select(BusinessSystem.code).where(BusinessSystem.code == code)) is None:
        raise BadInput("no business system", field=code)
    return code


def find(system: str, username: str, enterprise: str) -> list[LegacyRow]:
    """The old user of this name, held: one row for each e-key; BadInput where there is none, or enterprises share the name."""
    named = [LegacyRow.system == system, LegacyRow.username_key == directory.name_key(username)]
    if enterprise:
        owner = register.find(codes.normalise(enterprise))
        if owner is None:
            raise BadInput("no enterprise has it", field="--enterprise")
        named.append(LegacyRow.enterprise_id == owner.id)
    rows = list(session.scalars(select(LegacyRow).where(*named).order_by(LegacyRow.id).with_for_update()))
    if not rows:
        raise BadInput("no such old user", field="--username")
    if len({row.enterprise_id for row in rows}) > 1:
        raise BadInput("several enterprises have this name; give --enterprise", field="--username")
    return rows


def extend_until(system: str, rows: Sequence[LegacyRow] | None, day: date, terms: Terms, now: datetime) -> None:
    """Let an entry be open to the end of a later day (Beijing), for these old users or (None) for all but those with a day of their own."""
    for row in rows or ():
        _must_be_later(day, entry.last_day(row, terms), now)
        row.entry_until = day
        audit.extended(now, system=system, row=row.id, until=day, logins=None)
    if rows is None:
        _must_be_later(day, entry.system_last_day(system, terms), now)
        _end_system(system, day, now)
        audit.extended(now, system=system, row=None, until=day, logins=None)


def _must_be_later(day: date, standing: date | None, now: datetime) -> None:
    if standing is None:
        raise BadInput("the entry has no last day that could be moved", field="--until")
    if day <= standing or day < entry.today(now):
        raise BadInput(f"is not later than the last day, {max(standing, entry.today(now))}", field="--until")


def extend_logins(system: str, rows: Sequence[LegacyRow] | None, logins: int, now: datetime) -> None:
    """Give so many further log-ins, to these old users or (None) to all of the system."""
    which = LegacyRow.system == system if rows is None else LegacyRow.id.in_([row.id for row in rows])
    session.execute(update(LegacyRow).where(which).values(entry_extra=LegacyRow.entry_extra + logins), execution_options=_PLAIN)
    for number in [None] if rows is None else [row.id for row in rows]:
        audit.extended(now, system=system, row=number, until=None, logins=logins)


def close(system: str, rows: Sequence[LegacyRow] | None, last: date, terms: Terms, now: datetime) -> None:
    """Let `last` be the last day, for these old users or (None) for all, whatever was granted to single ones; what ends before stays so."""
    for row in rows or ():
        row.entry_until = _earlier(last, entry.last_day(row, terms))
        audit.closed(now, system=system, row=row.id, last_day=last)
    if rows is None:
        _end_system(system, _earlier(last, entry.system_last_day(system, terms)), now)
        granted = (LegacyRow.system == system, LegacyRow.entry_until.is_not(None), LegacyRow.entry_until > last)
        session.execute(update(LegacyRow).where(*granted).values(entry_until=None), execution_options=_PLAIN)
        audit.closed(now, system=system, row=None, last_day=last)


def _earlier(last: date, standing: date | None) -> date:
    if standing is not None and standing <= last:
        raise BadInput(f"it ends before: its last day is {standing}", field="--from")
    return last


def _end_system(system: str, last: date, now: datetime) -> None:
    standing = session.get(LegacyEntryEnd, system, with_for_update=True)
    if standing is None:
        session.add(LegacyEntryEnd(system=system, last_day=last, since=now))
    else:
        standing.last_day, standing.since = last, now


# --- the count, by two persons --------------------------------------------------------------------------------------------------------------


def file_reset(rows: Sequence[LegacyRow], reason: str, by: Filer, acts: Acts, now: datetime) -> int | Refusal:
    """Ask another officer to let the count begin anew; the request's number."""
    first = rows[0]
    prefix = session.get_one(Enterprise, first.enterprise_id).prefix
    subject = f"{first.system}: {prefix} {first.username}"[:160]
    details = {"rows": [row.id for row in rows], "enterprise": prefix, "system": first.system, "old_name": first.username}
    return second_person.file(RESET, subject, details, reason, by, acts, now)


def reset(details: Mapping[str, Any], now: datetime) -> Refusal | None:
    """Do it, once it is confirmed."""
    mine = select(LegacyRow).where(LegacyRow.id.in_(details["rows"])).order_by(LegacyRow.id).with_for_update()
    rows = session.scalars(mine.execution_options(populate_existing=True)).all()
    if not rows:
        return Refusal("legacy_row_gone")
    for row in rows:
        audit.reset(now, account_id=row.account_id, row=row.id, system=row.system, logins=row.entry_logins)
        row.entry_logins = 0
    return None


def region(details: Mapping[str, Any]) -> str:
    """Where the old user's enterprise is."""
    mine = select(Enterprise.region).join(LegacyRow, LegacyRow.enterprise_id == Enterprise.id).where(LegacyRow.id.in_(details["rows"]))
    return session.scalar(mine.limit(1)) or ""
