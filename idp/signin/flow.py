"""The hub of the sign-in: begin, find, pass a step, finish. Only the hub picks the next step.

A transaction belongs to one browser; its facts are all that steps may read. Rules here take `now` and plain values; the views hold cookies.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from idp import opaque_tokens
from idp.accounts import totp
from idp.accounts.models import Account
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
    client_host: str = ""
    policy_uri: str = ""
    tos_uri: str = ""
    logo: str = ""
    login_hint: str = ""
    form_action: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SignedIn:
    """Whose session is to be stepped up, and when its password was right."""

    account_id: int
    epoch: int
    session_id: int
    password_at: datetime


class Stale(Exception):
    """The account is not as it was when the password was typed: this sign-in is over (hub.step_page)."""


# how long a double submit may come after the first
REPEAT = timedelta(seconds=60)
# what a caller may ask for beside the password, each "must" or "wish"; `second`: TOTP or e-key, whichever the person has;
# `report`: no session at all but the report of a lost or damaged key, "public" or "<session>:<word>:<serial>";
# `link`: none either but another account's key shown in the session of that number, to be linked by it;
# `recover`: a new password in a forgotten one's place; `change`: a new password in the place of the one that is typed
ASKED = ("ekey", "totp", "second", "report", "link", "recover", "change")
NOTHING_ASKED: Mapping[str, str] = {}
# what `opaque_tokens.make` makes; anything else is not worth a query
_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def begin(
    browser: str,
    caller: Caller,
    now: datetime,
    life_seconds: int,
    over: SignInTransaction | None = None,
    asked: Mapping[str, str] = NOTHING_ASKED,
) -> str:
    """Open a transaction for this browser (its secret id); returns the transaction's id. Always asks for every factor anew.

    `over`: one of its own that waits for a password and is written over (`room.claim`). `asked`: see ASKED.
    """
    life = timedelta(seconds=life_seconds)
    if over is None:
        return _add(browser, caller, now, life, **asked).id
    for name, value in asdict(caller).items():
        setattr(over, name, value)
    over.browser_digest, over.created_at, over.expires_at = opaque_tokens.digest(browser), now, now + life
    record(over, **{name: asked.get(name, "") for name in ASKED})
    return over.id


def begin_step_up(
    browser: str,
    caller: Caller,
    signed_in: SignedIn,
    now: datetime,
    life_seconds: int,
    over: SignInTransaction | None = None,
    asked: Mapping[str, str] = NOTHING_ASKED,
) -> str:
    """Open one for who is signed in already and lacks a factor. It ends with that very session: nobody signs in by it.

    `over` makes room for it. `asked`: see ASKED.
    """
    if over is not None:
        session.delete(over)
    facts = {"epoch": signed_in.epoch, "password_at": signed_in.password_at.isoformat(), "session": signed_in.session_id}
    totp_on = totp.is_on(signed_in.account_id)
    row = _add(browser, caller, now, timedelta(seconds=life_seconds), totp_on=totp_on, **asked, **facts)
    row.account_id = signed_in.account_id
    return row.id


def oldest_waiting(browsers: Collection[str], now: datetime) -> SignInTransaction | None:
    """The browser's oldest living transaction in which nobody has proven anything, held."""
    mine = SignInTransaction.browser_digest.in_([opaque_tokens.digest(each) for each in browsers])
    alive = (SignInTransaction.completed_at.is_(None), SignInTransaction.expires_at > now)
    rows = session.scalars(select(SignInTransaction).where(mine, *alive).order_by(SignInTransaction.created_at).with_for_update())
    return next((row for row in rows if not {"password_at", "key_of_other", "recover_to", "epoch"} & row.facts.keys()), None)


def _add(browser: str, caller: Caller, now: datetime, life: timedelta, **facts: Any) -> SignInTransaction:
    mine = {"id": opaque_tokens.make(), "browser_digest": opaque_tokens.digest(browser)}
    row = SignInTransaction(**mine, **asdict(caller), facts=facts, created_at=now, expires_at=now + life)
    session.add(row)
    return row


def find(transaction_id: str, browsers: Collection[str]) -> tuple[SignInTransaction | None, bool]:
    """The transaction that this browser (its secrets, see browser.py) has begun, and whether it still is its own. A completed or expired one too.

    Not its own = somebody has proven themselves in it since, and the answer did not come here (`hand_over`).
    """
    row = session.get(SignInTransaction, transaction_id) if _ID.match(transaction_id) else None
    mine = row is not None and _among(row.browser_digest, browsers)
    begun = row is not None and _among(row.facts.get("begun_by", ""), browsers)
    return (row if mine or begun else None), mine


def _among(digest: str, browsers: Collection[str]) -> bool:
    return any(opaque_tokens.same(digest, opaque_tokens.digest(each)) for each in browsers)


def hand_over(row: SignInTransaction, browser: str) -> None:
    """Bind a transaction that is held to the secret that only the answer to the right password tells (threats H, session fixation).

    Whoever knows the secret before, and the address, has nothing of what was proven.
    """
    record(row, begun_by=row.browser_digest)
    row.browser_digest = opaque_tokens.digest(browser)


def again(row: SignInTransaction, browser: str, now: datetime) -> SignInTransaction:
    """A second transaction like this one, for a password that comes again after it was right once: a proof of its own, a sign-in of its own (R84).

    Within REPEAT the first such password needs no new captcha if it brings the one that was answered.
    """
    session.flush()
    session.refresh(row, with_for_update=True)
    caller = caller_of(row)
    at, spared = row.facts.get("password_at"), row.facts.get("captcha")
    soon = at is not None and now - datetime.fromisoformat(at) < REPEAT
    record(row, captcha=None)
    kept = {name: row.facts[name] for name in ASKED if name in row.facts}
    return _add(browser, caller, now, row.expires_at - row.created_at, **kept, **({"spared": spared} if soon and spared else {}))


def caller_of(row: SignInTransaction) -> Caller:
    """What the feature behind this transaction said."""
    return Caller(**{each.name: getattr(row, each.name) for each in fields(Caller)})


def hold(row: SignInTransaction, needed: Callable[[SignInTransaction, datetime], bool], now: datetime) -> bool:
    """First thing in every transaction that passes a step: hold the row, and say whether the step is still needed.

    What the page saw before may be old: of two requests at once the second finds here what the first has done (R54, R84).
    """
    session.flush()
    session.refresh(row, with_for_update=True)
    return row.completed_at is None and now < row.expires_at and needed(row, now)


def account_as_proven(row: SignInTransaction, *, hold: bool = True) -> Account | None:
    """The account of a transaction past the password, if it still is as it was when that was typed (D15); held.

    Held always in this order: transaction, account, the office's key. `hold=False` is for pages.
    """
    account = session.get(Account, row.account_id, populate_existing=True, with_for_update=hold)
    # a merge that was taken back takes its accounts with it
    return account if account is not None and account.closed is None and account.epoch == row.facts["epoch"] else None


def account_of(row: SignInTransaction) -> Account:
    """The account of a transaction past the password, for a page. Raises Stale if it is no more."""
    account = session.get(Account, row.account_id) if row.account_id is not None else None
    if account is None:
        raise Stale
    return account


def hold_account(row: SignInTransaction, needed: Callable[[SignInTransaction, datetime], bool], now: datetime) -> Account | None:
    """`hold` for a step past the password, which acts on the account: the account, held; None if the step is not needed any more.

    Raises Stale: a password that was changed, or an account that was closed meanwhile, proves nothing here.
    """
    if not hold(row, needed, now):
        return None
    account = account_as_proven(row)
    if account is None:
        raise Stale
    return account


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
