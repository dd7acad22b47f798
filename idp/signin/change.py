"""The forced change of password (R12, R27, R54–R56): judge what was typed, then make it the only password."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from idp import opaque_tokens
from idp.accounts import credentials, password_policy
from idp.accounts.argon2id import Hasher
from idp.accounts.credentials import Candidate
from idp.accounts.models import Account
from idp.db import session
from idp.errors import Refusal
from idp.sessions import lifecycle
from idp.settings import Settings
from idp.signin import flow, notices
from idp.signin.models import SignInTransaction


@dataclass(frozen=True)
class Subject:
    """What judging needs of the account, free of the database."""

    candidate: Candidate
    names: list[str]
    history: list[str]


def subject(account: Account, settings: Settings) -> Subject:
    """Read it."""
    candidate = credentials.load([account])[0]
    names = [spelling for name in account.names for spelling in (name.name, name.local_name) if spelling]
    return Subject(candidate, names, credentials.history(account.id, settings.password_history_count))


def judge(who: Subject, new: str, confirm: str, settings: Settings, secret: str, hasher: Hasher) -> list[Refusal]:
    """Every reason against the new password; computes hashes, so not inside a transaction."""
    if not new:
        return [Refusal("new_password_missing", "new_password")]
    shortest, longest = settings.password_min_characters, settings.password_max_characters
    faults = password_policy.faults(new, who.names, shortest, longest)
    # the ceiling also keeps anything long away from the hashes
    if not faults and credentials.used_before(who.candidate, who.history, new, secret, hasher):
        faults.append(Refusal("password_used", "new_password"))
    if not opaque_tokens.same(new, confirm):
        faults.append(Refusal("confirm_differs", "confirm_password"))
    return faults


def commit(row: SignInTransaction, new_hash: str, now: datetime, on_end: Callable[[object, datetime], None]) -> bool:
    """Set it and end every other session; False if the account has changed since the password was typed (another tab was first)."""
    if row.account_id is None:
        return False
    account = session.get_one(Account, row.account_id, populate_existing=True, with_for_update=True)
    if account.epoch != row.facts.get("epoch"):
        return False
    if credentials.set_password(account, new_hash, str(row.facts.get("change_due")), now):
        notices.announce_old_passwords_died(account.id, now)
    lifecycle.end_all(account.id, "password_changed", now, on_end)
    choice = {**row.facts["choices"].get(str(account.id), {}), "epoch": account.epoch, "change_due": None}
    flow.record(row, **choice, choices={str(account.id): choice})
    return True
