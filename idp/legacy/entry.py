"""The legacy entry (R2, R64): until when it is open to an old user, and how many log-ins are left."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select, update

from idp.adapters import BEIJING
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.legacy import cutover, incident
from idp.legacy.models import LegacyEntryEnd, LegacyRow
from idp.settings import Settings

ENDED, USED_UP = "ended", "used_up"


@dataclass(frozen=True)
class Terms:
    """What everybody has: so many log-ins after the cut-over, and the last day (Beijing) of all entries, None = there is none."""

    logins: int
    last_day: date | None


@dataclass(frozen=True)
class State:
    """`closed`: why the entry does not open, ENDED or USED_UP; None = it does. `remaining` log-ins; None = they are not counted."""

    closed: str | None
    remaining: int | None


def terms(settings: Settings) -> Terms:
    """The terms in force."""
    return Terms(settings.legacy_entry_logins, settings.legacy_end)


def today(now: datetime) -> date:
    """The day in Beijing, by which entries end."""
    return now.astimezone(BEIJING).date()


def system_last_day(system: str, terms: Terms) -> date | None:
    """The last day of a system's entry: where officers moved it, theirs."""
    moved = session.get(LegacyEntryEnd, system, populate_existing=True)
    return moved.last_day if moved is not None else terms.last_day


def last_day(row: LegacyRow, terms: Terms) -> date | None:
    """The last day of an old user's entry: their own, else the system's."""
    return row.entry_until or system_last_day(row.system, terms)


def over(system: str, terms: Terms, now: datetime) -> bool:
    """Whether the entry is over for everybody; then nobody needs to type anything to be told so."""
    last = system_last_day(system, terms)
    if last is None or today(now) <= last:
        return False
    later = select(LegacyRow.id).where(LegacyRow.system == system, LegacyRow.entry_until.is_not(None), LegacyRow.entry_until >= today(now))
    return session.scalar(later.limit(1)) is None


def counts(row: LegacyRow, now: datetime) -> bool:
    """Whether a log-in of this old user is counted: from the cut-over on, and not while the platform is known not to work."""
    region = session.get_one(Enterprise, row.enterprise_id).region
    return cutover.since(row.enterprise_id, region, row.system, now) is not None and not incident.declared()


def state(row: LegacyRow, terms: Terms, now: datetime) -> State:
    """How the entry stands for an old user."""
    remaining = max(0, terms.logins + row.entry_extra - row.entry_logins) if counts(row, now) else None
    last = last_day(row, terms)
    if last is not None and today(now) > last:
        return State(ENDED, remaining)
    return State(USED_UP if remaining == 0 else None, remaining)


def charge(row_id: int, logins: int) -> int | None:
    """Count one log-in (inside a transaction): how many are left then; None = there was none left.

    One conditional statement, so that of many at once exactly as many pass as are left (R64).
    """
    allowed = logins + LegacyRow.entry_extra
    one_more = update(LegacyRow).where(LegacyRow.id == row_id, LegacyRow.entry_logins < allowed).values(entry_logins=LegacyRow.entry_logins + 1)
    counted = one_more.returning(LegacyRow.entry_logins, LegacyRow.entry_extra).execution_options(synchronize_session=False)
    found = session.execute(counted).one_or_none()
    return None if found is None else logins + found.entry_extra - found.entry_logins
