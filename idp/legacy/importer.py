"""The import of one dump into `legacy_rows` (D19). It opens nothing: accounts are made by the merge.

Streaming: of a file, only the identities of its rows stay in memory, to name both lines of a pair. The later `as_of` wins whatever the order
(D17); of two dumps of the same day the one given last. Old hashes go nowhere but, sealed, into accounts.FormerPassword.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from idp import opaque_tokens
from idp.accounts.credentials import PURPOSE
from idp.accounts.models import Account, FormerPassword
from idp.audit import catalogue as audit
from idp.db import session
from idp.delimited import Fault, Report, rows
from idp.enterprises import register
from idp.enterprises.register import FLUSH_EVERY_ROWS
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput
from idp.key_register.models import EKey
from idp.legacy import dump_row, naming
from idp.legacy.dump_row import Entry
from idp.legacy.mapping import Mapping
from idp.legacy.models import LegacyRow, LegacyRun


@dataclass(frozen=True)
class Dump:
    """What an operator says about a dump; `secret` seals the old hashes."""

    system: str
    as_of: date
    mapping: Mapping
    secret: str
    now: datetime


@dataclass
class _Import:
    """The state of one file's import: the run, the identities seen with their lines, enterprises found (code → id, prefix)."""

    dump: Dump
    report: Report
    run_id: int
    first_line: dict[tuple[int | str, ...], int] = field(default_factory=dict)
    enterprises: dict[str, tuple[int, str] | None] = field(default_factory=dict)


def import_file(path: Path, report: Report, dump: Dump) -> None:
    """Take one dump in (inside a transaction); rows that cannot be taken are reported and left out."""
    if session.get(BusinessSystem, dump.system) is None:
        raise BadInput(f"{dump.system} is not a business system")
    run = LegacyRun(kind="import", system=dump.system, file=path.name[:255], as_of=dump.as_of, started_at=dump.now)
    session.add(run)
    session.flush()
    state = _Import(dump, report, run.id)
    # every row is another user, so nothing that is looked up waits unwritten: writes go out in bulk
    with session.no_autoflush:
        for number, row in enumerate(rows(path, dump.mapping.form, dump.mapping.needed, report), start=1):
            found = dump_row.read(row, dump.mapping, report)
            fault = found if isinstance(found, Fault) else _take(found, row.line, state)
            if fault:
                report.reject(row.line, fault.column, fault.reason)
            if number % FLUSH_EVERY_ROWS == 0:
                session.flush()
                session.expunge_all()
    _close(state)


def _close(state: _Import) -> None:
    counts = state.report.counts
    session.flush()
    run = session.get_one(LegacyRun, state.run_id)
    # the same file again changes nothing, so it leaves no run behind either
    if not counts["added"] + counts["changed"]:
        session.delete(run)
        return
    run.counts = dict(counts)
    accepted = counts["added"] + counts["changed"] + counts["unchanged"] + counts["older"]
    audit.legacy_imported(state.dump.now, run_id=run.id, system=state.dump.system, accepted=accepted, rejected=counts["rejected"])


def _take(entry: Entry, line: int, state: _Import) -> Fault | None:
    columns = state.dump.mapping.columns
    enterprise = _enterprise(entry.enterprise, state)
    if enterprise is None:
        return Fault(columns.enterprise, f"{entry.enterprise} is not in the register of enterprises")
    enterprise_id, prefix = enterprise
    if entry.key:
        key = session.get(EKey, entry.key)
        if key is None:
            return Fault(columns.key or "key", f"{entry.key} is not in the key office's list")
        if key.enterprise_id != enterprise_id:
            return Fault(columns.key or "key", f"{entry.key} belongs to another enterprise than {prefix}")
    again = _again(entry, enterprise_id, line, state)
    if again:
        return again
    known = _known(entry, enterprise_id, state.dump.system)
    if known is None:
        _add(entry, enterprise_id, state)
        return None
    return _renew(known, entry, enterprise_id, state)


def _again(entry: Entry, enterprise_id: int, line: int, state: _Import) -> Fault | None:
    """A second row of the same user in one file: the later one is left out, both lines are named (D19)."""
    alone = naming.unique_in_system(state.dump.system)
    identity = (entry.username_key,) if alone else (enterprise_id, entry.key, entry.username_key)
    if identity in state.first_line:
        return Fault(state.dump.mapping.columns.username, f"the same user name again; first in line {state.first_line[identity]}")
    state.first_line[identity] = line
    return None


def _enterprise(code: str, state: _Import) -> tuple[int, str] | None:
    if code not in state.enterprises:
        found = register.find(code)
        state.enterprises[code] = (found.id, found.prefix) if found else None
    return state.enterprises[code]


def _known(entry: Entry, enterprise_id: int, system: str) -> LegacyRow | None:
    """The row that an earlier import made of this user."""
    statement = select(LegacyRow).where(LegacyRow.system == system, LegacyRow.username_key == entry.username_key)
    if not naming.unique_in_system(system):
        statement = statement.where(LegacyRow.enterprise_id == enterprise_id, LegacyRow.key_serial == entry.key)
    return session.scalar(statement.options(joinedload(LegacyRow.former_password)))


def _add(entry: Entry, enterprise_id: int, state: _Import) -> None:
    row = LegacyRow(system=state.dump.system, username_key=entry.username_key, enterprise_id=enterprise_id, key_serial=entry.key)
    _fill_status(row, entry, state)
    _fill(row, entry, state)
    _seal(row, entry, state.dump)
    session.add(row)
    state.report.counts["added"] += 1


def _renew(row: LegacyRow, entry: Entry, enterprise_id: int, state: _Import) -> Fault | None:
    """Let a later dump replace what an earlier one said (D17)."""
    dump, moved = state.dump, (row.enterprise_id, row.key_serial) != (enterprise_id, entry.key)
    if dump.as_of < row.as_of:
        state.report.counts["older"] += 1
        return None
    # a name that is unique in its system may wander between dumps, but not once an account has it, nor within one day
    if moved and (row.account_id is not None or dump.as_of == row.as_of):
        return Fault(dump.mapping.columns.username, "this user name stands for another enterprise or key already")
    row.enterprise_id, row.key_serial = enterprise_id, entry.key
    changed = _fill_status(row, entry, state)
    if _differs(row, entry, dump) and not _has_platform_password(row.account_id):
        changed |= _fill(row, entry, state) | _seal(row, entry, dump)
    state.report.counts["changed" if changed or moved else "unchanged"] += 1
    return None


def _differs(row: LegacyRow, entry: Entry, dump: Dump) -> bool:
    """Whether the dump says more than another status; asked first, so that an import locks no account it has nothing new about."""
    said = (entry.username, entry.contact, entry.mobile, entry.email)
    return said != (row.username, row.contact, row.mobile, row.email) or not _sealed_so(row.former_password, entry, dump)


def _has_platform_password(account_id: int | None) -> bool:
    """Whether the forced change of this row's account has been made; if not, the lock keeps it from being made meanwhile."""
    if account_id is None:
        return False
    statement = select(Account.password_hash).where(Account.id == account_id)
    return session.scalar(statement) is not None or session.scalar(statement.with_for_update()) is not None


def _fill(row: LegacyRow, entry: Entry, state: _Import) -> bool:
    return _set(row, state, username=entry.username, contact=entry.contact, mobile=entry.mobile, email=entry.email)


def _fill_status(row: LegacyRow, entry: Entry, state: _Import) -> bool:
    return _set(row, state, enabled=entry.enabled, last_login=entry.last_login, as_of=state.dump.as_of)


def _set(row: LegacyRow, state: _Import, **values: object) -> bool:
    """Set what differs, and note the run that did; whether anything differed."""
    new = {name: value for name, value in values.items() if value != getattr(row, name)}
    for name, value in new.items():
        setattr(row, name, value)
    if new:
        row.run_id = state.run_id
    return bool(new)


def _sealed_so(former: FormerPassword | None, entry: Entry, dump: Dump) -> bool:
    """Whether what is kept of the old password is what the dump says."""
    if former is None or not entry.password:
        return former is None and not entry.password
    kept, said = (former.scheme, former.encoding, former.enabled), (dump.mapping.password.scheme, dump.mapping.password.encoding, entry.enabled)
    return kept == said and opaque_tokens.unseal(dump.secret, PURPOSE, former.sealed_hash) == entry.password


def _seal(row: LegacyRow, entry: Entry, dump: Dump) -> bool:
    """Keep the row's old hash as accounts.FormerPassword, and nothing else of it; whether anything changed."""
    former, scheme = row.former_password, dump.mapping.password
    if _sealed_so(former, entry, dump):
        return False
    if not entry.password:
        row.former_password = None
        session.delete(former)
        return True
    if former is None:
        row.former_password = former = FormerPassword(account_id=row.account_id, system=dump.system)
    former.scheme, former.encoding, former.enabled = scheme.scheme, scheme.encoding, entry.enabled
    former.sealed_hash = opaque_tokens.seal(dump.secret, PURPOSE, entry.password)
    return True
