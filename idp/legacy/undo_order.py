"""Wanting a merge taken back: one person files it, another confirms (R90). Inside a transaction; undo.py does it afterwards, batch by batch."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update

from idp.db import session
from idp.errors import BadInput, Refusal
from idp.legacy.models import LegacyBatch, LegacyRun
from idp.second_person import rules as second_person
from idp.second_person.rules import Acts, Filer

KIND = "legacy_merge_undo"
ROLES = frozenset(["security_officer"])
RUN, BATCH = "run", "batch"


def meant(what: str) -> tuple[str, int]:
    """`run:5`, `batch:12`, or a bare number, which is a run; BadInput for anything else, and for what is no merge."""
    kind, _colon, number = what.rpartition(":")
    kind = kind or RUN
    if kind not in (RUN, BATCH) or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise BadInput("must be run:NUMBER or batch:NUMBER", field="--undo")
    of_a_merge = select(LegacyBatch.id).join(LegacyRun, LegacyRun.id == LegacyBatch.run_id).where(LegacyRun.kind == "merge")
    if session.scalar(of_a_merge.where(_these(kind, int(number))).limit(1)) is None:
        raise BadInput(f"{what} is nothing that a merge did", field="--undo")
    return kind, int(number)


def _these(kind: str, number: int) -> ColumnElement[bool]:
    return LegacyBatch.run_id == number if kind == RUN else LegacyBatch.id == number


def ordered(kind: str, number: int) -> Sequence[int]:
    """Batches that may be taken back now, the newest first: what a later one changed goes before what an earlier one made."""
    mine = (_these(kind, number), LegacyBatch.undo_ordered_at.is_not(None))
    return session.scalars(select(LegacyBatch.id).where(*mine).order_by(LegacyBatch.id.desc())).all()


def file(kind: str, number: int, reason: str, by: Filer, acts: Acts, now: datetime) -> int | Refusal:
    """Ask another person for it; the request's number."""
    standing = select(func.count()).where(_these(kind, number), LegacyBatch.undone_at.is_(None))
    if not session.scalar(standing):
        return Refusal("undone_already")
    of = session.get_one(LegacyRun, number) if kind == RUN else session.get_one(LegacyBatch, number)
    counts = of.counts
    details = {"what": [kind, number], **{name: str(counts.get(name, 0)) for name in ("made", "joined", "updated")}}
    return second_person.file(KIND, f"{kind} {number}", details, reason, by, acts, now)


def confirmed(details: Mapping[str, Any], now: datetime) -> Refusal | None:
    """What ACTS in app.py runs: from now on `idp legacy merge --undo` does it."""
    mine = (_these(*details["what"]), LegacyBatch.undone_at.is_(None))
    numbers = session.scalars(update(LegacyBatch).where(*mine).values(undo_ordered_at=now).returning(LegacyBatch.id)).all()
    return None if numbers else Refusal("undone_already")
