"""Wrong passwords in a row (threats.md, Numbers): who is locked, for whom, how long.

A *subject* is an account (every spelling and alias one counter) or, for an unknown name, a keyed digest of it, so that both are answered
alike. A *scope* says for whom: a device that has signed in before has its own counter; unknown devices count by network; `all` counts every
failure and binds unknown devices only. So nobody can lock a firm out of its own computer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens
from idp.accounts.directory import name_key
from idp.accounts.models import Account, KnownDevice, PasswordFailures
from idp.audit import catalogue as audit
from idp.db import session

FORGET_AFTER = timedelta(hours=24)
DEVICE_FORGOTTEN_AFTER = timedelta(days=400)
MAX_DEVICES = 10
EVERYWHERE = "all"


@dataclass(frozen=True)
class Numbers:
    """Tries until a lock, its first and longest length in seconds, tries from anywhere until unknown devices are locked."""

    tries: int
    seconds: int
    max_seconds: int
    account_tries: int


@dataclass(frozen=True)
class Caller:
    """Where an attempt comes from: digest of the device cookie ("" = none) and of the network."""

    device_digest: str
    network: str


def subjects(accounts: Iterable[Account], typed: str, secret: str) -> list[str]:
    """What to count by: the accounts that claim the name, or the name itself where nobody does."""
    found = [f"account:{account.id}" for account in accounts]
    return found or [f"name:{opaque_tokens.keyed_digest(secret, 'lockout-name', name_key(typed))}"]


def _account_id(subject: str) -> int | None:
    kind, _, value = subject.partition(":")
    return int(value) if kind == "account" else None


def scopes(subject: str, caller: Caller) -> list[str]:
    """The counters that a failure of this caller adds to, and that can lock them."""
    account_id = _account_id(subject)
    if account_id and caller.device_digest and session.get(KnownDevice, (account_id, caller.device_digest)):
        return [f"device:{caller.device_digest}"]
    return [f"network:{caller.network}", EVERYWHERE]


def _rows(subject: str, caller: Caller) -> list[PasswordFailures]:
    statement = select(PasswordFailures).where(PasswordFailures.subject == subject, PasswordFailures.scope.in_(scopes(subject, caller)))
    return list(session.scalars(statement.execution_options(populate_existing=True)))


def _stale(row: PasswordFailures, now: datetime) -> bool:
    """A day after the last try, or after the end of the last lock, nothing counts any more."""
    return now - max(row.last_at, row.locked_until or row.last_at) >= FORGET_AFTER


def locked_until(subjects_: Iterable[str], caller: Caller, now: datetime) -> datetime | None:
    """When this caller may try again, if it is locked now."""
    times = [row.locked_until for subject in subjects_ for row in _rows(subject, caller) if row.locked_until and row.locked_until > now]
    return max(times, default=None)


def recent_failures(subjects_: Iterable[str], caller: Caller, now: datetime) -> int:
    """Failures that still count for this caller; decides when the captcha asks (D16)."""
    rows = [row for subject in subjects_ for row in _rows(subject, caller) if row.scope != EVERYWHERE]
    return max((row.failures + row.locks * 100 for row in rows if not _stale(row, now)), default=0)


def _charge_one(subject: str, scope: str, now: datetime) -> PasswordFailures:
    """One upsert, so that tries at once are all counted; the row stays locked until the commit."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    add = insert(PasswordFailures).values(subject=subject, scope=scope, failures=1, locks=0, last_at=now)
    session.execute(add.on_conflict_do_update(index_elements=["subject", "scope"], set_={"failures": PasswordFailures.failures + 1}))
    row = session.get_one(PasswordFailures, (subject, scope), populate_existing=True)
    if _stale(row, now):
        row.failures, row.locks = 1, 0
    row.last_at = now
    return row


def _limit(row: PasswordFailures, numbers: Numbers) -> int:
    return numbers.account_tries if row.scope == EVERYWHERE else numbers.tries


def _lock(row: PasswordFailures, numbers: Numbers, now: datetime) -> datetime:
    seconds = min(numbers.seconds * 2 ** min(row.locks, 20), numbers.max_seconds)
    row.locked_until, row.failures, row.locks = now + timedelta(seconds=seconds), 0, row.locks + 1
    audit.signin_locked(now, account_id=_account_id(row.subject), seconds=seconds, scope=row.scope.partition(":")[0])
    return row.locked_until


def _give_back(rows: Iterable[PasswordFailures]) -> None:
    for row in rows:
        row.failures = max(0, row.failures - 1)


def charge(subjects_: Sequence[str], caller: Caller, numbers: Numbers, now: datetime) -> datetime | None:
    """Count one try *before* the password is looked at, so that tries at once cannot pass the limit together.

    None = look at it, then call `wrong` or `right`; otherwise the end of the lock, and the password must not be looked at.
    """
    # in the order of the primary key, in which `wrong` and `right` write too: no two tries can wait for each other
    counters = sorted((subject, scope) for subject in subjects_ for scope in scopes(subject, caller))
    rows = [_charge_one(subject, scope, now) for subject, scope in counters]
    # looked at only now that the rows are held: another try at once may just have locked them
    locked = [row.locked_until for row in rows if row.locked_until and row.locked_until > now]
    if locked:
        _give_back(rows)
        return max(locked)
    return max((_lock(row, numbers, now) for row in rows if row.failures > _limit(row, numbers)), default=None)


def wrong(subjects_: Sequence[str], caller: Caller, numbers: Numbers, now: datetime) -> datetime | None:
    """The charged try was wrong; returns the end of the lock this led to, if any."""
    rows = [row for subject in subjects_ for row in _rows(subject, caller)]
    return max((_lock(row, numbers, now) for row in rows if row.failures >= _limit(row, numbers)), default=None)


def right(subjects_: Sequence[str], caller: Caller) -> None:
    """The charged try was right: it is given back. The counters themselves start afresh only when the sign-in is completed."""
    _give_back([row for subject in subjects_ for row in _rows(subject, caller)])


def forgive(account_id: int, caller: Caller, now: datetime) -> None:
    """A completed sign-in: this device is known from now on, and its counters start afresh."""
    subject = f"account:{account_id}"
    mine = [*scopes(subject, caller), EVERYWHERE]
    session.execute(delete(PasswordFailures).where(PasswordFailures.subject == subject, PasswordFailures.scope.in_(mine)))
    known = session.get(KnownDevice, (account_id, caller.device_digest))
    if known:
        known.seen_at = now
    elif caller.device_digest:
        session.add(KnownDevice(account_id=account_id, device_digest=caller.device_digest, seen_at=now))
        _forget_oldest_devices(account_id)


def afresh(account_id: int) -> None:
    """Forget every failure and lock of an account: its password is another one, and none of them was a try at that."""
    session.execute(delete(PasswordFailures).where(PasswordFailures.subject == f"account:{account_id}"))


def knows(device_digest: str) -> bool:
    """Whether the device has signed in before, to whatever account."""
    return (
        bool(device_digest) and session.scalar(select(KnownDevice.account_id).where(KnownDevice.device_digest == device_digest).limit(1)) is not None
    )


def _forget_oldest_devices(account_id: int) -> None:
    """Each known device has tries of its own, so there are never more than MAX_DEVICES of them."""
    session.flush()
    newest = select(KnownDevice.device_digest).where(KnownDevice.account_id == account_id).order_by(KnownDevice.seen_at.desc())
    kept = session.scalars(newest.limit(MAX_DEVICES)).all()
    session.execute(delete(KnownDevice).where(KnownDevice.account_id == account_id, KnownDevice.device_digest.not_in(kept)))


def sweep(now: datetime) -> None:
    """Forget counters that count no more, and devices that were not seen for a year (a job of the worker)."""
    settled = (
        PasswordFailures.last_at < now - FORGET_AFTER,
        or_(PasswordFailures.locked_until.is_(None), PasswordFailures.locked_until < now - FORGET_AFTER),
    )
    session.execute(delete(PasswordFailures).where(*settled))
    session.execute(delete(KnownDevice).where(KnownDevice.seen_at < now - DEVICE_FORGOTTEN_AFTER))
