"""The initial password of a new account (R88): of a sealed letter, or the activation code that the key office hands out with the key.

An account has one at a time. It opens the sign-in until the first own password is set or its days are over, and leads nowhere but to the forced
change. Of the letter's only the argon2id hash is kept; the activation code comes from the office's list as a keyed digest.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from idp import opaque_tokens
from idp.accounts.argon2id import Hasher
from idp.accounts.models import Account, InitialPassword
from idp.db import session, spend_once
from idp.key_register import activation

# read aloud and typed from paper: none of 0 o 1 i l, one case only; 12 of 31 characters are 59 bits
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
CHARACTERS, GROUP = 12, 4
LETTER_WAITS = timedelta(minutes=10)
KEPT_AFTER = timedelta(days=30)


@dataclass(frozen=True)
class Initial:
    """What is compared with, free of the database: an argon2id hash, or the digest of an activation code for the key `serial`."""

    serial: str
    password_hash: str | None
    activation_digest: str | None


def make() -> str:
    """A fresh one, as it is hashed."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CHARACTERS))


def groups(password: str) -> list[str]:
    """As the letter prints it."""
    return [password[start : start + GROUP] for start in range(0, len(password), GROUP)]


def _as_hashed(typed: str) -> str:
    """Blanks and dashes between the groups, and capitals, are how people copy from paper."""
    return "".join(typed.split()).replace("-", "").lower()


def load(account_ids: list[int]) -> dict[int, Initial]:
    """Those that can be typed, by account. Whether they are over is judged after the right one was typed (`over`), so that its owner may know."""
    rows = session.scalars(select(InitialPassword).where(InitialPassword.account_id.in_(account_ids), InitialPassword.expires_at.is_not(None)))
    return {row.account_id: Initial(row.serial, row.password_hash, row.activation_digest) for row in rows}


def opens(initial: Initial, typed: str, secret: str, hasher: Hasher) -> bool:
    """Whether it is the one; costs one argon2id whatever is kept. Not inside a transaction."""
    letter = hasher.verify(_as_hashed(typed), initial.password_hash)
    code = initial.activation_digest is not None and opaque_tokens.same(activation.digest(secret, initial.serial, typed), initial.activation_digest)
    return letter or code


def over(account_id: int, now: datetime) -> bool:
    """Whether its days are over, or there is none."""
    row = session.get(InitialPassword, account_id)
    return row is None or row.expires_at is None or now >= row.expires_at


def _fresh(account: Account, serial: str) -> InitialPassword:
    """An empty row in the place of any that was there: what it opened is closed, from this commit on."""
    session.execute(delete(InitialPassword).where(InitialPassword.account_id == account.id))
    account.epoch += 1
    row = InitialPassword(account_id=account.id, serial=serial)
    session.add(row)
    return row


def by_code(account: Account, serial: str, activation_digest: str, until: datetime) -> None:
    """The activation code of the office's list opens the account (inside a transaction)."""
    row = _fresh(account, serial)
    row.activation_digest, row.expires_at = activation_digest, until


def by_letter(account: Account, serial: str, password_hash: str, until: datetime) -> None:
    """A letter's password, printed at once, opens the account (inside a transaction); whatever did before opens nothing more."""
    row = _fresh(account, serial)
    row.password_hash, row.expires_at = password_hash, until


def announce_letter(account: Account, serial: str, officer_id: int, now: datetime) -> str:
    """Let this officer fetch a letter once, within LETTER_WAITS: the secret of its address (inside a transaction).

    What opened the account before opens nothing more; what will is made only when the letter is fetched.
    """
    handle, row = opaque_tokens.make(), _fresh(account, serial)
    row.letter_digest, row.letter_for, row.letter_until = opaque_tokens.digest(handle), officer_id, now + LETTER_WAITS
    return handle


def announced(handle: str, officer_id: int, now: datetime) -> str | None:
    """The key of the letter that this officer may still fetch; None if there is none. Reads only."""
    mine = (InitialPassword.letter_for == officer_id, InitialPassword.letter_until > now)
    return session.scalar(select(InitialPassword.serial).where(InitialPassword.letter_digest == opaque_tokens.digest(handle), *mine))


def fetch_letter(handle: str, officer_id: int, password_hash: str, until: datetime, now: datetime) -> InitialPassword | None:
    """The announced letter, whose password this hash is from now on; None if it was fetched before, is too old or is somebody else's.

    Inside a transaction.
    """
    digest = opaque_tokens.digest(handle)
    row = session.scalar(select(InitialPassword).where(InitialPassword.letter_digest == digest))
    mine = (InitialPassword.letter_digest == digest, InitialPassword.letter_for == officer_id, InitialPassword.letter_until > now)
    spent = {"letter_digest": None, "letter_for": None, "letter_until": None}
    if row is None or not spend_once(update(InitialPassword).where(*mine).values(password_hash=password_hash, expires_at=until, **spent)):
        return None
    session.refresh(row)
    return row


def forget(account_id: int) -> None:
    """The account has a password of its own."""
    session.execute(delete(InitialPassword).where(InitialPassword.account_id == account_id))


def sweep(now: datetime) -> None:
    """Forget those that nobody came to use (a job of the worker)."""
    session.execute(delete(InitialPassword).where(InitialPassword.expires_at < now - KEPT_AFTER))
