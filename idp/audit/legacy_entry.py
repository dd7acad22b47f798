"""The catalogue of audit events of the legacy entries (R64), as in catalogue.py. `row`: the old user; `by`: page or program."""

from datetime import date, datetime

from idp.audit.writing import write


def passed(now: datetime, *, account_id: int, row: int, system: str, remaining: int | None, by: str) -> None:
    """An old user logged in at the legacy entry with the old password; `remaining` such log-ins are left, null = they are not counted."""
    write("legacy.entry.passed", now, account_id=account_id, detail={"row": row, "system": system, "remaining": remaining, "by": by})


def refused(now: datetime, *, account_id: int | None, system: str, reason: str, by: str) -> None:
    """A log-in at the legacy entry was refused; `account_id` only where exactly one was meant."""
    write("legacy.entry.refused", now, account_id=account_id, detail={"system": system, "reason": reason, "by": by})


def extended(now: datetime, *, system: str, row: int | None, until: date | None, logins: int | None) -> None:
    """A legacy entry was extended, for one old user or (`row` null) for all: to a later last day, or by further log-ins."""
    until_text = until.isoformat() if until is not None else None
    write("legacy.entry.extended", now, detail={"system": system, "row": row, "until": until_text, "logins": logins})


def closed(now: datetime, *, system: str, row: int | None, last_day: date) -> None:
    """A legacy entry was given an earlier last day, for one old user or (`row` null) for all."""
    write("legacy.entry.closed", now, detail={"system": system, "row": row, "last_day": last_day.isoformat()})


def reset(now: datetime, *, account_id: int | None, row: int, system: str, logins: int) -> None:
    """The count of an old user began anew after `logins`."""
    write("legacy.entry.reset", now, account_id=account_id, detail={"row": row, "system": system, "logins": logins})
