"""When each step is needed. Reads only the transaction's facts; the order stands in app.py."""

from datetime import datetime

from idp.signin.models import SignInTransaction


def password_needed(row: SignInTransaction, _now: datetime) -> bool:
    """Until a password was right in this transaction."""
    return "password_at" not in row.facts


def choose_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the password fitted several accounts of that name (D9)."""
    return row.account_id is None


def change_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When a new password is due (R12, R40, R54): nothing leads past it."""
    return bool(row.facts.get("change_due"))


def contacts_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When nobody has proven or given a contact yet (R29, D21)."""
    return bool(row.facts.get("contacts_due"))


def ekey_needed(row: SignInTransaction, _now: datetime) -> bool:
    """When the caller demands the e-key or the person wants to use it, until it was right or, where it is not demanded, skipped."""
    return "ekey_at" not in row.facts and (row.facts.get("ekey") == "must" or bool(row.facts.get("ekey_wanted")))
