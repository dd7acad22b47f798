"""What a dump changes about users whom an earlier one has brought (D17): the later day wins, and what was before is kept (LegacyRowChange)."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Row, select, update

from idp.accounts.models import Account, FormerPassword
from idp.db import insert_many, session
from idp.legacy import naming, old_hashes
from idp.legacy.dump_row import Entry
from idp.legacy.mapping import Dump
from idp.legacy.models import LegacyRow, LegacyRowChange

Identity = tuple[int | str, ...]
OLDER, UNCHANGED, CHANGED = "older", "unchanged", "changed"
MOVED = "this user name stands for another enterprise or key already"
STATUS = ("enterprise_id", "key_serial", "enabled", "last_login", "as_of")
REST = ("username", "contact", "mobile", "email")
# alone they say nothing that a merge would look at
NO_NEWS = {"as_of"}


@dataclass(frozen=True)
class User:
    """One user of a dump with its place: `identity` tells it from all others of its system."""

    line: int
    entry: Entry
    enterprise_id: int
    identity: Identity

    def values(self) -> dict[str, Any]:
        """Column → what the dump says."""
        said = {column: getattr(self.entry, column) for column in (*REST, "enabled", "last_login")}
        return {**said, "enterprise_id": self.enterprise_id, "key_serial": self.entry.key}


@dataclass
class Renewed:
    """What became of users known before: counts, rows that the dump speaks for, and (line, reason) of what cannot be taken."""

    counts: Counter[str] = field(default_factory=Counter)
    standing: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


Known = Row[*tuple[Any, ...]]


def known(users: Sequence[User], system: str, *, lock: bool = False) -> dict[Identity, Known]:
    """Identity → the row that an earlier import made of the user, and its old hash."""
    if not users:
        return {}
    alone = naming.unique_in_system(system)
    key = (LegacyRow.username_key,) if alone else (LegacyRow.enterprise_id, LegacyRow.key_serial, LegacyRow.username_key)
    among = [LegacyRow.system == system, LegacyRow.username_key.in_({user.entry.username_key for user in users})]
    if not alone:
        # some rows too many, but both databases find them by their index; for triples they would read all rows of the system
        among.append(LegacyRow.enterprise_id.in_({user.enterprise_id for user in users}))
    hashes = (FormerPassword.scheme, FormerPassword.encoding, FormerPassword.sealed_hash)
    columns = (LegacyRow.id, *key, *_columns(), LegacyRow.account_id, LegacyRow.run_id, LegacyRow.unmerged, LegacyRow.former_password_id, *hashes)
    statement = select(*columns).outerjoin(FormerPassword, FormerPassword.id == LegacyRow.former_password_id)
    statement = statement.where(*among)
    if lock:
        statement = statement.with_for_update(of=LegacyRow)
    return {tuple(getattr(row, column.key) for column in key): row for row in session.execute(statement)}


def _columns() -> list[Any]:
    return [getattr(LegacyRow, name) for name in (*STATUS, *REST)]


def renew(pairs: Sequence[tuple[User, Known]], dump: Dump, run_id: int) -> Renewed:
    """Let a later dump replace what an earlier one said."""
    found = Renewed()
    verdicts = [(user, row, _verdict(user, row, dump)) for user, row in pairs]
    changing = _locked([(user, row) for user, row, verdict in verdicts if verdict == CHANGED], dump)
    changes = []
    for user, row, verdict in (*(each for each in verdicts if each[2] != CHANGED), *changing.rows):
        if verdict == MOVED:
            found.faults.append((user.line, verdict))
            continue
        change = _Change.of(user, row, dump, changing.finished) if verdict == CHANGED else None
        changes += [change] if change else []
        found.counts[verdict if change or verdict != CHANGED else UNCHANGED] += 1
        if verdict != OLDER:
            found.standing.append(row.id)
    _write(changes, dump, run_id)
    return found


def _verdict(user: User, row: Known, dump: Dump) -> str:
    if dump.as_of < row.as_of:
        return OLDER
    # a name that is unique in its system may wander between dumps, but not once an account has it, nor within one day
    if (row.enterprise_id, row.key_serial) != (user.enterprise_id, user.entry.key) and (row.account_id is not None or dump.as_of == row.as_of):
        return MOVED
    differs = dump.as_of != row.as_of or any(getattr(row, column) != value for column, value in user.values().items())
    return CHANGED if differs or not old_hashes.same(row.scheme, row.encoding, row.sealed_hash, user.entry, dump) else UNCHANGED


@dataclass(frozen=True)
class _Locked:
    """Rows as they are now that nobody else can change them, judged again; and the accounts that have a password of their own."""

    rows: list[tuple[User, Known, str]]
    finished: Collection[int]


def _locked(pairs: Sequence[tuple[User, Known]], dump: Dump) -> _Locked:
    """Asked only for rows about which the dump has news, so that an import holds up nobody else. Accounts first, as a forced change does it."""
    finished = _finished(row.account_id for _user, row in pairs)
    users = [user for user, _row in pairs]
    rows = known(users, dump.system, lock=True)
    return _Locked([(user, rows[user.identity], _verdict(user, rows[user.identity], dump)) for user in users], finished)


def _finished(account_ids: Iterable[int | None]) -> Collection[int]:
    """Accounts whose forced change has been made; the lock keeps it from being made meanwhile by the others."""
    ids = sorted({account_id for account_id in account_ids if account_id is not None})
    if not ids:
        return ()
    # who has a password keeps one: no lock for them
    has_one = select(Account.id).where(Account.id.in_(ids), Account.password_hash.is_not(None))
    done = set(session.scalars(has_one))
    session.execute(select(Account.id).where(Account.id.in_(set(ids) - done)).order_by(Account.id).with_for_update()).all()
    return done | set(session.scalars(has_one))


@dataclass(frozen=True)
class _Change:
    """What is new about one row: column → value; `rehash`: its old password as well."""

    user: User
    row: Known
    new: dict[str, Any]
    rehash: bool

    @classmethod
    def of(cls, user: User, row: Known, dump: Dump, finished: Collection[int]) -> "_Change | None":
        """None if there is nothing: once the person has set a password only the status follows (D17)."""
        said = {**user.values(), "as_of": dump.as_of}
        follows = STATUS if row.account_id in finished else (*STATUS, *REST)
        new = {column: said[column] for column in follows if said[column] != getattr(row, column)}
        rehash = row.account_id not in finished and not old_hashes.same(row.scheme, row.encoding, row.sealed_hash, user.entry, dump)
        return cls(user, row, new, rehash) if new or rehash else None

    @property
    def before(self) -> dict[str, Any]:
        """The row as it was, as LegacyRowChange keeps it."""
        old = {column: getattr(self.row, column) for column in (*self.new, "run_id", *(("former_password_id",) if self.rehash else ()))}
        return {column: value.isoformat() if isinstance(value, date) else value for column, value in old.items()}


def _write(changes: Sequence[_Change], dump: Dump, run_id: int) -> None:
    if not changes:
        return
    replaced = [change.row.former_password_id for change in changes if change.rehash and change.row.former_password_id is not None]
    rehashed = [change for change in changes if change.rehash and change.user.entry.password]
    kept = dict(zip((change.row.id for change in rehashed), old_hashes.keep([(c.user.entry, c.row.account_id) for c in rehashed], dump), strict=True))
    if replaced:
        session.execute(update(FormerPassword).where(FormerPassword.id.in_(replaced)).values(replaced=True), execution_options=_PLAIN)
    switched = [change for change in changes if not change.rehash and "enabled" in change.new and change.row.former_password_id is not None]
    if switched:
        session.execute(update(FormerPassword), [{"id": c.row.former_password_id, "enabled": c.new["enabled"]} for c in switched])
    session.execute(update(LegacyRow), [_new_row(change, run_id, kept) for change in changes])
    journal = [
        {
            "run_id": run_id,
            "row_id": change.row.id,
            "before": change.before,
            "former_password_id": change.row.former_password_id if change.rehash else None,
        }
        for change in changes
    ]
    insert_many(LegacyRowChange, journal)


_PLAIN = {"synchronize_session": False}


def _new_row(change: _Change, run_id: int, kept: dict[int, int]) -> dict[str, Any]:
    """All columns that may change, so that every row of a chunk goes out in one statement."""
    row = change.row
    return {
        **{column: change.new.get(column, getattr(row, column)) for column in (*STATUS, *REST)},
        "id": row.id,
        "former_password_id": kept.get(row.id) if change.rehash else row.former_password_id,
        "run_id": run_id,
        "unmerged": row.unmerged or change.rehash or bool(change.new.keys() - NO_NEWS),
    }
