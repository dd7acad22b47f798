"""File, confirm, refuse, expire. Everything but the readers runs inside a transaction; `acts` is the table ACTS of app.py."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idp.accounts import roles
from idp.audit import catalogue as audit
from idp.audit.origin import because
from idp.db import session, spend_once
from idp.errors import Refusal
from idp.second_person.models import SecondPersonRequest

LIFE = timedelta(days=3)
MAX_REASON_CHARACTERS = 500
MOST_SHOWN = 100


@dataclass(frozen=True)
class Act:
    """What a kind of request does: `run(details, now)` in the transaction of the confirmation, and the roles that may confirm it.

    `run` returns why it can not be done any more; it has written nothing then. `region(details)`: of the enterprise that it is about; officers
    of other regions have no part in it.
    """

    run: Callable[[Mapping[str, Any], datetime], Refusal | None]
    roles: frozenset[str]
    region: Callable[[Mapping[str, Any]], str] | None = None


Acts = Mapping[str, Act]


def reason_fault(reason: str) -> Refusal | None:
    """Why this is no reason: none given, or too long."""
    if not reason.strip():
        return Refusal("reason_missing", "reason")
    too_long = len(reason) > MAX_REASON_CHARACTERS or not reason.replace("\r", "").replace("\n", "").isprintable()
    return Refusal("reason_long", "reason", {"max": MAX_REASON_CHARACTERS}) if too_long else None


@dataclass(frozen=True)
class Filer:
    """Who asks: an officer's account, or the operator of a command."""

    account_id: int | None
    operator: str = ""


def file(kind: str, subject: str, values: Mapping[str, Any], reason: str, by: Filer, acts: Acts, now: datetime) -> int | Refusal:
    """Ask for it; the request's number. The caller has judged that it makes sense."""
    fault = reason_fault(reason) or _why_not_file(kind, values, by, acts)
    if fault is not None:
        return fault
    expire(now)
    who = {"filed_by": by.account_id, "operator": by.operator, "filed_at": now, "expires_at": now + LIFE}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(SecondPersonRequest).values(kind=kind, subject=subject, details=dict(values), reason=reason.strip(), **who)
    # of two at once one is filed
    number: int | None = session.scalar(row.on_conflict_do_nothing().returning(SecondPersonRequest.id))
    if number is None:
        return Refusal("request_waiting")
    audit.request_filed(now, account_id=by.account_id, request=number, kind=kind)
    return number


def _why_not_file(kind: str, values: Mapping[str, Any], by: Filer, acts: Acts) -> Refusal | None:
    """R90: an officer with one of the act's own roles files it, or an operator under their name."""
    may = bool(by.operator) if by.account_id is None else _has_part(kind, values, by.account_id, acts)
    return None if may else Refusal("request_role")


def confirm(number: int, by: int, acts: Acts, now: datetime) -> Refusal | None:
    """Let another officer say yes: the act runs here, once, in this transaction. A refusal of the act closes the request as failed."""
    row = _open(number, now)
    if row is None:
        return Refusal("request_over")
    refusal = _why_not(row, by, acts)
    if refusal is not None:
        return refusal
    # of two confirmations at once one runs the act
    if not _close(row, "confirmed", by, now):
        return Refusal("request_over")
    with because(row.reason):
        failed = acts[row.kind].run(row.details, now)
    if failed is None:
        audit.request_confirmed(now, account_id=by, request=row.id, kind=row.kind)
        return None
    session.execute(update(SecondPersonRequest).where(SecondPersonRequest.id == row.id).values(state="failed", answer=failed.code))
    audit.request_failed(now, account_id=by, request=row.id, kind=row.kind, reason=failed.code)
    return failed


def _why_not(row: SecondPersonRequest, by: int, acts: Acts) -> Refusal | None:
    """R90: never the one who filed it, both with a role for it as it is now."""
    if by in (row.filed_by, _officer_at_the_command_line(row)):
        return Refusal("request_own")
    if not may_decide(row, by, acts):
        return Refusal("request_role")
    gone = row.filed_by is not None and not _has_part(row.kind, row.details, row.filed_by, acts)
    return Refusal("request_filer_gone") if gone else None


def may_decide(row: SecondPersonRequest, by: int, acts: Acts) -> bool:
    """Whether this officer holds a role for it now, in the region of its enterprise."""
    return _has_part(row.kind, row.details, by, acts)


def _has_part(kind: str, details: Mapping[str, Any], officer_id: int, acts: Acts) -> bool:
    act = acts.get(kind)
    return act is not None and _covers(act, roles.regions(officer_id, act.roles), details)


def _covers(act: Act, held_in: Collection[str], details: Mapping[str, Any]) -> bool:
    everywhere = "" in held_in or (act.region is None and bool(held_in))
    return everywhere or (act.region is not None and roles.covers(held_in, act.region(details)))


def _officer_at_the_command_line(row: SecondPersonRequest) -> int | None:
    """The account of the officer who has the operator's name, if somebody has."""
    found = roles.officer(row.operator) if row.operator else None
    return found.id if found is not None else None


def refuse(number: int, by: int, reason: str, acts: Acts, now: datetime) -> Refusal | None:
    """Say no, with a reason: whoever may confirm it, or who filed it and takes it back."""
    fault = reason_fault(reason)
    if fault is not None:
        return fault
    row = _open(number, now)
    if row is None:
        return Refusal("request_over")
    if row.filed_by != by and not may_decide(row, by, acts):
        return Refusal("request_role")
    if not _close(row, "refused", by, now, reason.strip()):
        return Refusal("request_over")
    audit.request_refused(now, account_id=by, request=row.id, kind=row.kind)
    return None


def _open(number: int, now: datetime) -> SecondPersonRequest | None:
    row = session.get(SecondPersonRequest, number, populate_existing=True, with_for_update=True)
    return row if row is not None and row.state == "open" and now < row.expires_at else None


def _close(row: SecondPersonRequest, state: str, by: int, now: datetime, answer: str = "") -> bool:
    still = (SecondPersonRequest.id == row.id, SecondPersonRequest.state == "open", SecondPersonRequest.expires_at > now)
    return spend_once(update(SecondPersonRequest).where(*still).values(state=state, decided_by=by, decided_at=now, answer=answer))


def expire(now: datetime) -> None:
    """Close what nobody confirmed in time (a job of the worker)."""
    over = update(SecondPersonRequest).where(SecondPersonRequest.state == "open", SecondPersonRequest.expires_at <= now).values(state="expired")
    for number, kind in session.execute(over.returning(SecondPersonRequest.id, SecondPersonRequest.kind)).all():
        audit.request_expired(now, request=number, kind=kind)


# --- what the pages read --------------------------------------------------------------------------------------------------------------------


def _sees(by: int, held: Collection[str], acts: Acts) -> Any:
    """What an officer may see: what is theirs to confirm or was filed by them; the auditor everything (R90)."""
    if "auditor" in held:
        return SecondPersonRequest.id.is_not(None)
    kinds = [kind for kind, act in acts.items() if act.roles & set(held)]
    return or_(SecondPersonRequest.kind.in_(kinds), SecondPersonRequest.filed_by == by)


def _theirs(by: int, held: Collection[str], acts: Acts) -> Callable[[SecondPersonRequest], bool]:
    """Of those, what is of the officer's regions."""
    held_in = {kind: roles.regions(by, act.roles) for kind, act in acts.items()}
    return lambda row: "auditor" in held or row.filed_by == by or (row.kind in acts and _covers(acts[row.kind], held_in[row.kind], row.details))


def listing(by: int, held: Collection[str], acts: Acts, *, opened: bool) -> Sequence[SecondPersonRequest]:
    """The open requests, the oldest first, or the decided ones, the newest first; at most MOST_SHOWN."""
    which = select(SecondPersonRequest).where(_sees(by, held, acts))
    if opened:
        which = which.where(SecondPersonRequest.state == "open").order_by(SecondPersonRequest.id)
    else:
        which = which.where(SecondPersonRequest.state != "open").order_by(SecondPersonRequest.id.desc())
    rows = session.scalars(which.execution_options(yield_per=MOST_SHOWN))
    return list(islice(filter(_theirs(by, held, acts), rows), MOST_SHOWN))


def find(number: int, by: int, held: Collection[str], acts: Acts) -> SecondPersonRequest | None:
    """One of those that this officer may see."""
    row = session.scalar(select(SecondPersonRequest).where(SecondPersonRequest.id == number, _sees(by, held, acts)))
    return row if row is not None and _theirs(by, held, acts)(row) else None


def count_waiting(by: int, held: Collection[str], acts: Acts, now: datetime) -> int:
    """How many this officer may confirm."""
    kinds = [kind for kind, act in acts.items() if act.roles & set(held)]
    others = or_(SecondPersonRequest.filed_by.is_(None), SecondPersonRequest.filed_by != by)
    still = (SecondPersonRequest.state == "open", SecondPersonRequest.expires_at > now, others)
    rows = session.scalars(select(SecondPersonRequest).where(SecondPersonRequest.kind.in_(kinds), *still))
    return sum(map(_theirs(by, (), acts), rows))
