"""The e-key's step of the sign-in, after the right password: a challenge, and what a card answers. Each function inside a transaction."""

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

from idp import web
from idp.accounts import totp
from idp.accounts.models import Account
from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import binding, challenges
from idp.ekey.binding import Ambiguous, Bound
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.errors import Refusal
from idp.signin import attempt, flow, steps
from idp.signin.models import SignInTransaction

# more answers than any person needs in one sign-in; each costs signatures to judge
MOST_CHALLENGES = 30


def may_skip(row: SignInTransaction) -> bool:
    """【跳过】, unless the business system demands the key."""
    return not steps.ekey_demanded(row)


def held(row: SignInTransaction, now: datetime) -> bool:
    """First thing in every transaction of this step: hold the sign-in, and its account unless the key is to tell which it is (D9)."""
    if not flow.hold(row, steps.ekey_needed, now):
        return False
    return row.account_id is None or flow.hold_account(row, steps.ekey_needed, now) is not None


def skip(row: SignInTransaction, now: datetime) -> bool:
    """Go on without the key; False if it is demanded."""
    if held(row, now) and may_skip(row):
        flow.record(row, ekey_wanted=False)
    return may_skip(row)


def may_ask(row: SignInTransaction, now: datetime) -> bool:
    """Whether this sign-in, held from here on, may have one more challenge; counted."""
    if not held(row, now):
        return False
    asked = row.facts.get("ekey_asked", 0)
    if asked >= MOST_CHALLENGES:
        return False
    flow.record(row, ekey_asked=asked + 1)
    return True


def challenge(row: SignInTransaction, now: datetime, life_seconds: int) -> str | None:
    """A fresh challenge for this sign-in; None if it needs none any more, or had too many."""
    return challenges.issue(row, now, life_seconds) if may_ask(row, now) else None


@dataclass(frozen=True)
class Proof:
    """When a key was proven, and whether it asked for its PIN."""

    at: datetime
    pin: bool


def settle(row: SignInTransaction, found: Identity | Refused, now: datetime, today: date, proof: Proof | None = None) -> Refusal | None:
    """Step 7 and what came of it all: the key's time is noted, or the person is told why not. Without `proof`: now, with its PIN."""
    if not held(row, now):
        return None
    proof = proof or Proof(now, pin=True)
    if isinstance(found, Refused):
        return refused(row, found, now)
    if steps.linking(row):
        return _for_link(row, found, now, today)
    if steps.recovering(row) and row.account_id is None:
        return _for_recovery(row, found, now, today)
    if row.account_id is None:
        _tell(row, found, now)
    # the key did not tell: the person does, and then shows it once more
    if row.account_id is None:
        return None
    return _bound(row, found, binding.bind_first_use(found, row.account_id, now, today), proof, now)


def _for_link(row: SignInTransaction, found: Identity, now: datetime, today: date) -> Refusal | None:
    """R87: whose live key it is, for whoever links that account. Nothing is bound here, and the key is no factor of the one who shows it."""
    bound = binding.find(found, today)
    if isinstance(bound, Refused):
        return refused(row, bound, now)
    return web.runtime().hooks.key_for_link(row, bound.account_id, bound.serial)


def _for_recovery(row: SignInTransaction, found: Identity, now: datetime, today: date) -> Refusal | None:
    """R58: a live key that was bound before, with its PIN, tells and proves whose password was forgotten."""
    bound = binding.find(found, today)
    if isinstance(bound, Refused):
        return refused(row, bound, now)
    account = session.get_one(Account, bound.account_id, populate_existing=True, with_for_update=True)
    if account.closed is not None:
        return Refusal(account.closed)
    flow.record(row, recover_to=None)
    attempt.settle_recovery(row, account)
    flow.record(row, ekey_at=now.isoformat(), ekey_serial=bound.serial, ekey_pin=True)
    return None


def _tell(row: SignInTransaction, found: Identity, now: datetime) -> None:
    """D9: of the accounts that name and password fit, the one whose key this is."""
    runtime = web.runtime()
    if not attempt.settle_choice(row, str(binding.owner(found)), runtime.secret, runtime.settings, now):
        flow.record(row, key_tells_not=True)


def _bound(row: SignInTransaction, found: Identity, bound: Bound | Ambiguous | Refused, proof: Proof, now: datetime) -> Refusal | None:
    """Note what came of a first use. Where only the person can say which key it is, that waits for TOTP; else it is for an officer."""
    if isinstance(bound, Ambiguous) and row.account_id is not None and totp.settled(row.account_id, now):
        identity = {**asdict(found), "not_after": found.not_after.isoformat()}
        flow.record(row, ekey_found=identity, ekey_proof=[proof.at.isoformat(), proof.pin], ekey_wanted=True)
        return None
    if not isinstance(bound, Bound):
        return refused(row, bound if isinstance(bound, Refused) else Refused(7, "not_bound", "first use"), now)
    flow.record(row, ekey_at=proof.at.isoformat(), ekey_serial=bound.serial, ekey_pin=proof.pin, ekey_found=None)
    return None


def choices(row: SignInTransaction, now: datetime, today: date) -> tuple[str, ...]:
    """The serials among which the person says which key was proven; empty where nothing waits for that. Inside a transaction: keys are held."""
    found = _waiting(row, now) if held(row, now) else None
    if found is None or row.account_id is None:
        return ()
    bound = binding.bind_first_use(found, row.account_id, now, today)
    return bound.serials if isinstance(bound, Ambiguous) else ()


def choose(row: SignInTransaction, serial: str, now: datetime, today: date) -> Refusal | None:
    """Bind the key that was proven before, as the person says after TOTP; None = go on."""
    if not held(row, now):
        return None
    found = _waiting(row, now)
    if found is None or row.account_id is None:
        return Refusal("other")
    bound, (at, pin) = binding.bind_first_use(found, row.account_id, now, today, serial), row.facts["ekey_proof"]
    if isinstance(bound, Ambiguous):
        return Refusal("ekey_which", "choice")
    return _bound(row, found, bound, Proof(datetime.fromisoformat(at), bool(pin)), now)


def _waiting(row: SignInTransaction, now: datetime) -> Identity | None:
    """What a card has proven in this sign-in, once TOTP was right as well, by an app that vouches for it."""
    kept = row.facts.get("ekey_found")
    if not kept or "totp_at" not in row.facts or row.account_id is None or not totp.settled(row.account_id, now):
        return None
    return Identity(**{**kept, "not_after": datetime.fromisoformat(kept["not_after"])})


def refused(row: SignInTransaction, why: Refused, now: datetime) -> Refusal:
    """Note a refusal; what the person reads."""
    note(row, why, now)
    if why.owner:
        flow.record(row, ekey_owner=why.owner)
    return why.told()


def note(row: SignInTransaction, why: Refused, now: datetime) -> None:
    """For the audit."""
    audit.ekey_refused(now, account_id=row.account_id, step=why.step, reason=why.reason, detail=why.detail)


def for_owner(row: SignInTransaction, browser: str, now: datetime, life_seconds: int) -> str | None:
    """【使用 {a} 登录】: a sign-in like this one under the name that the key belongs to; None if no such key was shown here."""
    owner = row.facts.get("ekey_owner")
    if not owner or not held(row, now):
        return None
    asked = {"ekey": "wish"} | {name: row.facts[name] for name in flow.ASKED if row.facts.get(name)}
    return flow.begin(browser, replace(flow.caller_of(row), login_hint=owner), now, life_seconds, asked=asked)
