"""The emergency withdrawal of a key (R90): filed at the desk or at the command line, done once another officer has confirmed it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from idp.db import session
from idp.ekey import withdrawal
from idp.ekey.withdrawal import OnLost
from idp.errors import Refusal
from idp.key_register import reports
from idp.key_register.models import EKey
from idp.second_person import rules as second_person
from idp.second_person.rules import Acts, Filer

KIND = "ekey.withdraw"


def file(serial: str, reason: str, by: Filer, acts: Acts, now: datetime) -> int | Refusal:
    """Ask another officer to withdraw the key (inside a transaction); the request's number."""
    if session.get(EKey, serial) is None:
        return Refusal("key_not_listed")
    return _over(serial) or second_person.file(KIND, serial, {"serial": serial}, reason, by, acts, now)


def withdraw(details: Mapping[str, Any], on_lost: OnLost, now: datetime) -> Refusal | None:
    """Do it, once it is confirmed (inside a transaction)."""
    return None if withdrawal.withdraw(details["serial"], now, on_lost, "officer") is not None else Refusal("key_over")


def _over(serial: str) -> Refusal | None:
    report = reports.live(serial)
    return Refusal("key_over") if report is not None and report.word in reports.FINAL else None
