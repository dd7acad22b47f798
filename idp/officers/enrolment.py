"""How an officer comes to be: an account without enterprise, roles, and a one-time link that sets password and second factor (R90).

Everything runs inside a transaction; `secret` is the master secret.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from idp import opaque_tokens
from idp.accounts import contacts, credentials, directory, roles, totp
from idp.accounts.contacts import Contacts
from idp.accounts.models import Account
from idp.audit import catalogue as audit
from idp.db import session, spend_once
from idp.errors import Refusal
from idp.officers.models import OfficerEnrolment
from idp.sessions import lifecycle
from idp.sessions.lifecycle import OnEnd

LIFE = timedelta(hours=72)


@dataclass(frozen=True)
class NewOfficer:
    """What the operator says of one; `given` None = no contact yet."""

    name: str
    role: str
    region: str
    display_name: str
    given: Contacts | None


def add(new: NewOfficer, operator: str, now: datetime) -> Account | str:
    """The officer of this name with one more role, made if there is none; or why not: name_taken by an enterprise's user, or `roles.why_apart`."""
    account = roles.officer(new.name)
    if account is None and directory.candidates(new.name):
        return "name_taken"
    if account is not None and account.status != "active":
        _shut(account, now)
    account = account or _make(new, now)
    session.flush()
    why = roles.give(account, new.role, new.region, operator, now)
    if why is not None:
        return why
    account.status = "active"
    account.display_name = new.display_name
    if new.given is not None:
        contacts.give(account, new.given, now)
    return account


def _make(new: NewOfficer, now: datetime) -> Account:
    account = Account(sub=opaque_tokens.make(), enterprise=None, user_class=roles.OFFICER_CLASS, created_at=now, updated_at=now)
    directory.add_name(account, new.name, canonical=True)
    session.add(account)
    return account


def remove(account: Account, role: str | None, now: datetime, on_end: OnEnd) -> list[str]:
    """Take this role (None: every one). Who has none left is no officer: the account is closed, sessions end, links are dead."""
    taken = roles.take(account, role, now)
    if not roles.held(account.id) and account.status == "active":
        account.status = "disabled"
        _shut(account, now)
        lifecycle.end_all(account.id, "account_closed", now, on_end)
    return taken


def _shut(account: Account, now: datetime) -> None:
    """Nothing opens the account any more: links, password, authenticator app; whoever comes back enrols anew."""
    _kill_links(account.id, now)
    # with the password alone somebody else could set up an app of theirs
    account.password_hash, account.epoch, account.updated_at = None, account.epoch + 1, now
    totp.switch_off(account.id, now)


# --- the link -------------------------------------------------------------------------------------------------------------------------------


def make_link(account: Account, now: datetime, on_end: OnEnd) -> str:
    """A fresh one-time token; nothing before it opens the account any more: links, password, authenticator app, sessions."""
    _shut(account, now)
    lifecycle.end_all(account.id, "enrolled_anew", now, on_end)
    token = opaque_tokens.make()
    session.add(OfficerEnrolment(token_digest=opaque_tokens.digest(token), account_id=account.id, made_at=now, expires_at=now + LIFE))
    audit.officer_link_made(now, account_id=account.id)
    return token


def _kill_links(account_id: int, now: datetime) -> None:
    session.execute(
        update(OfficerEnrolment).where(OfficerEnrolment.account_id == account_id, OfficerEnrolment.spent_at.is_(None)).values(spent_at=now)
    )


def find(token: str, now: datetime) -> Account | None:
    """Whose living link this is, of an account that still is an officer's. Reads only."""
    alive = (OfficerEnrolment.spent_at.is_(None), OfficerEnrolment.expires_at > now)
    mine = select(Account).join(OfficerEnrolment, OfficerEnrolment.account_id == Account.id)
    found = session.scalar(mine.where(OfficerEnrolment.token_digest == opaque_tokens.digest(token), *alive))
    return found if found is not None and roles.held(found.id) else None


@dataclass(frozen=True)
class Typed:
    """What came with the form, and the secret of the browser that sent it."""

    password_hash: str
    code: str
    browser: str


def enrol(token: str, typed: Typed, secret: str, now: datetime, on_end: OnEnd) -> list[str] | Refusal:
    """Use the link up with a first code of the authenticator app; returns the recovery codes, which are shown once.

    A wrong code counts and leaves the link alive, as does the right one of a secret that another browser was shown; `totp_over` if another
    request was first.
    """
    found = find(token, now)
    if found is None:
        return Refusal("totp_over")
    account = session.get_one(Account, found.id, populate_existing=True, with_for_update=True)
    codes = totp.confirm(account.id, typed.browser, typed.code, secret, now)
    if isinstance(codes, Refusal):
        return codes
    alive = (OfficerEnrolment.token_digest == opaque_tokens.digest(token), OfficerEnrolment.spent_at.is_(None), OfficerEnrolment.expires_at > now)
    if not spend_once(update(OfficerEnrolment).where(*alive).values(spent_at=now)):
        raise RuntimeError("an app was confirmed under a link that is over")
    credentials.set_password(account, typed.password_hash, "enrolled", now)
    lifecycle.end_all(account.id, "password_changed", now, on_end)
    audit.officer_enrolled(now, account_id=account.id)
    return codes
