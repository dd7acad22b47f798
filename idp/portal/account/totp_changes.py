"""Switching the authenticator app on and off: the proven contacts are told, the other sessions end (R75, threats G). Inside a transaction."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from idp.accounts import notices, roles, totp
from idp.accounts.models import Account
from idp.db import session
from idp.errors import Refusal
from idp.sessions import lifecycle

OnEnd = Callable[[Any, datetime], None]


def by_link_only(account_id: int) -> bool:
    """R90: an officer's app is set up through an enrolment link, and switched off by a new one only."""
    return bool(roles.held(account_id))


def begin(account_id: int, session_id: int, secret: str, now: datetime) -> str | None:
    """The secret that this session sets up; None if nothing is to be set up here."""
    return None if by_link_only(account_id) else totp.begin(account_id, session_id, secret, now)


def switch_on(account_id: int, session_id: int, typed: str, secret: str, now: datetime, on_end: OnEnd) -> list[str] | Refusal:
    """By a first code; returns the recovery codes."""
    account = _held(account_id)
    if by_link_only(account_id):
        return Refusal("totp_over", "code")
    codes = totp.confirm(account_id, session_id, typed, secret, now)
    if not isinstance(codes, Refusal):
        notices.announce("totp_on", account, now)
        lifecycle.end_all(account_id, "totp_changed", now, on_end, keep=session_id)
    return codes


def switch_off(account_id: int, session_id: int, now: datetime, on_end: OnEnd) -> bool:
    """Whoever holds the account's row has proven the app just now; the session that stays rests on it no more. False for an officer."""
    account = _held(account_id)
    if by_link_only(account_id):
        return False
    if totp.switch_off(account_id, now):
        notices.announce("totp_off", account, now)
        lifecycle.end_all(account_id, "totp_changed", now, on_end, keep=session_id)
        lifecycle.lose_app(session_id)
    return True


def new_codes(account_id: int, secret: str, now: datetime) -> list[str] | None:
    """Other recovery codes; None if no app is on."""
    account = _held(account_id)
    codes = totp.new_recovery_codes(account_id, secret, now)
    if codes is not None:
        notices.announce("recovery_codes_made", account, now)
    return codes


def _held(account_id: int) -> Account:
    """Held before anything else, as at the end of a sign-in, which so sees either all of the change or nothing."""
    return session.get_one(Account, account_id, populate_existing=True, with_for_update=True)
