"""The second factor from an authenticator app (RFC 6238), and the recovery codes that stand in for it (R75, threats G).

Every function that writes runs inside a transaction; `secret` is the master secret. A set-up belongs to one place: a session (its id) or, outside
of any, a browser (its secret). The account's row is held while a code is judged, so that
the same code twice at once is right once, and of many guesses at once no more are judged than the rules allow. Only wrong ones count.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import delete, exists, func, select, update

from idp import limits, opaque_tokens, typed_digits
from idp.accounts.models import Account
from idp.accounts.totp_models import AccountTotp, RecoveryCode
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.errors import Refusal

PURPOSE, RECOVERY_PURPOSE = "totp-secret", "recovery-code"
DIGITS = 6
# RFC 6238 §5.2: one step of 30 s before and after, for clocks and slow fingers
WINDOW = 1
GUESSES = (limits.Rule("totp.wrong.quarter", 5, 900), limits.Rule("totp.wrong.day", 20, 24 * 3600))
RECOVERY_GUESSES = (limits.Rule("recovery_code.wrong.quarter", 5, 900), limits.Rule("recovery_code.wrong.day", 20, 24 * 3600))
RECOVERY_CODES, RECOVERY_CHARACTERS, GROUP = 10, 16, 4  # 80 random bits each
# RFC 4648 §6: neither 0 nor 1 is a sign of it, so they can only be O and I
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
MAX_TYPED_CHARACTERS = 64
# whoever has stolen the password can set an app up with it; within this time the notice at the contacts brings the owner to us, or an officer
SETTLES = timedelta(days=7)


@dataclass(frozen=True)
class State:
    """What pages show of an account's app: since when it counts, and how many recovery codes are left."""

    since: datetime
    codes_left: int


# --- set-up ---------------------------------------------------------------------------------------------------------------------------------


def begin(account_id: int, place: int | str, secret: str, now: datetime) -> str | None:
    """The secret (base32) that is set up here, a fresh one if there was none yet; None if one is confirmed already.

    What another place had begun is void; that one link was opened by two browsers is in the audit.
    """
    # held, so that two at once make one row
    session.get_one(Account, account_id, populate_existing=True, with_for_update=True)
    row = _held(account_id)
    if row is not None and row.confirmed_at is not None:
        return None
    if row is not None and _is_here(row, place, secret):
        return _plain(row, secret)
    if row is not None and isinstance(place, str):
        audit.totp_begun_elsewhere(now, account_id=account_id)
    plain, browser = pyotp.random_base32(), opaque_tokens.digest(place) if isinstance(place, str) else ""
    session.merge(
        AccountTotp(
            account_id=account_id,
            sealed_secret=opaque_tokens.seal(secret, PURPOSE, f"{plain}:{browser}"),
            session_id=place if isinstance(place, int) else None,
            begun_at=now,
            confirmed_at=None,
            last_step=0,
        )
    )
    return plain


def _is_here(row: AccountTotp, place: int | str, secret: str) -> bool:
    """Whether this session or browser has begun the set-up."""
    if isinstance(place, int):
        return row.session_id == place
    browser = opaque_tokens.unseal(secret, PURPOSE, row.sealed_secret).partition(":")[2]
    return row.session_id is None and opaque_tokens.same(browser, opaque_tokens.digest(place))


def _plain(row: AccountTotp, secret: str) -> str:
    return opaque_tokens.unseal(secret, PURPOSE, row.sealed_secret).partition(":")[0]


def confirm(account_id: int, place: int | str, typed: str, secret: str, now: datetime) -> list[str] | Refusal:
    """Switch it on by a first code; returns the recovery codes, which are shown once.

    Refusals: totp_over (nothing is being set up), totp_elsewhere (another place began anew), totp_wrong, totp_too_many.
    """
    row = _held(account_id)
    if row is None or row.confirmed_at is not None:
        return Refusal("totp_over", "code")
    if not _is_here(row, place, secret):
        return Refusal("totp_elsewhere", "code")
    refusal = _judge(row, typed, secret, now)
    if refusal is not None:
        return refusal
    row.confirmed_at, row.session_id = now, None
    audit.totp_switched_on(now, account_id=account_id)
    return _renew_codes(account_id, secret)


def switch_off(account_id: int, now: datetime) -> bool:
    """No app and no recovery code counts any more; False if there was none."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    gone = session.scalars(delete(AccountTotp).where(AccountTotp.account_id == account_id).returning(AccountTotp.confirmed_at)).all()
    if any(gone):
        audit.totp_switched_off(now, account_id=account_id)
    return any(gone)


def new_recovery_codes(account_id: int, secret: str, now: datetime) -> list[str] | None:
    """Ten others in the place of those before; None if no app is on."""
    row = _held(account_id)
    if row is None or row.confirmed_at is None:
        return None
    audit.recovery_codes_made(now, account_id=account_id)
    return _renew_codes(account_id, secret)


def _renew_codes(account_id: int, secret: str) -> list[str]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    codes = ["".join(secrets.choice(BASE32) for _ in range(RECOVERY_CHARACTERS)) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(account_id=account_id, digest=_digest(account_id, code, secret)) for code in codes)
    return [in_groups(code) for code in codes]


def in_groups(text: str) -> str:
    """Signs in groups of four, as people copy them."""
    return " ".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def uri(plain: str, name: str, issuer: str) -> str:
    """What the app reads from the picture; `issuer` is the name it shows above `name`."""
    return pyotp.TOTP(plain, name=name, issuer=issuer).provisioning_uri()


def picture(text: str) -> str:
    """The QR code of a text as an <svg> element without styles; always dark on light, also on dark pages."""
    return str(segno.make(text, error="m", micro=False).svg_inline(scale=4, light="#fff", svgclass="qr", lineclass=None, omitsize=False))


# --- proof ----------------------------------------------------------------------------------------------------------------------------------


def is_on(account_id: int) -> bool:
    """Whether the account has a confirmed app."""
    return bool(session.scalar(select(exists().where(AccountTotp.account_id == account_id, AccountTotp.confirmed_at.is_not(None)))))


def settled(account_id: int, now: datetime) -> bool:
    """Whether the confirmed app is old enough to vouch for more than the password that it was set up with (threats K)."""
    since = session.scalar(select(AccountTotp.confirmed_at).where(AccountTotp.account_id == account_id))
    return since is not None and since <= now - SETTLES


def state(account_id: int) -> State | None:
    """The confirmed app of an account, if there is one."""
    since = session.scalar(select(AccountTotp.confirmed_at).where(AccountTotp.account_id == account_id))
    unspent = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.account_id == account_id, RecoveryCode.spent_at.is_(None))
    return State(since, session.scalar(unspent) or 0) if since is not None else None


def prove(account_id: int, typed: str, secret: str, now: datetime) -> Refusal | None:
    """Use a code of the app up; None = right. Refusals: totp_off (no app is on), totp_wrong, totp_too_many (`until`).

    Commit whatever it says: a wrong one counts.
    """
    row = _held(account_id)
    if row is None or row.confirmed_at is None:
        return Refusal("totp_off", "code")
    return _judge(row, typed, secret, now)


def prove_recovery(account_id: int, typed: str, secret: str, now: datetime) -> Refusal | None:
    """Use a recovery code up; refusals as `prove`, with recovery_wrong."""
    row = _held(account_id)
    if row is None or row.confirmed_at is None:
        return Refusal("totp_off", "code")
    refusal = _throttled(RECOVERY_GUESSES, account_id, now)
    if refusal is not None:
        return refusal
    mine = (RecoveryCode.account_id == account_id, RecoveryCode.digest == _digest(account_id, _read_recovery(typed), secret))
    if spend_once(update(RecoveryCode).where(*mine, RecoveryCode.spent_at.is_(None)).values(spent_at=now)):
        audit.recovery_code_used(now, account_id=account_id)
        return None
    return _wrong("recovery_wrong", RECOVERY_GUESSES, account_id, now)


def _held(account_id: int) -> AccountTotp | None:
    return session.get(AccountTotp, account_id, populate_existing=True, with_for_update=True)


def _judge(row: AccountTotp, typed: str, secret: str, now: datetime) -> Refusal | None:
    """One code against the secret of a row that is held."""
    refusal = _throttled(GUESSES, row.account_id, now)
    if refusal is not None:
        return refusal
    step = _step(_plain(row, secret), typed, now)
    # RFC 6238 §5.2: a code counts once, and none before it counts any more
    newer = update(AccountTotp).where(AccountTotp.account_id == row.account_id, AccountTotp.last_step < (step or 0))
    if step is None or not spend_once(newer.values(last_step=step)):
        return _wrong("totp_wrong", GUESSES, row.account_id, now)
    return None


def _step(plain: str, typed: str, now: datetime) -> int | None:
    """The time step whose code was typed; None if none of those near now."""
    digits = typed_digits.read(typed)
    if digits is None or len(digits) != DIGITS:
        return None
    try:
        return pyotp.TOTP(plain).verify_and_get_timecode(digits, for_time=now, valid_window=WINDOW)
    except OTPVerificationError:
        return None


def _throttled(rules: tuple[limits.Rule, ...], account_id: int, now: datetime) -> Refusal | None:
    full = [found.retry_at for found in (limits.peek(rule, f"account:{account_id}", now) for rule in rules) if not found.allowed]
    if not full:
        return None
    audit.totp_refused(now, account_id=account_id, reason="too_many")
    return Refusal("totp_too_many", "code", {"until": max(full)})


def _wrong(code: str, rules: tuple[limits.Rule, ...], account_id: int, now: datetime) -> Refusal:
    for rule in rules:
        limits.take(rule, f"account:{account_id}", now)
    audit.totp_refused(now, account_id=account_id, reason=code)
    return Refusal(code, "code")


def _read_recovery(typed: str) -> str:
    """What was typed without blanks and hyphens, in capitals; "" if it is too long to look at."""
    if len(typed) > MAX_TYPED_CHARACTERS:
        return ""
    return re.sub(r"[\s-]", "", typed).upper().replace("0", "O").replace("1", "I")


def _digest(account_id: int, code: str, secret: str) -> str:
    return opaque_tokens.keyed_digest(secret, RECOVERY_PURPOSE, f"{account_id}:{code}")
