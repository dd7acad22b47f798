"""Contacts at sign-in: given, or their proof put off for some days (R57). Inside a transaction."""

from collections.abc import Callable
from datetime import datetime, timedelta

from idp.accounts import channels, contacts
from idp.accounts.contacts import Contacts
from idp.accounts.models import Account
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction


def due(account: Account, reason: str | None, now: datetime, deferral: timedelta) -> dict[str, bool]:
    """The facts of a sign-in (D21): asked of everyone without a proven contact; put off for some days, but not past a change of password (`reason`).

    Who gave none that can be reached from here is asked for one.
    """
    put_off = account.contacts_put_off_at is not None and now < account.contacts_put_off_at + deferral
    asked = not (account.mobile_proven_at or account.email_proven_at) and (reason is not None or not put_off)
    given = account.contacts_given_at is not None and bool(channels.ways(account))
    return {"contacts_due": asked and not given, "proof_due": asked}


def may_put_off(account: Account, now: datetime, deferral: timedelta) -> bool:
    """R57: for `deferral` from the first time on; never for officers, who belong to no enterprise."""
    if not deferral or account.enterprise_id is None:
        return False
    return account.contacts_put_off_at is None or now < account.contacts_put_off_at + deferral


def _asked(row: SignInTransaction, now: datetime) -> bool:
    return steps.contacts_needed(row, now) or steps.proof_needed(row, now)


def held(
    row: SignInTransaction, needed: Callable[[SignInTransaction, datetime], bool], now: datetime, *, proven_here: bool = False
) -> Account | None:
    """The account, held, while none of its contacts is proven; once one is, both steps are passed.

    A sign-in that began before may be a stranger's with the password: it neither replaces what was proven nor adds to it (R57). `proven_here`:
    what this very sign-in has proven does not count.
    """
    account = flow.hold_account(row, needed, now)
    own = proven_here and row.facts.get("proven_here")
    if account is not None and not own and (account.mobile_proven_at or account.email_proven_at):
        flow.record(row, contacts_due=False, proof_due=False)
        return None
    return account


def put_off(row: SignInTransaction, now: datetime, deferral: timedelta) -> bool:
    """【稍后验证】; False if the days are over."""
    account = held(row, _asked, now)
    if account is None:
        return True
    if not may_put_off(account, now, deferral):
        return False
    account.contacts_put_off_at = account.contacts_put_off_at or now
    flow.record(row, contacts_due=False, proof_due=False)
    return True


def given(row: SignInTransaction, found: Contacts, now: datetime) -> None:
    """The person gave contacts; codes leave with the next page."""
    account = held(row, steps.contacts_needed, now)
    if account is not None:
        contacts.give(account, found, now)
        flow.record(row, contacts_due=False, proof_sent=False)
