"""The import of one dump into `legacy_rows` (D19). It opens nothing: accounts are made by the merge.

Streaming, in chunks: what a chunk is about is looked up at once and written in bulk; of a file, only digests of its users and a bit for each row
stay in memory. The later `as_of` wins whatever the order (D17); of two dumps of the same day the one given last. Old hashes go nowhere but,
sealed, into accounts.FormerPassword. What a row was before is kept in LegacyRowChange, so that the import can be taken back (import_undo.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from idp.audit import migration as audit
from idp.db import insert_numbered, session
from idp.delimited import Fault, FirstLines, Report, Row, chunks, rows
from idp.enterprises import register
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput
from idp.key_register.models import EKey
from idp.legacy import dump_row, naming, old_hashes, renewal
from idp.legacy.dump_row import Entry
from idp.legacy.mapping import Dump as Dump
from idp.legacy.models import LegacyRow, LegacyRun
from idp.legacy.reconciliation import Books, Tally
from idp.legacy.renewal import User


@dataclass(frozen=True)
class _Import:
    """One file's import: its run, what it says while it works, where each user stands first, what became of each row."""

    dump: Dump
    report: Report
    run_id: int
    first_lines: FirstLines
    tally: Tally


def import_file(path: Path, report: Report, dump: Dump, books: Books | None = None) -> None:
    """Take one dump in (inside a transaction); rows that cannot be taken are reported and left out. `books` of the command are closed by it."""
    if session.get(BusinessSystem, dump.system) is None:
        raise BadInput(f"{dump.system} is not a business system")
    run = LegacyRun(kind="import", system=dump.system, file=path.name[:255], as_of=dump.as_of, started_at=dump.now, finished_at=dump.now)
    session.add(run)
    session.flush()
    own = books or Books()
    state = _Import(dump, report, run.id, FirstLines(), own.open(dump.system, run.id))
    for chunk in chunks(rows(path, dump.mapping.form, dump.mapping.needed, report)):
        _take(chunk, state)
    _close(run, state)
    if books is None:
        list(own.close())


def _close(run: LegacyRun, state: _Import) -> None:
    counts = state.report.counts
    state.tally.counts["rejected"] = counts["rejected"]
    # the same file again changes nothing, so it leaves no run behind either
    if not counts["added"] + counts["changed"]:
        session.delete(run)
        session.flush()
        state.tally.run_id = None
        return
    run.counts = dict(counts)
    session.flush()
    accepted = counts["added"] + counts["changed"] + counts["unchanged"] + counts["older"]
    audit.legacy_imported(state.dump.now, run_id=run.id, system=state.dump.system, accepted=accepted, rejected=counts["rejected"])


def _take(chunk: Sequence[Row], state: _Import) -> None:
    """Take some rows in. No two of them are about the same user, so what is looked up for all of them at once stays true."""
    state.tally.counts["read"] += len(chunk)
    faults: list[tuple[int, Fault]] = []
    entries: list[tuple[int, Entry]] = []
    for row in chunk:
        found = dump_row.read(row, state.dump.mapping, state.report)
        if isinstance(found, Fault):
            faults.append((row.line, found))
        else:
            entries.append((row.line, found))
    users: list[User] = []
    for line, placed in _placed(entries, state):
        if isinstance(placed, Fault):
            faults.append((line, placed))
        else:
            users.append(placed)
    known = renewal.known(users, state.dump.system)
    _add([user for user in users if user.identity not in known], state)
    renewed = renewal.renew([(user, known[user.identity]) for user in users if user.identity in known], state.dump, state.run_id)
    faults += [(line, Fault(state.dump.mapping.columns.username, said)) for line, said in renewed.faults]
    for row_id in renewed.standing:
        state.tally.stands_for(row_id)
    state.tally.counts["duplicates"] += renewed.counts["older"]
    state.report.counts.update(renewed.counts)
    for line, fault in sorted(faults, key=lambda each: each[0]):
        state.report.reject(line, fault.column, fault.reason)


def _placed(entries: Sequence[tuple[int, Entry]], state: _Import) -> list[tuple[int, User | Fault]]:
    """Each entry with its enterprise, or why it belongs nowhere."""
    columns, alone = state.dump.mapping.columns, naming.unique_in_system(state.dump.system)
    enterprises = register.find_all(entry.enterprise for _line, entry in entries)
    serials = {entry.key for _line, entry in entries if entry.key}
    owners = dict(session.execute(select(EKey.serial, EKey.enterprise_id).where(EKey.serial.in_(serials))).all()) if serials else {}
    found: list[tuple[int, User | Fault]] = []
    for line, entry in entries:
        fault = _fault(entry, enterprises, owners, columns.enterprise, columns.key or "key")
        if fault is None:
            enterprise_id = enterprises[entry.enterprise][0]
            identity = (entry.username_key,) if alone else (enterprise_id, entry.key, entry.username_key)
            again = state.first_lines.again(line, identity)
            # a second row of the same user in one file: the later one is left out, both lines are named (D19)
            fault = Fault(columns.username, f"the same user name again; first in line {again[1]}") if again else None
        found.append((line, fault or User(line, entry, enterprise_id, identity)))
    return found


def _fault(entry: Entry, enterprises: dict[str, tuple[int, str]], owners: dict[str, int], code_column: str, key_column: str) -> Fault | None:
    if entry.enterprise not in enterprises:
        return Fault(code_column, f"{entry.enterprise} is not in the register of enterprises")
    if not entry.key:
        return None
    enterprise_id, prefix = enterprises[entry.enterprise]
    if entry.key not in owners:
        return Fault(key_column, f"{entry.key} is not in the key office's list")
    return Fault(key_column, f"{entry.key} belongs to another enterprise than {prefix}") if owners[entry.key] != enterprise_id else None


def _add(users: Sequence[User], state: _Import) -> None:
    """Keep users of whom nothing is known yet."""
    dump = state.dump
    kept = iter(old_hashes.keep([(user.entry, None) for user in users if user.entry.password], dump))
    new = [
        {
            **user.values(),
            "system": dump.system,
            "username_key": user.entry.username_key,
            "as_of": dump.as_of,
            "former_password_id": next(kept) if user.entry.password else None,
            "run_id": state.run_id,
            "added_in": state.run_id,
            "unmerged": True,
        }
        for user in users
    ]
    for row_id in insert_numbered(LegacyRow, new):
        state.tally.stands_for(row_id)
    state.report.counts["added"] += len(new)
