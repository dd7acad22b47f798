"""What the outbox says after a sign-in: the contacts of merged users learn that their old passwords have died (R62)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp.accounts.imported_contacts import former_contacts
from idp.accounts.models import Account
from idp.adapters import Adapters
from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.messages import words
from idp.outbox.queue import enqueue

OLD_PASSWORDS_DIED = "old_passwords_died"
# the same where a strong one of them stays (R56)
ONE_KEPT = "old_password_kept"


def announce_old_passwords_died(account_id: int, secret: str, now: datetime, *, kept: bool = False) -> None:
    """One item per distinct imported contact, in the commit that killed the old passwords; disabled rows' people are told too.

    `kept`: the one that was typed goes on as the platform's.
    """
    for contact in former_contacts(account_id, disabled_too=True):
        enqueue(OLD_PASSWORDS_DIED, {"account_id": account_id, "contact": contact.key(secret), "kept": kept}, now)


def tell_old_passwords_died(adapters: Adapters, telephone: str, secret: str) -> Callable[[dict[str, Any]], None]:
    """The handler: look the contact up again and write to it; OSError = try again."""

    def handle(payload: dict[str, Any]) -> None:
        account = session.get(Account, payload["account_id"])
        contact = next((c for c in former_contacts(payload["account_id"], disabled_too=True) if c.key(secret) == payload["contact"]), None)
        if account is None or contact is None:  # the merge was taken back meanwhile: nobody to tell
            return
        systems = session.scalars(select(BusinessSystem.name).where(BusinessSystem.code.in_(contact.systems)).order_by(BusinessSystem.position)).all()
        name, value, kind = account.canonical_name, contact.value, contact.kind
        session.rollback()
        message = ONE_KEPT if payload.get("kept") else OLD_PASSWORDS_DIED
        text = words.text(message, system="、".join(systems), name=name, phone=telephone)
        if kind == "mobile":
            adapters.sms.send(value, text)
        else:
            adapters.mail.send(value, words.subject(message), text)

    return handle
