"""Proving the other account before it is linked (R87): its password, judged as at a sign-in, or its e-key; then a code that only its person has.

Who has an authenticator app on the other account proves that, as at its sign-in; everybody else a contact that was proven there. Functions that
write run inside a transaction; nothing but `idp.accounts.credentials.prove`, between `admit` and `settle`, computes a hash.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from idp import limits
from idp.accounts import channels, credentials, directory, lockout, totp
from idp.accounts.channels import Way
from idp.accounts.credentials import Candidate, Proof
from idp.accounts.models import Account, AccountKey, AccountLink
from idp.adapters import BEIJING
from idp.audit import catalogue as audit
from idp.captcha import rules as captcha
from idp.db import session
from idp.errors import Refusal
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey
from idp.legacy import linking
from idp.one_time_codes import codes, refusals
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin import attempt, flow
from idp.signin.models import SignInTransaction
from idp.web import Hooks

PURPOSE = "link"
LIFE = timedelta(minutes=10)
# each costs signatures to judge
KEY_ROADS = limits.Rule("link.key.hour", 10, 3600)
TRIES = limits.Rule("link.failures.hour", attempt.CAPTCHA_FROM_FAILURE - 1, 3600)


@dataclass(frozen=True)
class Typed:
    """What the form held."""

    name: str
    password: str
    captcha_id: str
    captcha: str


@dataclass(frozen=True)
class Asker:
    """Who links: the account, its session, and where it asks from."""

    account_id: int
    session_id: int
    caller: lockout.Caller


@dataclass(frozen=True)
class Admitted:
    """The try may go on: these accounts claim the name, these counters were charged."""

    candidates: list[Candidate]
    subjects: list[str]


@dataclass(frozen=True)
class Proven:
    """The password of the other account was right in this session, or its live e-key `serial` was shown; it counts for LIFE, while that is so."""

    session_id: int
    account_id: int
    epoch: int
    at: str
    serial: str = ""


def place(asker: Asker) -> str:
    """What a captcha of this page belongs to."""
    return f"link:{asker.session_id}"


def asks_captcha(asker: Asker, settings: Settings, now: datetime) -> bool:
    """Whether the page shows a captcha before a name is typed (D16)."""
    if settings.captcha == "always" or not limits.peek(TRIES, f"account:{asker.account_id}", now).allowed:
        return True
    return any(not limits.peek(rule, asker.caller.network, now).allowed for rule in attempt.network_rules(settings))


def admit(asker: Asker, typed: Typed, settings: Settings, secret: str, now: datetime) -> Admitted | Refusal:
    """First move: network, form, captcha (spent whatever follows), lock; charges the counters before the password is looked at."""
    if attempt.network_refuses(asker.caller.network, settings, now):
        return Refusal("too_many")
    if not typed.name.strip() or not typed.password:
        return Refusal("password_missing", "password") if typed.name.strip() else Refusal("username_missing", "username")
    accounts = directory.candidates(typed.name)
    subjects = lockout.subjects(accounts, typed.name, secret)
    often = lockout.recent_failures(subjects, asker.caller, now) >= attempt.CAPTCHA_FROM_FAILURE - 1
    # R60: single use; a missing answer is a wrong one
    asked = asks_captcha(asker, settings, now) or often
    if asked and not captcha.check(typed.captcha_id, place(asker), typed.captcha, secret, now):
        return Refusal("captcha_wrong", "captcha")
    locked = lockout.charge(subjects, asker.caller, attempt.numbers(settings), now)
    if locked:
        audit.link_refused(now, account_id=asker.account_id, reason="locked")
        return Refusal("locked", args={"until": locked})
    # D6: nothing longer than the ceiling is hashed
    if len(typed.password) > settings.password_typed_max_characters:
        return _refused(asker, Admitted([], subjects), settings, now)
    return Admitted(credentials.load(accounts), subjects)


def _refused(asker: Asker, admitted: Admitted, settings: Settings, now: datetime) -> Refusal:
    for rule in attempt.network_rules(settings):
        limits.take(rule, asker.caller.network, now)
    limits.take(TRIES, f"account:{asker.account_id}", now)
    locked = lockout.wrong(admitted.subjects, asker.caller, attempt.numbers(settings), now)
    audit.link_refused(now, account_id=asker.account_id, reason="password")
    return Refusal("locked", args={"until": locked}) if locked else Refusal("credentials")


def settle(asker: Asker, admitted: Admitted, proofs: list[Proof], settings: Settings, secret: str, now: datetime) -> Proven | Refusal:
    """What came of it. One answer for a wrong password, one's own account, and accounts of others: nothing is told of them."""
    other = _unchanged(asker, proofs)
    if other is None:
        return _refused(asker, admitted, settings, now)
    lockout.right(admitted.subjects, asker.caller)
    told = linking.fault(other, now)
    if told is not None:
        audit.link_refused(now, account_id=asker.account_id, reason=told.code)
        return told
    proven = Proven(asker.session_id, other.id, other.epoch, now.isoformat())
    if not by_app(other):
        send(proven, "", secret, now)
    return proven


def _unchanged(asker: Asker, proofs: list[Proof]) -> Account | None:
    """The first account that fits and could be linked at all, held, if its password still is what the proof rests on."""
    mine = session.get_one(Account, asker.account_id)
    for proof in proofs:
        other = session.get(Account, proof.account_id)
        if other is not None and not linking.stranger(mine, other):
            pair = linking.hold(mine.id, other.id)
            return pair.other if pair is not None and pair.other.epoch == proof.epoch and not linking.stranger(pair.mine, pair.other) else None
    return None


# --- the other account's e-key --------------------------------------------------------------------------------------------------------------


def begin_by_key(asker: Asker, browser: str, return_to: str, over: SignInTransaction | None, now: datetime) -> str | Refusal:
    """Open the transaction in which this browser shows the other account's key (`flow.begin` of a sign-in); its id."""
    if not limits.take(KEY_ROADS, f"account:{asker.account_id}", now).allowed:
        return Refusal("too_many")
    asked = {"link": str(asker.session_id), "ekey": "must"}
    return flow.begin(browser, flow.Caller(return_to=return_to), now, int(LIFE.total_seconds()), over, asked)


def key_shown(asker: Asker, row: SignInTransaction, account_id: int, serial: str, secret: str, now: datetime) -> Refusal | None:
    """A live key of that account was proven in a transaction of this session, which is held: note it, and send a code; or why not."""
    pair = linking.hold(asker.account_id, account_id)
    # one answer for one's own key and for keys of others, as for passwords
    if pair is None or row.facts["link"] != str(asker.session_id) or linking.stranger(pair.mine, pair.other):
        audit.link_refused(now, account_id=asker.account_id, reason="ekey")
        return Refusal("link_key")
    told = linking.fault(pair.other, now)
    if told is not None:
        audit.link_refused(now, account_id=asker.account_id, reason=told.code)
        return Refusal(told.code)
    proven = Proven(asker.session_id, account_id, pair.other.epoch, now.isoformat(), serial)
    flow.record(row, key_of_other=asdict(proven))
    if not by_app(pair.other):
        send(proven, "", secret, now)
    return None


def _key_counts(proven: Proven, now: datetime) -> bool:
    """Whether the key that was shown, if it was one, still is a live one of the other account; held until the commit."""
    if not proven.serial:
        return True
    key = session.get(EKey, proven.serial, populate_existing=True, with_for_update=True)
    owner = session.get(AccountKey, proven.serial, populate_existing=True)
    mine = owner is not None and owner.account_id == proven.account_id
    return mine and key is not None and dead(key, now.astimezone(BEIJING).date()) is None


# --- the code -------------------------------------------------------------------------------------------------------------------------------


def by_app(other: Account) -> bool:
    """Whether the other account's authenticator app is asked for, as at its sign-in, in the place of a code that is sent."""
    return totp.is_on(other.id)


def alive(proven: Proven, session_id: int, now: datetime) -> bool:
    """Whether what was proven belongs to this session and is fresh."""
    return proven.session_id == session_id and now < datetime.fromisoformat(proven.at) + LIFE


def subject(proven: Proven) -> str:
    """What a code belongs to: this session and the other account as it was."""
    return f"link:{proven.session_id}:{proven.account_id}:{proven.epoch}"


def send(proven: Proven, channel: str, secret: str, now: datetime) -> Refusal | None:
    """Send a code to this contact of the other account, "" = the first; None = it is on its way."""
    account = session.get(Account, proven.account_id, populate_existing=True, with_for_update=True)
    ways = channels.proven(account) if account is not None and account.epoch == proven.epoch else []
    way = next((way for way in ways if channel in ("", way.channel)), None)
    if account is None or way is None:
        return Refusal("code_channel", "channel")
    sent = codes.send(PURPOSE, subject(proven), way.channel, way.recipient, now, secret=secret, account_id=account.id, proven=True)
    return refusals.of_sending(sent, "channel", way.channel, now)


def complete(asker: Asker, proven: Proven, channel: str, typed: str, hooks: Hooks, secret: str, now: datetime) -> AccountLink | Refusal:
    """Judge the code and link. Everything is judged on held rows: `link_over` = it has to be begun again."""
    pair = linking.hold(asker.account_id, proven.account_id)
    if pair is None or not _stands(asker, proven, pair, now) or not _key_counts(proven, now):
        return Refusal("link_over", "username")
    told = linking.fault(pair.other, now) or _judge(pair.other, proven, channel, typed, secret, now)
    return told if told is not None else linking.link(pair, "ekey" if proven.serial else "password", hooks, now)


def _stands(asker: Asker, proven: Proven, pair: linking.Pair, now: datetime) -> bool:
    present = session.get(Session, asker.session_id, populate_existing=True, with_for_update=True)
    mine, other = pair.mine, pair.other
    signed_in = present is not None and present.ended_at is None and present.epoch == mine.epoch and mine.closed is None
    return signed_in and alive(proven, asker.session_id, now) and other.epoch == proven.epoch and not linking.stranger(mine, other)


def _judge(other: Account, proven: Proven, channel: str, typed: str, secret: str, now: datetime) -> Refusal | None:
    if by_app(other):
        return totp.prove(other.id, typed, secret, now)
    way = next((way for way in channels.proven(other) if way.channel == channel), None)
    if way is None:
        return Refusal("code_channel", "channel")
    return refusals.of_typing(_spend(proven, way, typed, secret, now), "code", way.channel)


def _spend(proven: Proven, way: Way, typed: str, secret: str, now: datetime) -> Literal["ok", "wrong", "over"]:
    mine = (PURPOSE, subject(proven), typed, now)
    return codes.spend(*mine, channel=way.channel, recipient=way.recipient, secret=secret, account_id=proven.account_id)
