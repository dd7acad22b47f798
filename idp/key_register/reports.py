"""The platform's own word on a key: reported lost or damaged, withdrawn, replaced (R68). The office's list never lifts it.

At most one word counts at a time, and only a damage can be followed by another one. Each writing function runs inside a transaction.
"""

import secrets
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from idp.adapters import BEIJING
from idp.db import session
from idp.key_register.models import EKey, EKeyReport

DAMAGED = "damaged"
FINAL = ("lost", "withdrawn", "replaced")
# without what can be taken for something else on paper or on the telephone
_LETTERS = "2345679ACDEFGHJKLMNPQRTUVWXYZ"
_LETTERS_OF_A_NUMBER = 8


@dataclass(frozen=True)
class Said:
    """The word that counts on a key, and whether it was said just now."""

    report: EKeyReport
    new: bool


def live(serial: str) -> EKeyReport | None:
    """The word that counts on this key; None = the office's alone."""
    return session.scalar(select(EKeyReport).where(EKeyReport.serial == serial, EKeyReport.ended_at.is_(None)))


def say(serial: str, word: str, how: str, account_id: int | None, now: datetime, rights_until: date | None = None) -> Said:
    """Let `word` (damaged | lost | withdrawn | replaced) count from now on, unless it or a final one counts already: of two at once one is said."""
    # the office's row is held, so that the second of two finds the first one's word
    session.scalar(select(EKey.serial).where(EKey.serial == serial).with_for_update())
    before = live(serial)
    if before is not None:
        if before.word in (word, *FINAL):
            return Said(before, new=False)
        before.ended_at = now
    row = EKeyReport(number=_number(now), serial=serial, word=word, how=how, account_id=account_id, at=now, rights_until=rights_until)
    session.add(row)
    session.flush()
    return Said(row, new=True)


def lift(serial: str, now: datetime) -> bool:
    """The key works after all: only a damage can be taken back; False if none counts."""
    session.scalar(select(EKey.serial).where(EKey.serial == serial).with_for_update())
    before = live(serial)
    if before is None or before.word != DAMAGED:
        return False
    before.ended_at = now
    session.flush()
    return True


def fault(word: str | None) -> str | None:
    """Why a key with this word proves nothing; None without one."""
    return None if word is None else f"key_{word}"


def right_fault(word: str | None, rights_until: date | None, today: date) -> str | None:
    """Why a key with this word gives no right on this day, in Beijing; None if it does. A damaged one does for some days."""
    if word == DAMAGED and rights_until is not None:
        return None if today <= rights_until else "key_damaged"
    return "key_damaged_closed" if word == DAMAGED else fault(word)


def _number(now: datetime) -> str:
    return f"{now.astimezone(BEIJING):%Y%m%d}-{''.join(secrets.choice(_LETTERS) for _ in range(_LETTERS_OF_A_NUMBER))}"
