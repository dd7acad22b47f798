"""Send a code, and use it up (R58, threats G). Plain values only; `send`, `spend`, `forget` and `sweep` run inside a transaction.

A code belongs to its purpose, its subject (what its caller names: a transaction, an account) and the recipient it went to. `secret` is the
master secret.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idp import opaque_tokens, typed_digits
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.i18n import DEFAULT
from idp.one_time_codes import caps, delivery
from idp.one_time_codes.models import OneTimeCode

Channel = Literal["mobile", "email"]
DIGITS = 6
LIFE = timedelta(minutes=10)
MOST_TRIES = 5
RESEND = timedelta(seconds=60)


@dataclass(frozen=True)
class Sent:
    """A code is on its way: good until `expires_at`; another one may be sent from `again_at` on."""

    again_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Wait:
    """The last one is too fresh; it is still good."""

    until: datetime


@dataclass(frozen=True)
class TooMany:
    """The recipient, the account, the network or everybody together had all codes of this hour or day (caps.py)."""

    until: datetime


def send(
    purpose: str,
    subject: str,
    channel: Channel,
    recipient: str,
    now: datetime,
    *,
    secret: str,
    account_id: int | None = None,
    proven: bool = False,
    budget: str = "",
    locale: str = DEFAULT,
    deliver: bool = True,
) -> Sent | Wait | TooMany:
    """Put a fresh code on its way to `recipient` (E.164, or an address), whose older one of this purpose and subject dies.

    `purpose` (at most 32 characters) picks the words `message.code.<purpose>`; `subject` at most 80 characters. `account_id` is for the audit.
    `proven`: a code has proven before that the recipient is this account's. `budget`: what is counted beside the recipient in its place, where
    nothing may tell whether there is such an account.
    `deliver=False`: every motion but the message, for pages that must not tell whether anybody has that contact.
    """
    addressee = _addressee(secret, channel, recipient)
    fresh = session.get(OneTimeCode, (purpose, subject), populate_existing=True)
    if fresh is not None and fresh.recipient == addressee and now < fresh.sent_at + RESEND:
        return Wait(fresh.sent_at + RESEND)
    counted = _budget(addressee, f"{account_id}" if proven else "", budget, secret)
    asked = caps.Asked(channel, addressee, counted, account_id, leaves=deliver)
    full = caps.claim(asked, now, hush=bool(budget))
    if full is not None:
        audit.code_refused(now, account_id=account_id, purpose=purpose, reason=full.reason)
        return TooMany(full.until)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    digest = _digest(secret, purpose, subject, addressee, code)
    if not _write(purpose, subject, channel, addressee, digest, now):
        return Wait(now + RESEND)  # another request was first
    if deliver and budget and not caps.reaches(asked, now):
        audit.code_refused(now, account_id=account_id, purpose=purpose, reason="too_many")
    elif deliver:
        delivery.enqueue(delivery.Letter(purpose, subject, channel, recipient, code, digest, locale), secret, now)
        audit.code_sent(now, account_id=account_id, purpose=purpose, channel=channel)
    return Sent(now + RESEND, now + LIFE)


def _write(purpose: str, subject: str, channel: Channel, addressee: str, digest: str, now: datetime) -> bool:
    """One upsert in the older one's place; False for all but one of many requests at once."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"channel": channel, "recipient": addressee, "digest": digest, "sent_at": now, "expires_at": now + LIFE, "tries": 0, "spent_at": None}
    upsert = insert(OneTimeCode).values(purpose=purpose, subject=subject, **values)
    due = or_(OneTimeCode.sent_at <= now - RESEND, OneTimeCode.recipient != addressee)
    return spend_once(upsert.on_conflict_do_update(index_elements=["purpose", "subject"], set_=values, where=due))


def pending(purpose: str, subject: str, recipient: str, now: datetime, *, secret: str, channel: Channel) -> Sent | None:
    """The code that this recipient can still type, for the page."""
    alive = select(OneTimeCode).where(*_alive(purpose, subject, _addressee(secret, channel, recipient), now))
    row = session.scalar(alive.execution_options(populate_existing=True))
    return None if row is None else Sent(row.sent_at + RESEND, row.expires_at)


def spend(
    purpose: str,
    subject: str,
    typed: str,
    now: datetime,
    *,
    channel: Channel,
    recipient: str,
    secret: str,
    account_id: int | None = None,
) -> Literal["ok", "wrong", "over"]:
    """Use the code up that went to this recipient: `ok` for exactly one caller. Commit whatever it says: a wrong try counts.

    `wrong` leaves another try; `over`: too old, used, tried five times, for somebody else, or never sent; only a new one helps. What cannot be a
    code at all (see typed_digits) is `wrong` and no try.
    """
    digits = typed_digits.read(typed)
    if digits is None or len(digits) != DIGITS:
        return "wrong"
    addressee = _addressee(secret, channel, recipient)
    alive = _alive(purpose, subject, addressee, now)
    # the try is counted before the code is looked at: of fifty at once five are judged
    if not spend_once(update(OneTimeCode).where(*alive).values(tries=OneTimeCode.tries + 1)):
        audit.code_refused(now, account_id=account_id, purpose=purpose, reason="over")
        return "over"
    mine = (OneTimeCode.purpose == purpose, OneTimeCode.subject == subject)
    right = OneTimeCode.digest == _digest(secret, purpose, subject, addressee, digits)
    if spend_once(update(OneTimeCode).where(*mine, right, OneTimeCode.spent_at.is_(None)).values(spent_at=now)):
        audit.code_accepted(now, account_id=account_id, purpose=purpose)
        return "ok"
    audit.code_refused(now, account_id=account_id, purpose=purpose, reason="wrong")
    tries = session.execute(select(OneTimeCode.tries).where(*mine)).scalar_one()
    return "wrong" if tries < MOST_TRIES else "over"


def forget(purpose: str, subject: str) -> None:
    """End the code of this purpose and subject, if there is one."""
    session.execute(delete(OneTimeCode).where(OneTimeCode.purpose == purpose, OneTimeCode.subject == subject))


def sweep(now: datetime) -> None:
    """Forget what is over (a job of the worker)."""
    session.execute(delete(OneTimeCode).where(OneTimeCode.expires_at < now))


def _alive(purpose: str, subject: str, addressee: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    mine = (OneTimeCode.purpose == purpose, OneTimeCode.subject == subject, OneTimeCode.recipient == addressee)
    return (*mine, OneTimeCode.spent_at.is_(None), OneTimeCode.expires_at > now, OneTimeCode.tries < MOST_TRIES)


def _addressee(secret: str, channel: str, recipient: str) -> str:
    # mailboxes are one in every case, so that no spelling has a budget of its own
    recipient = recipient.casefold()
    return opaque_tokens.keyed_digest(secret, "code-recipient", f"{channel}:{recipient}")


def _budget(addressee: str, owner: str, named: str, secret: str) -> str:
    if named:
        return opaque_tokens.keyed_digest(secret, "code-budget", f"{named}:{addressee}")
    return f"{owner}:{addressee}" if owner else addressee


def _digest(secret: str, purpose: str, subject: str, addressee: str, code: str) -> str:
    return opaque_tokens.keyed_digest(secret, "one-time-code", f"{purpose}\n{subject}\n{addressee}\n{code}")
