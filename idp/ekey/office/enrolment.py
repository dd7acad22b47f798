"""A key of the office's list becomes somebody's (R88, R68): a new account with an initial password, or one of the enterprise's accounts.

Each writing function runs inside a transaction. `by`: the officer's account as text, "" at the command line, whose operator every event names.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import exists, select

from idp import opaque_tokens
from idp.accounts import directory, initial_password
from idp.accounts.models import Account, AccountKey, FormerPassword
from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import binding, withdrawal
from idp.ekey.withdrawal import OnLost
from idp.errors import Refusal
from idp.key_register import reports
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey
from idp.key_register.office_list import USER_NAME

NEW_CLASS = 4


@dataclass(frozen=True)
class Owned:
    """The account that a key belongs to now, held; `made`: it is new."""

    account: Account
    made: bool


def held(serial: str) -> EKey | None:
    """The listed key, held until the transaction ends."""
    return session.get(EKey, serial, populate_existing=True, with_for_update=True)


def owner(serial: str) -> Account | None:
    """The account that the key belongs to, held."""
    row = session.get(AccountKey, serial)
    return session.get_one(Account, row.account_id, populate_existing=True, with_for_update=True) if row is not None else None


def enrol(serial: str, typed: str, existing: bool, by: str, now: datetime, today: date) -> Owned | Refusal:
    """Make the key's account under the typed name (else the list's), or, if `existing`, give the key to the enterprise's account of that name."""
    key = held(serial)
    if key is None:
        return Refusal("key_not_listed")
    fault, name = _why_not(key, today), _name(key, typed)
    if fault is not None:
        return fault
    if isinstance(name, Refusal):
        return name
    found = _account(key, name, existing, now)
    if isinstance(found, Refusal):
        return found
    found.account.keys.append(AccountKey(serial=serial))
    session.flush()
    audit.ekey_enrolled(now, account_id=found.account.id, serial=serial, by=by, made=found.made)
    return found


def _why_not(key: EKey, today: date) -> Refusal | None:
    if dead(key, today) not in (None, "key_not_yet_valid"):
        return Refusal("key_dead")
    if session.get(AccountKey, key.serial) is not None:
        return Refusal("key_taken")
    return _too_many(key, today)


def _too_many(key: EKey, today: date, leaves: str = "") -> Refusal | None:
    """R68: whether the enterprise's accounts have all the live keys that they may have, once the key `leaves` is none any more."""
    return Refusal("too_many_keys") if binding.full(key, today, AccountKey.serial, leaves) else None


def _name(key: EKey, typed: str) -> str | Refusal:
    """D20: `<code or USCC>-<local>`; the list's own name as it stands."""
    listed, name = directory.normalise(key.user_name), directory.normalise(typed)
    if not name and (typed.strip() or not listed):
        return Refusal("username_missing", "username")
    name = name or listed
    if not USER_NAME.fullmatch(directory.local(name)):
        return Refusal("name_unfit", "username")
    if name == listed:
        return key.user_name
    prefixed = directory.CODE_FORM.match(name)
    if prefixed and prefixed[1] not in (key.enterprise.code, key.enterprise.uscc):
        return Refusal("name_foreign", "username")
    name = name if prefixed else f"{key.enterprise.prefix}-{name}"
    return name if USER_NAME.fullmatch(name) and directory.normalise(name) == name else Refusal("name_unfit", "username")


def _account(key: EKey, name: str, existing: bool, now: datetime) -> Owned | Refusal:
    claimed = directory.candidates(name)
    if existing:
        ours = [account for account in claimed if account.enterprise_id == key.enterprise_id and account.status == "active"]
        return Owned(ours[0], made=False) if len(ours) == 1 else Refusal("name_unknown", "username")
    if claimed:
        return Refusal("name_taken", "username")
    times = {"created_at": now, "updated_at": now}
    account = Account(sub=opaque_tokens.make(), enterprise_id=key.enterprise_id, user_class=NEW_CLASS, display_name=key.holder, epoch=1, **times)
    directory.add_name(account, name, canonical=True)
    session.add(account)
    session.flush()
    return Owned(account, made=True)


# --- another key in its place ---------------------------------------------------------------------------------------------------------------


def replace(serial: str, new_serial: str, by: str, on_lost: OnLost, now: datetime, today: date) -> Refusal | None:
    """R68: the key `serial` is dead at once, and its account goes on with `new_serial` of the same enterprise; both are held."""
    old, new, account = session.get(EKey, serial), session.get(EKey, new_serial), owner(serial)
    if old is None or account is None:
        return Refusal("key_no_account" if old is not None else "key_not_listed")
    row = session.get(AccountKey, new_serial)
    fault = _why_no_replacement(old, new, today) or (_too_many(new, today, serial) if new is not None and row is None else None)
    if fault is not None or new is None:
        return fault
    if row is not None and row.account_id != account.id:
        return Refusal("replacement_taken", "replacement")
    # one that is lost or withdrawn stays so
    withdrawal.withdraw(serial, now, on_lost, "officer" if by else "command", "replaced")
    audit.ekey_acted(now, account_id=account.id, serial=serial, by=by, act="replace", other=new_serial)
    if row is None:
        account.keys.append(AccountKey(serial=new_serial))
        audit.ekey_enrolled(now, account_id=account.id, serial=new_serial, by=by, made=False)
    session.flush()
    return None


def _why_no_replacement(old: EKey, new: EKey | None, today: date) -> Refusal | None:
    report = reports.live(old.serial)
    checks = (
        ("key_changed", report is not None and report.word == "replaced"),
        ("replacement_unknown", new is None or new.enterprise_id != old.enterprise_id),
        ("replacement_same", new is old),
        ("replacement_dead", new is not None and dead(new, today) not in (None, "key_not_yet_valid")),
    )
    code = next((code for code, wrong in checks if wrong), None)
    return Refusal(code, "" if code == "key_changed" else "replacement") if code is not None else None


# --- what opens it --------------------------------------------------------------------------------------------------------------------------


def awaits_first_signin(account: Account) -> bool:
    """Whether an initial password may open it: a new account in which nobody has set a password. The way of all others is recovery."""
    former = session.scalar(select(exists().where(FormerPassword.account_id == account.id)))
    return account.user_class == NEW_CLASS and account.password_hash is None and not former


def print_letter(serial: str, password_hash: str, days: int, by: str, now: datetime) -> datetime | Refusal:
    """Let the letter's password open the key's account: until when. What did before opens nothing more."""
    account = owner(serial)
    if account is None or not awaits_first_signin(account):
        return Refusal("no_letter")
    until = now + timedelta(days=days)
    initial_password.by_letter(account, serial, password_hash, until)
    audit.initial_password_made(now, account_id=account.id, serial=serial, by=by, how="letter")
    return until


def use_code(serial: str, days: int, by: str, now: datetime) -> Refusal | None:
    """Let the activation code of the office's list open the key's account."""
    key, account = held(serial), owner(serial)
    if key is None or account is None or not awaits_first_signin(account):
        return Refusal("no_letter")
    if key.activation_digest is None:
        return Refusal("no_activation_code")
    initial_password.by_code(account, serial, key.activation_digest, now + timedelta(days=days))
    audit.initial_password_made(now, account_id=account.id, serial=serial, by=by, how="activation_code")
    return None


def announce_letter(serial: str, officer_id: int, now: datetime) -> str | Refusal:
    """Let this officer fetch a letter once: the secret of its address."""
    account = owner(serial)
    if account is None or not awaits_first_signin(account):
        return Refusal("no_letter")
    audit.letter_announced(now, account_id=account.id, serial=serial, by=str(officer_id))
    return initial_password.announce_letter(account, serial, officer_id, now)


def announced(handle: str, officer_id: int, now: datetime) -> str | None:
    """The key whose letter this officer may fetch under the handle. Reads only."""
    return initial_password.announced(handle, officer_id, now)


def fetch_letter(handle: str, officer_id: int, password_hash: str, days: int, now: datetime) -> str | None:
    """The announced letter's key, whose account this password opens from now on; None if it is not there for this officer any more."""
    row = initial_password.fetch_letter(handle, officer_id, password_hash, now + timedelta(days=days), now)
    if row is None:
        return None
    audit.initial_password_made(now, account_id=row.account_id, serial=row.serial, by=str(officer_id), how="letter")
    return row.serial
