"""The one proof after which a sensitive right of a merged account opens (R62): an e-key, or a code to a contact of that system's own row.

No other contact will do: what is protected is that system's user from whoever knew another system's password. Writing functions run inside a
transaction, with the account held.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal, cast

from sqlalchemy import delete, select

from idp import web
from idp.accounts import notices
from idp.accounts.imported_contacts import FormerContact
from idp.accounts.models import Account, AccountKey, ImportedContact
from idp.audit import catalogue as audit
from idp.db import session
from idp.entitlements import rules
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.errors import Refusal
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey
from idp.one_time_codes import codes, refusals
from idp.sessions.models import Session

PURPOSE = "right"
WAITS = "awaiting_proof"
LATELY = timedelta(minutes=10)


def waits(account_id: int, system: str, today: date) -> bool:
    """Whether this right is the account's and opens after one proof."""
    return any(right.system == system and right.reason == WAITS for right in rules.rights(account_id, today))


def contacts(account_id: int, system: str) -> Sequence[FormerContact]:
    """Where a code for this right may go: contacts of that system's enabled rows that this installation can reach, mobile numbers first."""
    own = (ImportedContact.account_id == account_id, ImportedContact.system == system, ImportedContact.enabled)
    reached = ImportedContact.kind.in_(web.runtime().settings.code_channels)
    found = session.scalars(select(ImportedContact).where(*own, reached).order_by(ImportedContact.kind.desc(), ImportedContact.value))
    return [FormerContact(row.kind, row.value, (system,)) for row in found]


def has_key(account_id: int, today: date) -> bool:
    """Whether the account has a live e-key to show."""
    keys = session.scalars(select(EKey).join(AccountKey, AccountKey.serial == EKey.serial).where(AccountKey.account_id == account_id))
    return any(dead(key, today) is None for key in keys)


def shown(account_id: int, session_id: int, now: datetime, today: date, *, hold: bool = False) -> bool:
    """Whether this session rests on a live e-key of the account that was shown within LATELY; `hold`: and so it stays until the commit."""
    found = session.get(Session, session_id, populate_existing=True, with_for_update=hold)
    if found is None or found.account_id != account_id or found.ended_at is not None or found.ekey_at is None or found.ekey_at <= now - LATELY:
        return False
    key = session.get(EKey, found.ekey_serial or "", populate_existing=True, with_for_update=hold)
    owner = session.get(AccountKey, found.ekey_serial or "", populate_existing=True)
    return key is not None and owner is not None and owner.account_id == account_id and dead(key, today) is None


def subject(account_id: int, system: str) -> str:
    """What a code of this purpose belongs to."""
    return f"right:{account_id}:{system}"


def send(account_id: int, system: str, chosen: str, secret: str, now: datetime, today: date) -> Refusal | None:
    """Send a code to the contact that the form names `chosen`; None = it is on its way."""
    _hold(account_id)
    contact = _chosen(account_id, system, chosen, secret, today)
    if contact is None:
        return Refusal("code_channel", "contact")
    sent = codes.send(PURPOSE, subject(account_id, system), _channel(contact), contact.value, now, secret=secret, account_id=account_id)
    return refusals.of_sending(sent, "contact", contact.kind, now)


def by_code(account_id: int, system: str, chosen: str, typed: str, secret: str, now: datetime, today: date) -> Refusal | None:
    """Judge the code that went to this contact; None = the right is open."""
    account = _hold(account_id)
    contact = _chosen(account_id, system, chosen, secret, today)
    if contact is None:
        return Refusal("code_channel", "contact")
    mine = (PURPOSE, subject(account_id, system), typed, now)
    outcome = codes.spend(*mine, channel=_channel(contact), recipient=contact.value, secret=secret, account_id=account_id)
    if outcome == "ok":
        _open(account, system, contact.kind, now)
    return refusals.of_typing(outcome, "code", contact.kind)


def by_key(account_id: int, session_id: int, system: str, now: datetime, today: date) -> bool:
    """Open the right if this session showed an e-key of the account lately; False = it has to be shown."""
    account = _hold(account_id)
    if not shown(account_id, session_id, now, today, hold=True):
        return False
    if waits(account_id, system, today):
        _open(account, system, "ekey", now)
    return True


def _hold(account_id: int) -> Account:
    return session.get_one(Account, account_id, populate_existing=True, with_for_update=True)


def _channel(contact: FormerContact) -> Literal["mobile", "email"]:
    return cast('Literal["mobile", "email"]', contact.kind)


def _chosen(account_id: int, system: str, chosen: str, secret: str, today: date) -> FormerContact | None:
    if not waits(account_id, system, today):
        return None
    return next((contact for contact in contacts(account_id, system) if contact.key(secret) == chosen), None)


def _open(account: Account, system: str, how: str, now: datetime) -> None:
    held = (Entitlement.account_id == account.id, Entitlement.system == system, Entitlement.state == "held")
    session.execute(delete(Entitlement).where(*held))
    audit.right_proven(now, account_id=account.id, system=system, how=how)
    notices.announce("right_opened", account, now, system=session.get_one(BusinessSystem, system).name)
