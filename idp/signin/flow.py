"""The hub of the sign-in: begin, find, pass a step, finish. Only the hub picks the next step.

A transaction belongs to one browser; its facts are all that steps may read. Rules here take `now` and plain values; the views hold cookies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.signin.models import SignInTransaction


@dataclass(frozen=True)
class Step:
    """One step: its name in the URL and whether the transaction still needs it. STEPS (app.py) is their order."""

    name: str
    needed: Callable[[SignInTransaction, datetime], bool]


@dataclass(frozen=True)
class Caller:
    """What a feature that needs a signed-in person says: where to go on, where to go on a "no", and what the pages may show."""

    return_to: str
    cancel_to: str = ""
    client_name: str = ""
    login_hint: str = ""
    form_action: list[str] = field(default_factory=list)


Refusal = Literal["unknown", "expired", "other_browser"]


def begin(browser: str, caller: Caller, now: datetime, life_seconds: int) -> str:
    """Open a transaction for this browser (its secret id); returns the transaction's id. Always asks for every factor anew."""
    row = SignInTransaction(
        id=opaque_tokens.make(),
        browser_digest=opaque_tokens.digest(browser),
        return_to=caller.return_to,
        cancel_to=caller.cancel_to,
        client_name=caller.client_name,
        login_hint=caller.login_hint,
        form_action=caller.form_action,
        facts={},
        created_at=now,
        expires_at=now + timedelta(seconds=life_seconds),
    )
    session.add(row)
    return row.id


def find(transaction_id: str, browser: str, now: datetime) -> SignInTransaction | Refusal:
    """The transaction, if it is this browser's and in time. A completed one is found too: it leads on."""
    row = session.get(SignInTransaction, transaction_id)
    if row is None:
        return "unknown"
    if not opaque_tokens.same(row.browser_digest, opaque_tokens.digest(browser)):
        return "other_browser"
    if now >= row.expires_at:
        return "expired"
    return row


def next_step(steps: Sequence[Step], row: SignInTransaction, now: datetime) -> Step | None:
    """The first step that is still needed; None = all passed."""
    return next((step for step in steps if step.needed(row, now)), None)


def record(row: SignInTransaction, **facts: Any) -> None:
    """Add facts to the transaction (JSON values); the row is read again and held first, so that two requests at once lose nothing."""
    session.flush()
    session.refresh(row, with_for_update=True)
    row.facts = {**row.facts, **facts}


def complete(row: SignInTransaction, now: datetime) -> bool:
    """Close the transaction, once; False if another request did it first."""
    open_row = (SignInTransaction.id == row.id, SignInTransaction.completed_at.is_(None), SignInTransaction.expires_at > now)
    return spend_once(update(SignInTransaction).where(*open_row).values(completed_at=now))


def sweep(now: datetime) -> None:
    """Drop transactions that nobody came back to (a job of the worker)."""
    session.execute(delete(SignInTransaction).where(SignInTransaction.expires_at < now - timedelta(hours=1)))
