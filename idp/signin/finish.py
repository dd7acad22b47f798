"""The end of a sign-in: all steps passed, a session starts. Runs inside a transaction; plain values only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from idp.accounts import totp
from idp.accounts.models import Account
from idp.adapters import BEIJING
from idp.db import session
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey
from idp.sessions import lifecycle
from idp.sessions.lifecycle import Life
from idp.sessions.models import Session
from idp.signin import code_step, flow
from idp.signin.flow import Step
from idp.signin.models import SignInTransaction

OnEnd = Callable[[Any, datetime], None]


@dataclass(frozen=True)
class Signed:
    """A session has started: its cookie's secret."""

    secret: str


Outcome = Signed | Literal["not_yet", "stale"]


def finish(row: SignInTransaction, steps: Sequence[Step], present_id: int | None, life: Life, now: datetime, on_end: OnEnd) -> Outcome:
    """Complete the transaction and sign in. `not_yet`: the hub goes on (another request was first, or a step is needed after all).

    Judged on the held row, never on what the page saw: of two requests at once one may have brought another account (R54).
    """
    if not flow.hold(row, lambda held, at: flow.next_step(steps, held, at) is None, now):
        return "not_yet"
    account = _usable(row)
    if account is None or _lost_its_session(row, present_id, now):
        return "stale"
    if code_step.missed(row, account, now) or _key_died(row, now):
        return "not_yet"
    flow.complete(row, now)
    return Signed(_session(row, account, present_id, life, now, on_end))


def _usable(row: SignInTransaction) -> Account | None:
    account = flow.account_as_proven(row)
    # an authenticator app that was switched on meanwhile was asked for nowhere
    unasked = account is not None and totp.is_on(account.id) and not row.facts.get("totp_on")
    return None if unasked else account


def _key_died(row: SignInTransaction, now: datetime) -> bool:
    """Whether the e-key that was right in this sign-in has been reported or withdrawn since (R68); then it was never shown."""
    if "ekey_at" not in row.facts:
        return False
    # held, as by who reports it: the report comes before this end, or finds the session
    key = session.get(EKey, row.facts["ekey_serial"], populate_existing=True, with_for_update=True)
    if key is not None and dead(key, now.astimezone(BEIJING).date()) is None:
        return False
    row.facts = {name: value for name, value in row.facts.items() if name not in ("ekey_at", "ekey_serial", "ekey_pin")}
    return True


def _lost_its_session(row: SignInTransaction, present_id: int | None, now: datetime) -> bool:
    """A step-up adds to one session and gives nobody another one."""
    if "session" not in row.facts:
        return False
    present = session.get(Session, present_id, populate_existing=True, with_for_update=True) if present_id == row.facts["session"] else None
    # R54: nothing is added to a session of the legacy entry
    return present is None or present.ended_at is not None or now >= present.absolute_end or present.only_system is not None


def _factors(row: SignInTransaction) -> dict[str, datetime]:
    """What was proven in this transaction."""
    names = ("totp", "ekey") if "session" in row.facts else ("password", "totp", "ekey")
    return {name: datetime.fromisoformat(row.facts[f"{name}_at"]) for name in names if f"{name}_at" in row.facts}


def _key(row: SignInTransaction) -> lifecycle.UsedKey | None:
    return lifecycle.UsedKey(row.facts.get("ekey_serial"), row.facts.get("ekey_pin", True)) if "ekey_at" in row.facts else None


def _session(row: SignInTransaction, account: Account, present_id: int | None, life: Life, now: datetime, on_end: OnEnd) -> str:
    """The same account in this browser keeps its session record, also after an idle end; another account ends it first (protocol.md, Session).

    What was proven in it before counts on only while it is live: an idle end means that all is asked for once more (R77).
    """
    factors, key = _factors(row), _key(row)
    # held: a key that is reported now is taken from it before, or after
    present = session.get(Session, present_id, populate_existing=True, with_for_update=True) if present_id is not None else None
    if present is not None and _is_kept(present, account, now):
        if present.epoch != account.epoch or not lifecycle.is_live(present, now, life.idle_seconds):
            lifecycle.forget_factors(present)
        return lifecycle.renew(present, account.epoch, factors, now, key)
    if present is not None:
        lifecycle.end(present, _why_over(present, account), now, on_end)
    _, secret = lifecycle.start(account.id, account.epoch, factors, now, life.absolute_seconds, key)
    return secret


def _is_kept(present: Session, account: Account, now: datetime) -> bool:
    # R54: a session of the legacy entry never becomes a whole one
    return present.account_id == account.id and present.ended_at is None and now < present.absolute_end and present.only_system is None


def _why_over(present: Session, account: Account) -> str:
    if present.account_id != account.id:
        return "other_account"
    return "absolute" if present.only_system is None else "signed_in_whole"
