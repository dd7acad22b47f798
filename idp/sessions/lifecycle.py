"""Start, find, touch and end sessions. Plain values only; every function but `find` runs inside a transaction."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from idp import opaque_tokens
from idp.audit import catalogue as audit
from idp.audit.origin import current
from idp.db import session as db_session
from idp.db import spend_once
from idp.sessions.models import Session, SessionClient

TOUCH_EVERY = timedelta(seconds=60)
# past its absolute end; no grant and no hint of a session lives that long
KEPT = timedelta(days=1)
# R54: at most, for a session of the legacy entry
LIMITED_SECONDS = 4 * 3600

# app.py wires what must follow an end in the same commit (the OP ends grants and enqueues logout tokens).
OnEnd = Callable[[Session, datetime], None]


@dataclass(frozen=True)
class Life:
    """How long a session lives without activity, and at most."""

    idle_seconds: int
    absolute_seconds: int


@dataclass(frozen=True)
class UsedKey:
    """The e-key behind the factor `ekey`: its serial, and whether it asked for its PIN before it signed."""

    serial: str | None
    pin: bool


def start(
    account_id: int,
    epoch: int,
    factors: dict[str, datetime],
    now: datetime,
    absolute_seconds: int,
    key: UsedKey | None = None,
    *,
    only_system: str | None = None,
    entry_remaining: int | None = None,
) -> tuple[Session, str]:
    """A new session with the times of its `factors` (password, totp, ekey); returns it and the cookie's secret.

    `only_system`: it opens that one system alone (R54), with `entry_remaining` such log-ins left (None: they are not counted), for
    LIMITED_SECONDS at most.
    """
    secret = opaque_tokens.make()
    times = {f"{factor}_at": at for factor, at in factors.items()}
    end = now + timedelta(seconds=absolute_seconds if only_system is None else min(absolute_seconds, LIMITED_SECONDS))
    digest = opaque_tokens.digest(secret)
    row = Session(account_id=account_id, epoch=epoch, secret_digest=digest, started_at=now, used_at=now, absolute_end=end, **times)
    row.only_system, row.entry_remaining = only_system, entry_remaining
    _remember(row, key)
    db_session.add(row)
    db_session.flush()
    audit.session_started(now, account_id=account_id, session_id=row.id, amr=sorted(factors))
    return row, secret


def _remember(row: Session, key: UsedKey | None) -> None:
    row.device, row.network = current.get().device, current.get().network
    if key is not None:
        row.ekey_serial, row.ekey_pin = key.serial, key.pin


def renew(row: Session, epoch: int, factors: dict[str, datetime], now: datetime, key: UsedKey | None = None) -> str:
    """The same account again in the same browser: the record stays, `factors` and the cookie's secret are new."""
    secret = opaque_tokens.make()
    row.secret_digest, row.epoch, row.used_at = opaque_tokens.digest(secret), epoch, now
    for factor, at in factors.items():
        setattr(row, f"{factor}_at", at)
    _remember(row, key)
    audit.session_started(now, account_id=row.account_id, session_id=row.id, amr=sorted(factors))
    return secret


def forget_factors(row: Session) -> None:
    """Nothing that was proven in this session before counts any more; who is asked for all of it once more renews it."""
    row.password_at = row.totp_at = None
    lose_key(row)


def lose_key(row: Session) -> None:
    """The e-key behind this session counts no more: it is what the other factors make it (protocol.md, key withdrawn)."""
    row.ekey_at = row.ekey_serial = row.ekey_pin = None


def lose_app(session_id: int) -> None:
    """The authenticator app counts no more for this session."""
    db_session.execute(update(Session).where(Session.id == session_id).values(totp_at=None))


def unended(secret: str) -> Session | None:
    """The session behind a cookie that nobody has ended, even if it is idle: what a new sign-in renews or ends, and what a sign-out ends."""
    row = db_session.scalar(select(Session).where(Session.secret_digest == opaque_tokens.digest(secret))) if secret else None
    return row if row is not None and row.ended_at is None else None


def find(secret: str, now: datetime, idle_seconds: int) -> Session | None:
    """The live session behind a cookie; None if unknown, ended, idle too long or over (R77)."""
    row = unended(secret)
    return row if row is not None and is_live(row, now, idle_seconds) else None


def is_live(row: Session, now: datetime, idle_seconds: int) -> bool:
    """Whether a session that nobody has ended still signs in: neither over nor idle too long (R77)."""
    return now < row.absolute_end and now < row.used_at + timedelta(seconds=idle_seconds)


def touch_due(row: Session, now: datetime) -> bool:
    """Whether a person's activity is worth a write: at most once a minute."""
    return now - row.used_at >= TOUCH_EVERY


def touch(session_id: int, now: datetime) -> None:
    """The person was active; polling and prompt=none must not come here (R77)."""
    db_session.execute(update(Session).where(Session.id == session_id, Session.used_at < now).values(used_at=now))


def touch_live(session_id: int, now: datetime, idle: timedelta) -> None:
    """The same, told by somebody else than the browser: a session that is over or idle too long is not brought back."""
    live = (Session.ended_at.is_(None), Session.absolute_end > now, Session.used_at > now - idle, Session.used_at <= now - TOUCH_EVERY)
    db_session.execute(update(Session).where(Session.id == session_id, *live).values(used_at=now))


def end(row: Session, reason: str, now: datetime, on_end: OnEnd) -> bool:
    """End one session, once; False if it was over already."""
    won = spend_once(update(Session).where(Session.id == row.id, Session.ended_at.is_(None)).values(ended_at=now, end_reason=reason))
    if won:
        audit.session_ended(now, account_id=row.account_id, session_id=row.id, reason=reason)
        on_end(row, now)
    return won


def end_all(account_id: int, reason: str, now: datetime, on_end: OnEnd, keep: int | None = None) -> int:
    """End every live session of an account but `keep`; returns how many."""
    rows = db_session.scalars(select(Session).where(Session.account_id == account_id, Session.ended_at.is_(None))).all()
    return sum(end(row, reason, now, on_end) for row in rows if row.id != keep)


def signed_in(account_ids: Collection[int]) -> Sequence[int]:
    """Those of the accounts that have a session which nobody has ended."""
    return db_session.scalars(select(Session.account_id).where(Session.account_id.in_(account_ids), Session.ended_at.is_(None)).distinct()).all()


def overdue(now: datetime, most: int = 500) -> Sequence[Session]:
    """Sessions past their absolute end that nothing has ended yet, the oldest first (R77)."""
    over = select(Session).where(Session.ended_at.is_(None), Session.absolute_end <= now).order_by(Session.absolute_end)
    return db_session.scalars(over.limit(most)).all()


def sweep(now: datetime) -> None:
    """Drop ended sessions, with their `sid`s, that nothing can refer to any more (a job of the worker)."""
    db_session.execute(delete(Session).where(Session.ended_at.is_not(None), Session.absolute_end < now - KEPT))


def sid_for(session_id: int, client_id: str) -> str:
    """The `sid` of this session at this client, made at first use (OIDC Back-Channel Logout §2.1)."""
    found = db_session.get(SessionClient, (session_id, client_id))
    if found is not None:
        return found.sid
    row = SessionClient(session_id=session_id, client_id=client_id, sid=opaque_tokens.make())
    try:
        with db_session.begin_nested():
            db_session.add(row)
    except IntegrityError:  # another tab was first
        return db_session.get_one(SessionClient, (session_id, client_id)).sid
    return row.sid
