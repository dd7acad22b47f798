"""Contacts at sign-in: given, or their proof put off for some days (R57). Inside a transaction."""

from datetime import datetime, timedelta

from idp.accounts import channels, contacts
from idp.accounts.contacts import Contacts
from idp.accounts.models import Account
from idp.db import session
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


def put_off(row: SignInTransaction, now: datetime, deferral: timedelta) -> bool:
    """【稍后验证】; False if the days are over."""
    if not flow.hold(row, _asked, now):
        return True
    account = session.get_one(Account, row.account_id)
    if not may_put_off(account, now, deferral):
        return False
    account.contacts_put_off_at = account.contacts_put_off_at or now
    flow.record(row, contacts_due=False, proof_due=False)
    return True


def given(row: SignInTransaction, found: Contacts, now: datetime) -> None:
    """The person gave contacts; codes leave with the next page."""
    if not flow.hold(row, steps.contacts_needed, now):
        return
    contacts.give(session.get_one(Account, row.account_id), found, now)
    flow.record(row, contacts_due=False, proof_sent=False)
