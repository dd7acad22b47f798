"""The hub of the sign-in: begin, find, pass a step, finish. Only the hub picks the next step.

A transaction belongs to one browser; its facts are all that steps may read. Rules here take `now` and plain values; the views hold cookies.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete

from idp import opaque_tokens
from idp.db import session
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
    policy_uri: str = ""
    tos_uri: str = ""
    logo: str = ""
    login_hint: str = ""
    form_action: list[str] = field(default_factory=list)


# what `opaque_tokens.make` makes; anything else is not worth a query
_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def begin(browser: str, caller: Caller, now: datetime, life_seconds: int) -> str:
    """Open a transaction for this browser (its secret id); returns the transaction's id. Always asks for every factor anew."""
    row = SignInTransaction(
        id=opaque_tokens.make(),
        browser_digest=opaque_tokens.digest(browser),
        return_to=caller.return_to,
        cancel_to=caller.cancel_to,
        client_name=caller.client_name,
        policy_uri=caller.policy_uri,
        tos_uri=caller.tos_uri,
        logo=caller.logo,
        login_hint=caller.login_hint,
        form_action=caller.form_action,
        facts={},
        created_at=now,
        expires_at=now + timedelta(seconds=life_seconds),
    )
    session.add(row)
    return row.id


def find(transaction_id: str, browser: str) -> SignInTransaction | None:
    """The transaction, if it is this browser's. A completed or expired one is found too: it leads on."""
    row = session.get(SignInTransaction, transaction_id) if _ID.match(transaction_id) else None
    mine = row is not None and opaque_tokens.same(row.browser_digest, opaque_tokens.digest(browser))
    return row if mine else None


def hold(row: SignInTransaction, needed: Callable[[SignInTransaction, datetime], bool], now: datetime) -> bool:
    """First thing in every transaction that passes a step: hold the row, and say whether the step is still needed.

    What the page saw before may be old: of two requests at once the second finds here what the first has done (R54, R84).
    """
    session.flush()
    session.refresh(row, with_for_update=True)
    return row.completed_at is None and now < row.expires_at and needed(row, now)


def next_step(steps: Sequence[Step], row: SignInTransaction, now: datetime) -> Step | None:
    """The first step that is still needed; None = all passed."""
    return next((step for step in steps if step.needed(row, now)), None)


def record(row: SignInTransaction, **facts: Any) -> None:
    """Add facts to a transaction that is held (JSON values)."""
    row.facts = {**row.facts, **facts}


def complete(row: SignInTransaction, now: datetime) -> None:
    """Close a transaction that is held; from now on it only leads back."""
    row.completed_at = now


def sweep(now: datetime) -> None:
    """Drop transactions that nobody came back to (a job of the worker)."""
    session.execute(delete(SignInTransaction).where(SignInTransaction.expires_at < now - timedelta(hours=1)))
