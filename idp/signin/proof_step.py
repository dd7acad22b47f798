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
from idp.db import session
from idp.errors import Refusal
from idp.one_time_codes import codes, refusals
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction

PURPOSE = "contacts"
# whatever numbers are tried: nobody pesters the world through one account
PER_ACCOUNT = limits.Rule("contacts.codes.day", 20, 24 * 3600)


@dataclass(frozen=True)
class Sending:
    """How codes leave: the master secret, the language of the message."""

    secret: str
    locale: str


def subject(row: SignInTransaction, way: Way) -> str:
    """What the code is bound to beside purpose and recipient."""
    return f"{row.id}:{way.channel}"


def arrive(row: SignInTransaction, sending: Sending, now: datetime) -> None:
    """The page is seen for the first time, or with other contacts: codes leave unasked."""
    if not flow.hold(row, steps.proof_needed, now) or row.facts.get("proof_sent"):
        return
    flow.record(row, proof_sent=True)
    for way in channels.ways(session.get_one(Account, row.account_id)):
        if not way.proven:
            _send(row, way, sending, now)


def again(row: SignInTransaction, channel: str, sending: Sending, now: datetime) -> Refusal | None:
    """Another code to this contact; None = it is on its way."""
    if not flow.hold(row, steps.proof_needed, now):
        return None
    account = session.get_one(Account, row.account_id)
    way = next((way for way in channels.ways(account) if way.channel == channel and not way.proven), None)
    return _send(row, way, sending, now) if way is not None else Refusal("other")


def _send(row: SignInTransaction, way: Way, sending: Sending, now: datetime) -> Refusal | None:
    field = f"{way.channel}_code"
    taken = limits.take(PER_ACCOUNT, str(row.account_id), now)
    if not taken.allowed:
        return Refusal("code_too_many", field, {"until": taken.retry_at})
    mine = {"secret": sending.secret, "account_id": row.account_id, "locale": sending.locale}
    sent = codes.send(PURPOSE, subject(row, way), way.channel, way.recipient, now, **mine)  # type: ignore[arg-type]  # a dict of unlike values
    return refusals.of_sending(sent, field, way.channel, now)


def judge(row: SignInTransaction, typed: Mapping[str, str], sending: Sending, now: datetime) -> list[Refusal]:
    """Judge the codes by channel; no refusal = one contact is proven and the step is passed. What was right counts beside what was wrong."""
    if not flow.hold(row, steps.proof_needed, now):
        return []
    account = session.get_one(Account, row.account_id, populate_existing=True, with_for_update=True)
    open_ways = [way for way in channels.ways(account) if not way.proven]
    found = [_one(row, account, way, typed[way.channel], sending, now) for way in open_ways if typed.get(way.channel, "").strip()]
    faults = [fault for fault in found if fault]
    if not faults and not channels.proven(account):
        return [Refusal("code_missing", f"{open_ways[0].channel}_code" if open_ways else "")]
    if not faults:
        flow.record(row, proof_due=False)
    return faults


def _one(row: SignInTransaction, account: Account, way: Way, typed: str, sending: Sending, now: datetime) -> Refusal | None:
    mine = (PURPOSE, subject(row, way), typed, now)
    outcome = codes.spend(*mine, channel=way.channel, recipient=way.recipient, secret=sending.secret, account_id=account.id)
    if outcome == "ok":
        contacts.prove(account, way.channel, now)
    return refusals.of_typing(outcome, f"{way.channel}_code", way.channel)


def change(row: SignInTransaction, now: datetime) -> None:
    """【更改】: the contacts are asked for once more; new ones get codes of their own."""
    if flow.hold(row, steps.proof_needed, now):
        flow.record(row, contacts_due=True)
