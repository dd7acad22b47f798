"""The proof of contacts at sign-in: a code to each that was given; one proven contact is enough to go on (R57).

Each function runs inside a transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from idp import limits
from idp.accounts import channels, contacts
from idp.accounts.channels import Way
from idp.accounts.models import Account
from idp.errors import Refusal
from idp.one_time_codes import codes, refusals
from idp.signin import contacts_step, flow, steps
from idp.signin.models import SignInTransaction

PURPOSE = "contacts"


@dataclass(frozen=True)
class Sending:
    """How codes leave: the master secret, the language of the message."""

    secret: str
    locale: str


def subject(row: SignInTransaction, way: Way) -> str:
    """What the code is bound to beside purpose and recipient."""
    return f"{row.id}:{way.channel}"


def _held(row: SignInTransaction, now: datetime) -> Account | None:
    return contacts_step.held(row, steps.proof_needed, now, proven_here=True)


def arrive(row: SignInTransaction, sending: Sending, now: datetime) -> None:
    """The page is seen: codes leave unasked the first time, and with other contacts."""
    account = _held(row, now)
    if account is None or row.facts.get("proof_sent"):
        return
    flow.record(row, proof_sent=True)
    for way in channels.ways(account):
        if not way.proven:
            _send(row, way, sending, now)


def again(row: SignInTransaction, channel: str, sending: Sending, now: datetime) -> Refusal | None:
    """Another code to this contact; None = it is on its way."""
    account = _held(row, now)
    if account is None:
        return None
    way = next((way for way in channels.ways(account) if way.channel == channel and not way.proven), None)
    return _send(row, way, sending, now) if way is not None else Refusal("other")


def _send(row: SignInTransaction, way: Way, sending: Sending, now: datetime) -> Refusal | None:
    field = f"{way.channel}_code"
    budget = limits.peek(contacts.CODES_PER_ACCOUNT, str(row.account_id), now)
    if not budget.allowed:
        return Refusal("code_too_many", field, {"until": budget.retry_at})
    mine = {"secret": sending.secret, "account_id": row.account_id, "locale": sending.locale}
    sent = codes.send(PURPOSE, subject(row, way), way.channel, way.recipient, now, **mine)  # type: ignore[arg-type]  # a dict of unlike values
    # only what was sent is charged; the account is held, so nobody else sends in between
    if isinstance(sent, codes.Sent):
        limits.take(contacts.CODES_PER_ACCOUNT, str(row.account_id), now)
    return refusals.of_sending(sent, field, way.channel, now)


def judge(row: SignInTransaction, typed: Mapping[str, str], sending: Sending, now: datetime) -> list[Refusal]:
    """Judge the codes by channel; no refusal = one contact is proven and the step is passed. What was right counts beside what was wrong."""
    account = _held(row, now)
    if account is None:
        return []
    open_ways = [way for way in channels.ways(account) if not way.proven]
    found = [_one(row, account, way, typed[way.channel], sending, now) for way in open_ways if typed.get(way.channel, "").strip()]
    faults = [fault for fault in found if fault]
    if not faults and not channels.proven(account):
        return [Refusal("code_missing", f"{open_ways[0].channel}_code" if open_ways else "")]
    if not faults:
        flow.record(row, contacts_due=False, proof_due=False)
    return faults


def _one(row: SignInTransaction, account: Account, way: Way, typed: str, sending: Sending, now: datetime) -> Refusal | None:
    mine = (PURPOSE, subject(row, way), typed, now)
    outcome = codes.spend(*mine, channel=way.channel, recipient=way.recipient, secret=sending.secret, account_id=account.id)
    if outcome == "ok":
        contacts.prove(account, way.channel, now)
        flow.record(row, proven_here=True)
    return refusals.of_typing(outcome, f"{way.channel}_code", way.channel)


def change(row: SignInTransaction, now: datetime) -> None:
    """【更改】: the contacts are asked for once more, while none is proven; new ones get codes of their own."""
    if contacts_step.held(row, steps.proof_needed, now) is not None:
        flow.record(row, contacts_due=True)
