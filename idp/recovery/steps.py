"""When each page of a recovery is needed. Reads only the transaction's facts; the order stands in app.py."""

from datetime import datetime

from idp.signin.models import SignInTransaction
from idp.signin.steps import recovering


def recover_needed(row: SignInTransaction, _now: datetime) -> bool:
    """Until somebody has typed a name and a contact, or shown a key."""
    return recovering(row) and row.account_id is None and not row.facts.get("recover_to")


def code_needed(row: SignInTransaction, _now: datetime) -> bool:
    """Until the code was right that went to that contact, if it is anybody's."""
    return recovering(row) and row.account_id is None and not row.facts.get("choices")


def second_needed(row: SignInTransaction, _now: datetime) -> bool:
    """R59: after a contact that only an old system had, until a second one or the e-key was right as well."""
    return bool(row.facts.get("second_due")) and "ekey_at" not in row.facts and "second_at" not in row.facts


def recovered_needed(row: SignInTransaction, _now: datetime) -> bool:
    """To the end, so that no session ever comes of it (threats G)."""
    return recovering(row)
