"""One log-in at a legacy entry, on its page or asked for by the old system's own. Three moves: `admit` · `prove` · `settle`.

An old user's own old password of that very system opens it and nothing else does; tries are charged, captchas asked and networks refused by the
numbers of the sign-in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from idp.accounts import credentials, directory, lockout
from idp.accounts.argon2id import Hasher
from idp.accounts.credentials import Candidate, Former
from idp.accounts.lockout import Caller
from idp.accounts.models import Account, FormerPassword
from idp.audit import legacy_entry as audit
from idp.captcha import rules as captcha
from idp.db import session
from idp.enterprises import codes, register
from idp.entitlements import rules as entitlements
from idp.errors import Refusal
from idp.legacy import entry
from idp.legacy.models import LegacyRow
from idp.limits import Rule, peek, take
from idp.opaque_tokens import keyed_digest
from idp.settings import Settings
from idp.signin import attempt

PAGE, PROGRAM = "page", "program"
# one form opens the entry once in a minute; what comes again is the same click
SUBMIT = Rule("legacy.submit", 1, 60)
AMBIGUOUS, NO_RIGHT = "ambiguous", "no_right"


@dataclass(frozen=True)
class Typed:
    """What was typed: the old name, the old password, and the enterprise's code ("" = none)."""

    name: str
    password: str
    code: str


@dataclass(frozen=True)
class Answer:
    """The captcha of the page: what it belongs to (`place`), its id, and what was typed."""

    place: str
    id: str
    typed: str


@dataclass(frozen=True)
class Door:
    """Which system's legacy entry is tried, by page or by program (`by`), from where, and under which numbers; `secret` is the master secret.

    `form`: what tells one shown form from all others, "" where there is none.
    """

    system: str
    by: str
    caller: Caller
    settings: Settings
    secret: str
    form: str = ""


@dataclass(frozen=True)
class OldUser:
    """One who may be meant, free of the database: the row, its account, the one old hash that opens it."""

    row_id: int
    former_id: int
    candidate: Candidate


@dataclass(frozen=True)
class Admitted:
    """The try may go on: these old users may be meant, these counters were charged."""

    users: list[OldUser]
    subjects: list[str]


@dataclass(frozen=True)
class Passed:
    """The entry opens: for this account, with so many log-ins left (None: not counted)."""

    account_id: int
    epoch: int
    remaining: int | None


@dataclass(frozen=True)
class Closed:
    """The password was right (or looking at it makes no sense), and the entry does not open.

    `reason`: ended, used_up, account_disabled, enterprise_cancelled, ambiguous, or no_right with the entitlement's own reason in `right`.
    """

    reason: str
    right: str = ""


# --- who is meant ---------------------------------------------------------------------------------------------------------------------------


def _rows(system: str, typed: Typed) -> Sequence[LegacyRow] | None:
    """The old users of this name; None = enterprises share it and none was named (D19), so that one's password never opens another's."""
    key, code = directory.name_key(typed.name), codes.normalise(typed.code)
    named = [LegacyRow.system == system, LegacyRow.username_key == key]
    if not key:
        return []
    if code:
        enterprise = register.find(code) if codes.is_code(code) or codes.is_uscc(code) else None
        if enterprise is None:
            return []
        named.append(LegacyRow.enterprise_id == enterprise.id)
    elif len(session.scalars(select(LegacyRow.enterprise_id).where(*named).distinct().limit(2)).all()) > 1:
        return None
    # a constant, bounded number of hashes (D9)
    return session.scalars(select(LegacyRow).where(*named).order_by(LegacyRow.id).limit(directory.MAX_CANDIDATES)).all()


def _accounts(rows: Sequence[LegacyRow]) -> list[Account]:
    # D19: no row opens anything before it has an account
    ids = {row.account_id for row in rows if row.account_id is not None}
    return list(session.scalars(select(Account).where(Account.id.in_(ids)).order_by(Account.id)))


def _subjects(door: Door, typed: Typed, accounts: Sequence[Account]) -> list[str]:
    """The counters of the accounts, which their sign-in has as well; for a name that nobody has, one of its own (threats F)."""
    return lockout.subjects(accounts, f"{door.system}:{codes.normalise(typed.code)}:{typed.name}", door.secret)


def _former(row: LegacyRow, account: Account) -> FormerPassword | None:
    """The old hash that opens this row's entry: its own system's, while the account has no password of its own (R12)."""
    kept = session.get(FormerPassword, row.former_password_id, populate_existing=True) if row.former_password_id is not None else None
    if kept is None or kept.replaced or account.password_hash is not None:
        return None
    # D15: a disabled row opens nothing, but the owner of a disabled account is told so after the right password
    usable = (row.enabled and kept.enabled) or account.status != "active"
    return kept if usable and (kept.account_id, kept.system) == (account.id, row.system) else None


def _old_users(rows: Sequence[LegacyRow], accounts: Sequence[Account]) -> list[OldUser]:
    known, found = {account.id: account for account in accounts}, []
    for row in rows:
        account = known.get(row.account_id or 0)
        kept = _former(row, account) if account is not None else None
        if account is not None and kept is not None:
            former = Former(kept.system, kept.scheme, kept.encoding, kept.sealed_hash)
            found.append(OldUser(row.id, kept.id, Candidate(account.id, account.epoch, None, [former])))
    return found


# --- the three moves ------------------------------------------------------------------------------------------------------------------------


def asks_captcha(door: Door, typed: Typed, now: datetime) -> bool:
    """Whether the page asks for a captcha (D16); what was typed before counts."""
    if door.settings.captcha == "always" or attempt.network_asks(door.caller.network, door.settings, now):
        return True
    subjects = _subjects(door, typed, _accounts(_rows(door.system, typed) or []))
    return lockout.recent_failures(subjects, door.caller, now) >= attempt.CAPTCHA_FROM_FAILURE - 1


def admit(door: Door, typed: Typed, answer: Answer | None, now: datetime) -> Admitted | Closed | Refusal:
    """First move, in a transaction: network, form, captcha (spent whatever follows), lock; charges before the password is looked at.

    `answer` None: a program asks, which has a captcha of its own.
    """
    until = attempt.network_refused_until(door.caller.network, door.settings, now)
    if until is not None:
        return Refusal("too_many", args={"until": until})
    if not typed.name.strip() or not typed.password:
        return Refusal("password_missing", "password") if typed.name.strip() else Refusal("username_missing", "username")
    if answer is not None and asks_captcha(door, typed, now) and not captcha.check(answer.id, answer.place, answer.typed, door.secret, now):
        return Refusal("captcha_wrong", "captcha")
    rows = _rows(door.system, typed)
    # the system itself may know which names its enterprises share; a page tells nobody
    if rows is None and door.by == PROGRAM:
        return Closed(AMBIGUOUS)
    accounts = _accounts(rows or [])
    subjects = _subjects(door, typed, accounts)
    locked = lockout.charge(subjects, door.caller, attempt.numbers(door.settings), now)
    if locked:
        only = accounts[0].id if len(accounts) == 1 else None
        audit.refused(now, account_id=only, system=door.system, reason="locked", by=door.by)
        return Refusal("locked", args={"until": locked})
    # D6: nothing longer than the ceiling is hashed
    if len(typed.password) > door.settings.password_typed_max_characters:
        return _wrong(door, Admitted([], subjects), now)
    return Admitted(_old_users(rows or [], accounts), subjects)


def prove(admitted: Admitted, typed: Typed, secret: str, hasher: Hasher) -> list[OldUser]:
    """Second move, outside of every transaction: the old users whose old password it is. A name that nobody has costs the same."""
    if not admitted.users:
        credentials.prove([], typed.password, secret, hasher)
    return [user for user in admitted.users if credentials.prove([user.candidate], typed.password, secret, hasher)]


def settle(door: Door, admitted: Admitted, fitting: Sequence[OldUser], now: datetime) -> Passed | Closed | Refusal:
    """Third move, in the transaction that also starts the session: what came of it; a log-in is counted here and nowhere else."""
    held = [_hold(user) for user in fitting]
    if None in held:
        lockout.right(admitted.subjects, door.caller)
        return Refusal("legacy_busy")
    standing = [each for each in held if each is not None and each.unchanged]
    if not standing:
        return _wrong(door, admitted, now)
    lockout.right(admitted.subjects, door.caller)
    return _open(door, standing, now)


@dataclass(frozen=True)
class _Held:
    """An old user and the account, held, and whether both are as they were when the password was looked at."""

    row: LegacyRow
    account: Account
    unchanged: bool


def _hold(user: OldUser) -> _Held | None:
    """None: somebody else holds the row just now.

    The account first, as a change of its password does. An import holds rows for minutes, so what it holds is not waited for.
    """
    account = session.get(Account, user.candidate.account_id, populate_existing=True, with_for_update=True)
    mine = select(LegacyRow).where(LegacyRow.id == user.row_id).with_for_update(skip_locked=True)
    row = session.scalar(mine.execution_options(populate_existing=True))
    if account is None or row is None:
        return None
    same = (row.account_id, row.former_password_id, account.epoch) == (account.id, user.former_id, user.candidate.epoch)
    return _Held(row, account, same and _former(row, account) is not None)


def _wrong(door: Door, admitted: Admitted, now: datetime) -> Refusal:
    """One answer for every reason (R61); the words name the new password to everybody."""
    for rule in attempt.network_rules(door.settings):
        take(rule, door.caller.network, now)
    locked = lockout.wrong(admitted.subjects, door.caller, attempt.numbers(door.settings), now)
    only = admitted.users[0].candidate.account_id if len(admitted.users) == 1 else None
    audit.refused(now, account_id=only, system=door.system, reason="password", by=door.by)
    return Refusal("locked", args={"until": locked}) if locked else Refusal("legacy_credentials")


def _open(door: Door, standing: Sequence[_Held], now: datetime) -> Passed | Closed:
    """What a right password comes to."""
    usable = [each for each in standing if each.account.closed is None] or standing[:1]
    if len({each.account.id for each in usable}) > 1:
        return _closed(door, usable[0], AMBIGUOUS, now)
    terms = entry.terms(door.settings)
    states = [(each, entry.state(each.row, terms, now)) for each in usable]
    held, state = next((pair for pair in states if pair[1].closed is None), states[0])
    account = held.account
    if account.closed is not None:
        return _closed(door, held, account.closed, now)
    submitted = _form(door, held.row)
    # R84: the second half of a double submit costs no second log-in; the account is held, so the first half is over
    again = submitted != "" and not peek(SUBMIT, submitted, now).allowed
    if state.closed is not None and not again:
        return _closed(door, held, state.closed, now)
    today = entry.today(now)
    # R66, D15: what a dead key, or a block, has closed is closed here too; nobody loses a log-in to it
    if door.system not in entitlements.open_systems(account.id, today, door.system):
        why = entitlements.why_closed(account.id, [door.system], today, door.system)
        return _closed(door, held, NO_RIGHT, now, why[0])
    if again:
        return Passed(account.id, account.epoch, state.remaining)
    remaining = entry.charge(held.row.id, terms.logins) if state.remaining is not None else None
    if state.remaining is not None and remaining is None:
        return _closed(door, held, entry.USED_UP, now)
    if submitted:
        take(SUBMIT, submitted, now)
    audit.passed(now, account_id=account.id, row=held.row.id, system=door.system, remaining=remaining, by=door.by)
    return Passed(account.id, account.epoch, remaining)


def _form(door: Door, row: LegacyRow) -> str:
    """What a submit of this form for this old user is remembered by; "" where a program asks."""
    return keyed_digest(door.secret, "legacy-submit", f"{door.form}:{row.id}") if door.form else ""


def _closed(door: Door, held: _Held, reason: str, now: datetime, right: str = "") -> Closed:
    audit.refused(now, account_id=held.account.id, system=door.system, reason=right or reason, by=door.by)
    return Closed(reason, right)
