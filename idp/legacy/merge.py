"""The merge itself: makes the accounts of the plan (R6–R12, R62, D19).

A run is made of batches, some enterprises in one transaction each; what was planned before is planned again inside. It looks only at enterprises
about which an import had news, so that one that was interrupted goes on where it stopped, and one more changes nothing (D17).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import select, update

from idp.adapters import BEIJING
from idp.db import large_job, session, transaction
from idp.entitlements.models import BusinessSystem
from idp.legacy import merge_changes, merge_plan, merge_writing, old_users, standing
from idp.legacy.merge_writing import Found
from idp.legacy.models import LegacyBatch, LegacyRow, LegacyRun

ENTERPRISES_A_BATCH = 1000
ProofPolicy = Literal["none", "sensitive", "all"]


def apply(now: datetime, proof: ProofPolicy, advance: Callable[[int, int], None] = lambda _done, _all: None) -> Counter[str]:
    """Make, fill and bring up to date all accounts of old users; opens its own transactions. How many were made, joined, updated by this call."""
    counts: Counter[str] = Counter()
    done, last, total = 0, 0, old_users.waiting()
    while ids := old_users.enterprise_ids(last, ENTERPRISES_A_BATCH, unmerged=True):
        with transaction():
            large_job()
            counts += _batch(ids, now, to_be_proven(proof))
        session.expunge_all()
        done, last = done + len(ids), ids[-1]
        advance(done, max(done, total))
    with transaction():
        _finish(now)
    return counts


def unfinished() -> LegacyRun | None:
    """The merge that is under way, or was interrupted and not taken back."""
    open_ones = (LegacyRun.kind == "merge", LegacyRun.finished_at.is_(None), LegacyRun.undone_at.is_(None))
    return session.scalar(select(LegacyRun).where(*open_ones).order_by(LegacyRun.id).limit(1))


def to_be_proven(proof: ProofPolicy) -> frozenset[str]:
    """Systems whose right opens in a merged account only after one proof (R62)."""
    if proof == "none":
        return frozenset()
    statement = select(BusinessSystem.code) if proof == "all" else select(BusinessSystem.code).where(BusinessSystem.sensitive)
    return frozenset(session.scalars(statement))


def _batch(enterprise_ids: Sequence[int], now: datetime, to_be_proven: Collection[str]) -> Counter[str]:
    """Some enterprises, in the caller's transaction."""
    old_users.hold(enterprise_ids)
    planned = merge_plan.accounts(old_users.read(now.astimezone(BEIJING).date(), enterprise_ids))
    known = standing.read({account.account_id for account in planned if account.account_id is not None})
    judged = [(account, known[account.account_id] if account.account_id is not None else None) for account in planned]
    found = [
        Found(account, stands, asked) for account, stands in judged if (asked := merge_changes.changes(account, stands, to_be_proven)) is not None
    ]
    counts: Counter[str] = Counter(each.changes.what for each in found)
    if found:
        merge_writing.write(found, _open(counts, now))
    mine = (LegacyRow.enterprise_id.in_(enterprise_ids), LegacyRow.unmerged, LegacyRow.account_id.is_not(None))
    session.execute(update(LegacyRow).where(*mine).values(unmerged=False), execution_options={"synchronize_session": False})
    return counts


def _open(counts: Counter[str], now: datetime) -> LegacyBatch:
    """A batch of the run that is under way, or of a new one."""
    run = unfinished()
    if run is None:
        run = LegacyRun(kind="merge", started_at=now)
        session.add(run)
        session.flush()
    batch = LegacyBatch(run_id=run.id, at=now, counts=dict(counts))
    session.add(batch)
    run.counts = dict(Counter(run.counts) + counts)
    session.flush()
    return batch


def _finish(now: datetime) -> None:
    """A run is over once all of its batches are: whoever ends last closes it."""
    run = unfinished()
    if run is not None:
        run.finished_at = now
