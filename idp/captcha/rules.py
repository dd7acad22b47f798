"""Questions: made, drawn from, checked once (R60). Plain values only; `new`, `check` and `sweep` run inside a transaction.

A challenge belongs to one transaction of its caller, lives a few minutes and is spent by its first answer, right or wrong.
"""

import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from idp import opaque_tokens, typed_digits
from idp.captcha import work
from idp.captcha.models import CaptchaChallenge
from idp.db import session, spend_once

# 0 and 1 are left out: they are read as letters.
DIGITS = "23456789"
LENGTH = 5
PURPOSE = "captcha"
HANDLE = re.compile(r"[A-Za-z0-9_-]{43}")


def new(transaction_id: str, secret: str, now: datetime, life_seconds: int) -> str:
    """Ask a new question for this transaction; returns its id. `secret` is the master secret that seals the answer."""
    answer = "".join(secrets.choice(DIGITS) for _ in range(LENGTH))
    row = CaptchaChallenge(
        id=opaque_tokens.make(),
        transaction_id=transaction_id,
        sealed_answer=opaque_tokens.seal(secret, PURPOSE, answer),
        expires_at=now + timedelta(seconds=life_seconds),
    )
    session.add(row)
    session.flush()
    return row.id


def answer_of(challenge_id: str, secret: str, now: datetime) -> str | None:
    """The answer that the picture is drawn from; None if the question is unknown, spent or too old."""
    if not HANDLE.fullmatch(challenge_id):
        return None
    alive = (CaptchaChallenge.id == challenge_id, CaptchaChallenge.spent_at.is_(None), CaptchaChallenge.expires_at > now)
    sealed = session.scalar(select(CaptchaChallenge.sealed_answer).where(*alive))
    return None if sealed is None else opaque_tokens.unseal(secret, PURPOSE, sealed)


def check(challenge_id: str, transaction_id: str, typed: str, secret: str, now: datetime) -> bool:
    """Whether `typed` answers this question of this transaction: the digits, or the solution of its work (D16).

    Spends the question either way, so each allows one guess.
    """
    answer = answer_of(challenge_id, secret, now)
    mine = (CaptchaChallenge.id == challenge_id, CaptchaChallenge.transaction_id == transaction_id)
    alive = (CaptchaChallenge.spent_at.is_(None), CaptchaChallenge.expires_at > now)
    if answer is None or not spend_once(update(CaptchaChallenge).where(*mine, *alive).values(spent_at=now)):
        return False
    if work.is_solution(typed):
        return work.solves(typed, challenge_id, secret)
    return opaque_tokens.same(typed_digits.read(typed) or "", answer)


def sweep(now: datetime) -> None:
    """Drop questions whose time is over (a job of the worker)."""
    session.execute(delete(CaptchaChallenge).where(CaptchaChallenge.expires_at < now))
