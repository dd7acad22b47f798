"""Step 0: the challenge that a card signs. Random, of one sign-in and its browser, short-lived, used up before anything is judged."""

import base64
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.ekey.models import EKeyChallenge
from idp.signin.models import SignInTransaction

NONCE_BYTES = 32
# in Base64, which the Web eID token asks for (at least 44 characters)
NONCE_CHARACTERS = 44


def issue(row: SignInTransaction, now: datetime, life_seconds: int) -> str:
    """A fresh challenge for this sign-in (inside a transaction); it dies with the sign-in at the latest."""
    nonce = base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode()
    expires = min(now + timedelta(seconds=life_seconds), row.expires_at)
    session.add(EKeyChallenge(digest=opaque_tokens.digest(nonce), transaction_id=row.id, browser_digest=row.browser_digest, expires_at=expires))
    return nonce


def spend(nonce: str, row: SignInTransaction, now: datetime) -> bool:
    """Use it up for this sign-in, which `flow.find` found by its browser's cookie (inside a transaction that is committed whatever follows)."""
    if len(nonce) != NONCE_CHARACTERS:
        return False
    mine = (
        EKeyChallenge.digest == opaque_tokens.digest(nonce),
        EKeyChallenge.transaction_id == row.id,
        EKeyChallenge.browser_digest == row.browser_digest,
        EKeyChallenge.spent_at.is_(None),
        EKeyChallenge.expires_at > now,
    )
    return spend_once(update(EKeyChallenge).where(*mine).values(spent_at=now))


def sweep(now: datetime) -> None:
    """Forget what is over (a job of the worker)."""
    session.execute(delete(EKeyChallenge).where(EKeyChallenge.expires_at < now))
