"""Taking an import back: rows that it added go, rows that it changed are again what they were. The merge follows at its next apply."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from idp.accounts.models import Account, FormerPassword
from idp.audit import migration as audit
from idp.db import session
from idp.delimited import CHUNK_ROWS
from idp.enterprises.models import Enterprise
from idp.errors import BadInput
from idp.legacy.models import LegacyRow, LegacyRowChange, LegacyRun

MERGED = "merged into an account: undo the merge first"
DATES = ("last_login", "as_of")
PLACE = {"enterprise_id", "key_serial"}
_PLAIN = {"synchronize_session": False}
Tell = Callable[[str, str], None]


@dataclass
class Undone:
    """How many rows went, how many are as before, how many had to stay."""

    removed: int = 0
    returned: int = 0
    stayed: int = 0


def undo(run_id: int, now: datetime, tell: Tell) -> Undone:
    """Take the run of an import back (inside a transaction); `tell(user, why)` names each that stays. Once more, it takes back what stayed."""
    run = session.get(LegacyRun, run_id, with_for_update=True, populate_existing=True)
    if run is None or run.kind != "import":
        raise BadInput(f"{run_id} is not the run of an import", field="--undo")
    undone = Undone()
    if run.undone_at is not None:
        return undone
    for chunk in _chunks(select(*_ADDED).join(Enterprise, Enterprise.id == LegacyRow.enterprise_id).where(LegacyRow.added_in == run.id)):
        _remove(chunk, run, undone, tell)
    changed = select(*_ADDED, LegacyRowChange.before, LegacyRowChange.former_password_id.label("kept"))
    changed = changed.join(Enterprise, Enterprise.id == LegacyRow.enterprise_id).join(LegacyRowChange, LegacyRowChange.row_id == LegacyRow.id)
    for chunk in _chunks(changed.where(LegacyRowChange.run_id == run.id)):
        _return(chunk, run, undone, tell)
    _close(run, undone, now)
    return undone


_ADDED = (
    LegacyRow.id,
    LegacyRow.system,
    LegacyRow.username,
    LegacyRow.account_id,
    LegacyRow.run_id,
    LegacyRow.former_password_id,
    Enterprise.code,
    Enterprise.uscc,
)


def _chunks(statement: Any) -> Iterator[Sequence[Row[Any]]]:
    """The rows in the order of their numbers, some at a time, held until the transaction ends."""
    last = 0
    while True:
        ordered = statement.where(LegacyRow.id > last).order_by(LegacyRow.id).limit(CHUNK_ROWS)
        chunk = session.execute(ordered.with_for_update(of=LegacyRow)).all()
        if not chunk:
            return
        last = chunk[-1].id
        yield chunk


def _close(run: LegacyRun, undone: Undone, now: datetime) -> None:
    if not undone.stayed:
        run.undone_at = now
    if undone.removed or undone.returned or run.undone_at:
        figures = {"removed": undone.removed, "returned": undone.returned, "stayed": undone.stayed}
        audit.legacy_import_undone(now, run_id=run.id, system=run.system or "", **figures)


def _stays(row: Row[Any], why: str, undone: Undone, tell: Tell) -> None:
    undone.stayed += 1
    tell(f"{row.system}: {row.code or row.uscc}-{row.username}", why)


def _later(row: Row[Any]) -> str:
    return f"changed again by run {row.run_id}: undo that one first"


def _remove(chunk: Iterable[Row[Any]], run: LegacyRun, undone: Undone, tell: Tell) -> None:
    """Rows that the run brought go with their old hashes, unless an account has them or a later import spoke of them."""
    going = []
    for row in chunk:
        if row.account_id is not None:
            _stays(row, MERGED, undone, tell)
        elif row.run_id != run.id:
            _stays(row, _later(row), undone, tell)
        else:
            going.append(row)
    session.execute(delete(LegacyRow).where(LegacyRow.id.in_([row.id for row in going])), execution_options=_PLAIN)
    _drop_hashes(row.former_password_id for row in going)
    undone.removed += len(going)


def _drop_hashes(numbers: Iterable[int | None]) -> None:
    ids = [number for number in numbers if number is not None]
    if ids:
        session.execute(delete(FormerPassword).where(FormerPassword.id.in_(ids)), execution_options=_PLAIN)


def _return(chunk: Iterable[Row[Any]], run: LegacyRun, undone: Undone, tell: Tell) -> None:
    """Rows that the run changed become what they were, unless a later import changed them again."""
    going = []
    for row in chunk:
        if row.run_id != run.id:
            _stays(row, _later(row), undone, tell)
        elif row.account_id is not None and row.before.keys() & PLACE:
            # its account belongs to the enterprise and key that this run gave it
            _stays(row, MERGED, undone, tell)
        else:
            going.append(row)
    if not going:
        return
    finished = _finished({row.account_id for row in going if row.account_id is not None})
    for row in going:
        session.execute(update(LegacyRow).where(LegacyRow.id == row.id).values(**_before(row, finished)), execution_options=_PLAIN)
    _return_hashes(going, finished)
    ids = [row.id for row in going]
    session.execute(delete(LegacyRowChange).where(LegacyRowChange.run_id == run.id, LegacyRowChange.row_id.in_(ids)), execution_options=_PLAIN)
    undone.returned += len(going)


def _finished(account_ids: Collection[int]) -> Collection[int]:
    """Accounts that have a password of their own; the others are held, so that none gets one meanwhile."""
    rows = session.execute(select(Account.id, Account.password_hash).where(Account.id.in_(account_ids)).order_by(Account.id).with_for_update())
    return {account_id for account_id, password_hash in rows if password_hash is not None}


def _before(row: Row[Any], finished: Collection[int]) -> dict[str, Any]:
    values = {column: date.fromisoformat(value) if column in DATES and value else value for column, value in row.before.items()}
    if "former_password_id" in values:
        values["former_password_id"] = None if row.account_id in finished else row.kept
    return {**values, "unmerged": True}


def _return_hashes(rows: Iterable[Row[Any]], finished: Collection[int]) -> None:
    """The hash that a row had opens again, and the one that took its place goes; of those who have set a password all stay dead (R62)."""
    for row in rows:
        rehashed = "former_password_id" in row.before
        number = row.kept if rehashed else row.former_password_id
        if rehashed:
            _drop_hashes([row.former_password_id, row.kept if row.account_id in finished else None])
        if number is None or row.account_id in finished:
            continue
        values = {"enabled": row.before["enabled"]} if "enabled" in row.before else {}
        values |= {"replaced": False, "account_id": row.account_id} if rehashed else {}
        if values:
            session.execute(update(FormerPassword).where(FormerPassword.id == number).values(**values), execution_options=_PLAIN)
