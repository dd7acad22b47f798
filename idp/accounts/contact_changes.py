"""Changing a contact (R57): a code to the new one, and beside the password a second proof; with none it takes effect after 72 hours.

Whoever changes it has proven the password lately (the view asks). Each function that writes runs inside a transaction and holds the account first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update

from idp import limits, opaque_tokens
from idp.accounts import channels, contacts, notices, totp
from idp.accounts.channels import Way
from idp.accounts.contact_models import ContactChange
from idp.accounts.models import Account
from idp.adapters import BEIJING
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.errors import Refusal
from idp.one_time_codes import codes, refusals
from idp.sessions.models import Session

PURPOSE = "contacts"
# the messages, each with the kind of contact behind a dot
WAITS, CHANGED, STOPPED = "contact_waits", "contact_changed", "contact_stopped"
WAIT = timedelta(hours=72)
# a change that nobody goes on with is forgotten
OPEN = timedelta(hours=1)
LATELY = timedelta(minutes=10)
TOKEN_CHARACTERS = 43
LARGEST_NUMBER = 2**31 - 1
Kind = Literal["mobile", "email"]


@dataclass(frozen=True)
class Sending:
    """Under what messages leave: the master secret, the language, the platform's address (for the link that stops a change)."""

    secret: str
    locale: str
    issuer: str


def begin(account_id: int, kind: Kind, value: str, sending: Sending, now: datetime) -> ContactChange | Refusal:
    """Note the new contact (normalised) and send it a code; what was under way for this kind is over."""
    account = _held(account_id)
    if channels.among(channels.proven(account), kind, value):
        return Refusal("contact_same", kind)
    mine = (ContactChange.account_id == account_id, ContactChange.kind == kind, ContactChange.ended_at.is_(None))
    session.execute(update(ContactChange).where(*mine).values(ended_at=now, outcome="replaced"))
    change = ContactChange(account_id=account_id, kind=kind, value=value, begun_at=now)
    session.add(change)
    session.flush()
    refusal = _send_new(change, sending, now)
    return refusal or change


def find(account_id: int, number: int, now: datetime) -> ContactChange | None:
    """One of this account's changes that can still be gone on with."""
    change = session.get(ContactChange, number, populate_existing=True) if number <= LARGEST_NUMBER else None
    alive = change is not None and change.ended_at is None and (change.due_at is not None or now < change.begun_at + OPEN)
    return change if alive and change is not None and change.account_id == account_id else None


def waiting(account_id: int) -> list[ContactChange]:
    """The changes that will take effect by themselves."""
    mine = (ContactChange.account_id == account_id, ContactChange.ended_at.is_(None), ContactChange.due_at.is_not(None))
    return list(session.scalars(select(ContactChange).where(*mine).order_by(ContactChange.id)))


# --- the new contact ------------------------------------------------------------------------------------------------------------------------


def subject(change: ContactChange) -> str:
    """What the code to the new contact belongs to."""
    return f"change:{change.id}"


def send_new(account_id: int, number: int, sending: Sending, now: datetime) -> Refusal | None:
    """Another code to the new contact; None = it is on its way."""
    _held(account_id)
    change = find(account_id, number, now)
    return _send_new(change, sending, now) if change is not None and change.proven_at is None else Refusal("contact_over")


def _send_new(change: ContactChange, sending: Sending, now: datetime) -> Refusal | None:
    budget = limits.peek(contacts.CODES_PER_ACCOUNT, str(change.account_id), now)
    if not budget.allowed:
        return Refusal("code_too_many", change.kind, {"until": budget.retry_at})
    to = (change.kind, change.value)
    sent = codes.send(PURPOSE, subject(change), *to, now, secret=sending.secret, account_id=change.account_id, locale=sending.locale)
    if isinstance(sent, codes.Sent):
        limits.take(contacts.CODES_PER_ACCOUNT, str(change.account_id), now)
    return refusals.of_sending(sent, change.kind, change.kind, now)


def prove_new(account_id: int, number: int, typed: str, sending: Sending, now: datetime) -> Refusal | None:
    """Judge the code that went to the new contact."""
    _held(account_id)
    change = find(account_id, number, now)
    if change is None or change.proven_at is not None:
        return Refusal("contact_over")
    to = {"channel": change.kind, "recipient": change.value}
    outcome = codes.spend(PURPOSE, subject(change), typed, now, **to, secret=sending.secret, account_id=account_id)  # type: ignore[arg-type]
    if outcome == "ok":
        change.proven_at = now
    return refusals.of_typing(outcome, "code", change.kind)


# --- the second proof -----------------------------------------------------------------------------------------------------------------------


def others(account: Account, change: ContactChange) -> list[Way]:
    """The account's other proven contact, where a second code may go."""
    return [way for way in channels.proven(account) if way.channel != change.kind]


def second_proof(account: Account, change: ContactChange, session_id: int, now: datetime) -> str | None:
    """What stands beside the password: first (there is nobody to ask yet) | code | totp | ekey; None = nothing yet."""
    if not channels.ever_proven(account) and not totp.is_on(account.id):
        return "first"
    if change.second_at is not None and now < change.second_at + LATELY:
        return "code"
    present = session.get(Session, session_id, populate_existing=True)
    if present is None or present.ended_at is not None or present.account_id != account.id:
        return None
    proofs = (("totp", present.totp_at), ("ekey", present.ekey_at))
    return next((name for name, at in proofs if at is not None and now < at + LATELY), None)


def _other_subject(change: ContactChange) -> str:
    return f"change:{change.id}:other"


def pending_other(change: ContactChange, way: Way, secret: str, now: datetime) -> codes.Sent | None:
    """The code to the other contact that can still be typed."""
    return codes.pending(PURPOSE, _other_subject(change), way.recipient, now, secret=secret, channel=way.channel)


def send_other(account_id: int, number: int, sending: Sending, now: datetime) -> Refusal | None:
    """A code to the other contact; None = it is on its way."""
    account, change = _held(account_id), find(account_id, number, now)
    way = next(iter(others(account, change)), None) if change is not None else None
    if change is None or way is None:
        return Refusal("contact_over")
    mine = {"secret": sending.secret, "account_id": account_id, "proven": True, "locale": sending.locale}
    sent = codes.send(PURPOSE, _other_subject(change), way.channel, way.recipient, now, **mine)  # type: ignore[arg-type]  # a dict of unlike values
    return refusals.of_sending(sent, "other_code", way.channel, now)


def prove_other(account_id: int, number: int, typed: str, sending: Sending, now: datetime) -> Refusal | None:
    """Judge the code that went to the other contact."""
    account, change = _held(account_id), find(account_id, number, now)
    way = next(iter(others(account, change)), None) if change is not None else None
    if change is None or way is None:
        return Refusal("contact_over")
    to = {"channel": way.channel, "recipient": way.recipient}
    outcome = codes.spend(PURPOSE, _other_subject(change), typed, now, **to, secret=sending.secret, account_id=account_id)  # type: ignore[arg-type]
    if outcome == "ok":
        change.second_at = now
    return refusals.of_typing(outcome, "other_code", way.channel)


# --- it counts ------------------------------------------------------------------------------------------------------------------------------


def settle(account_id: int, number: int, session_id: int, sending: Sending, now: datetime) -> bool:
    """Put the new contact in the old one's place, if all is proven; False = something lacks."""
    account, change = _held(account_id), find(account_id, number, now)
    if change is None or change.proven_at is None:
        return False
    by = second_proof(account, change, session_id, now)
    return by is not None and _apply(account, change, by, sending.secret, now)


def wait(account_id: int, number: int, sending: Sending, now: datetime) -> Refusal | None:
    """With no second proof: it counts after 72 hours; the contacts that stand are told how to stop it."""
    account, change = _held(account_id), find(account_id, number, now)
    if change is None or change.proven_at is None or change.due_at is not None:
        return Refusal("contact_over")
    change.due_at = now + WAIT
    audit.contact_change_waits(now, account_id=account_id, kind=change.kind)
    link = f"{sending.issuer}/contacts/stop/{change.id}/{_token(change.id, sending.secret)}"
    at = f"{change.due_at.astimezone(BEIJING):%Y-%m-%d %H:%M}"
    notices.announce(f"{WAITS}.{change.kind}", account, now, to=channels.MASKS[change.kind](change.value), at=at, link=link)
    return None


def apply_due(now: datetime, secret: str) -> None:
    """What has waited 72 hours counts (a job of the worker)."""
    due = (ContactChange.ended_at.is_(None), ContactChange.proven_at.is_not(None), ContactChange.due_at <= now)
    for number, account_id in session.execute(select(ContactChange.id, ContactChange.account_id).where(*due).order_by(ContactChange.account_id)):
        account, change = _held(account_id), session.get(ContactChange, number, populate_existing=True)
        if change is not None and change.ended_at is None:
            _apply(account, change, "wait", secret, now)


def _apply(account: Account, change: ContactChange, by: str, secret: str, now: datetime) -> bool:
    if not _end(change.id, "applied", now):
        return False
    before = [way for way in channels.proven(account) if way.channel == change.kind]
    contacts.give(account, contacts.Contacts(**{"mobile": None, "email": None, change.kind: change.value}), now)
    contacts.prove(account, change.kind, now)
    audit.contact_changed(now, account_id=account.id, kind=change.kind, by=by)
    masked = channels.MASKS[change.kind](change.value)
    notices.announce(f"{CHANGED}.{change.kind}", account, now, to=masked)
    notices.announce_to(before, f"{CHANGED}.{change.kind}", account, secret, now, to=masked)
    return True


def _end(number: int, outcome: str, now: datetime) -> bool:
    this = (ContactChange.id == number, ContactChange.ended_at.is_(None))
    return spend_once(update(ContactChange).where(*this).values(ended_at=now, outcome=outcome))


# --- and may be stopped ---------------------------------------------------------------------------------------------------------------------


def _token(number: int, secret: str) -> str:
    return opaque_tokens.keyed_digest(secret, "stop-contact-change", str(number))[:TOKEN_CHARACTERS]


def by_link(number: int, token: str, secret: str) -> ContactChange | None:
    """The change that waits and whose link this is."""
    mine = number <= LARGEST_NUMBER and opaque_tokens.same(token, _token(number, secret))
    change = session.get(ContactChange, number) if mine else None
    return change if change is not None and change.ended_at is None and change.due_at is not None else None


def stop(change: ContactChange, now: datetime) -> bool:
    """Somebody objects: it never counts. False if it is over already."""
    account = _held(change.account_id)
    stopped = _end(change.id, "stopped", now)
    if stopped:
        audit.contact_change_stopped(now, account_id=account.id, kind=change.kind)
        notices.announce(f"{STOPPED}.{change.kind}", account, now)
    return stopped


def _held(account_id: int) -> Account:
    return session.get_one(Account, account_id, populate_existing=True, with_for_update=True)
