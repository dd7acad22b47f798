"""The e-key's step of the sign-in, after the right password: a challenge, and what a card answers. Each function inside a transaction."""

from datetime import date, datetime

from idp.audit import catalogue as audit
from idp.ekey import binding, challenges
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.errors import Refusal
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction

# more answers than any person needs in one sign-in; each costs signatures to judge
MOST_CHALLENGES = 30


def may_skip(row: SignInTransaction) -> bool:
    """【跳过】, unless the business system demands the key."""
    return row.facts.get("ekey") != "must"


def skip(row: SignInTransaction, now: datetime) -> bool:
    """Go on without the key; False if it is demanded."""
    if flow.hold(row, steps.ekey_needed, now) and may_skip(row):
        flow.record(row, ekey_wanted=False)
    return may_skip(row)


def challenge(row: SignInTransaction, now: datetime, life_seconds: int) -> str | None:
    """A fresh challenge for this sign-in; None if it needs none any more, or had too many."""
    if not flow.hold(row, steps.ekey_needed, now):
        return None
    asked = row.facts.get("ekey_asked", 0)
    if asked >= MOST_CHALLENGES:
        return None
    flow.record(row, ekey_asked=asked + 1)
    return challenges.issue(row, now, life_seconds)


def settle(row: SignInTransaction, found: Identity | Refused, now: datetime, today: date) -> Refusal | None:
    """Step 7 and what came of it all: the key's time is noted, or the person is told why not."""
    if not flow.hold(row, steps.ekey_needed, now):
        return None
    if isinstance(found, Identity) and row.account_id is not None:
        bound = binding.bind_first_use(found, row.account_id, now, today)
        if not isinstance(bound, Refused):
            flow.record(row, ekey_at=now.isoformat(), ekey_serial=bound.serial)
            return None
        found = bound
    return refused(row, found, now) if isinstance(found, Refused) else Refusal("other")


def refused(row: SignInTransaction, why: Refused, now: datetime) -> Refusal:
    """Note a refusal; what the person reads."""
    audit.ekey_refused(now, account_id=row.account_id, step=why.step, reason=why.reason, detail=why.detail)
    return Refusal(why.public)
