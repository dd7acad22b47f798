"""The step of a one-time code beside the password: where rights rest on it because a key is damaged, and before a key is reported (R68).

What is due stands in the fact `code_due`: "proven" (contacts proven before) | "given" (also what the person only gave) | "none" (there is no
contact, and nothing else leads on). Each function that writes runs inside a transaction.
"""

from datetime import datetime

from idp.accounts import channels
from idp.accounts.channels import Way
from idp.accounts.models import Account
from idp.adapters import BEIJING
from idp.db import session
from idp.entitlements import rules
from idp.errors import Refusal
from idp.one_time_codes import codes, refusals
from idp.sessions.models import Session
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction

PURPOSE = "ekey"


def due(row: SignInTransaction, account: Account, now: datetime) -> str:
    """What this sign-in must ask for; "" = nothing."""
    report = row.facts.get("report")
    if not report:
        return "proven" if rules.asks_code(account.id, now.astimezone(BEIJING).date()) else ""
    # who reports while signed in and has no contact has proven as much as there is
    return "given" if channels.ways(account) else "" if _own(report.partition(":")[0], account) else "none"


def _own(session_id: str, account: Account) -> bool:
    """Whether the session that began the report ("public": none did) is one of this very account, which its password brought here."""
    began = session.get(Session, int(session_id), populate_existing=True) if session_id.isdecimal() else None
    return began is not None and began.account_id == account.id and began.epoch == account.epoch and began.ended_at is None


def missed(row: SignInTransaction, account: Account, now: datetime) -> bool:
    """Whether a key of the account was reported damaged since the password was typed, so that the code was not asked for; it is from now on."""
    if "session" in row.facts or row.facts.get("code_due") or due(row, account, now) != "proven":
        return False
    flow.record(row, code_due="proven")
    return steps.code_needed(row, now)


def ways(row: SignInTransaction) -> list[Way]:
    """Where the code may go."""
    account = flow.account_of(row)
    return channels.proven(account) if row.facts.get("code_due") == "proven" else channels.ways(account)


def _subject(row: SignInTransaction) -> str:
    return f"signin:{row.id}"


def _chosen(row: SignInTransaction, channel: str) -> Way | None:
    return next((way for way in ways(row) if way.channel == channel), None)


def send(row: SignInTransaction, channel: str, secret: str, now: datetime) -> Refusal | None:
    """Send a code to this contact; None = it is on its way, or a fresh one still is good."""
    way = _chosen(row, channel) if flow.hold_account(row, steps.code_needed, now) is not None else None
    if way is None:
        return Refusal("code_channel", "channel")
    sent = codes.send(PURPOSE, _subject(row), way.channel, way.recipient, now, secret=secret, account_id=row.account_id, proven=way.proven)
    if not isinstance(sent, codes.TooMany):
        flow.record(row, code_channel=channel)
    return refusals.of_sending(sent, "channel", channel, now)


def prove(row: SignInTransaction, typed: str, secret: str, now: datetime) -> Refusal | None:
    """Judge the code; None = right, or the step is passed already."""
    if flow.hold_account(row, steps.code_needed, now) is None:
        return None
    way = _chosen(row, row.facts.get("code_channel", ""))
    if way is None:
        return Refusal("code_channel", "channel")
    to, subject = way.recipient, _subject(row)
    outcome = codes.spend(PURPOSE, subject, typed, now, channel=way.channel, recipient=to, secret=secret, account_id=row.account_id)
    if outcome == "ok":
        flow.record(row, code_at=now.isoformat(), code_by="proven" if way.proven else "given")
    return refusals.of_typing(outcome, "code", way.channel)
