"""Contacts at sign-in: given, or put off for some days (R57). Inside a transaction."""

from datetime import datetime, timedelta

from idp.accounts import contacts
from idp.accounts.contacts import Contacts
from idp.accounts.models import Account
from idp.db import session
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction


def may_put_off(account: Account, now: datetime, deferral: timedelta) -> bool:
    """R57: for `deferral` from the first time on."""
    return bool(deferral) and (account.contacts_put_off_at is None or now < account.contacts_put_off_at + deferral)


def put_off(row: SignInTransaction, now: datetime, deferral: timedelta) -> bool:
    """【稍后验证】; False if the days are over."""
    if not flow.hold(row, steps.contacts_needed, now):
        return True
    account = session.get_one(Account, row.account_id)
    if not may_put_off(account, now, deferral):
        return False
    account.contacts_put_off_at = account.contacts_put_off_at or now
    flow.record(row, contacts_due=False)
    return True


def given(row: SignInTransaction, found: Contacts, now: datetime) -> None:
    """The person gave contacts."""
    if not flow.hold(row, steps.contacts_needed, now):
        return
    contacts.give(session.get_one(Account, row.account_id), found, now)
    flow.record(row, contacts_due=False)
