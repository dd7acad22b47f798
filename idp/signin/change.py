"""The forced change of password (R12, R27, R54–R56): judge what was typed, then make it the only password."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from idp import opaque_tokens
from idp.accounts import channels, contacts, credentials, lockout, password_policy, totp
from idp.accounts import notices as account_notices
from idp.accounts.argon2id import Hasher
from idp.accounts.credentials import Candidate
from idp.accounts.models import Account
from idp.errors import Refusal
from idp.sessions import lifecycle
from idp.settings import Settings
from idp.signin import flow, notices, steps
from idp.signin.models import SignInTransaction

CHANGED, RECOVERED = "password_changed", "password_recovered"


@dataclass(frozen=True)
class Subject:
    """What judging needs of the account, free of the database."""

    candidate: Candidate
    ever_used: Candidate
    names: list[str]
    history: list[str]


def subject(account: Account, settings: Settings) -> Subject:
    """Read it."""
    candidate, ever_used = credentials.load([account])[0], credentials.load([account], disabled_rows=True)[0]
    names = [spelling for name in account.names for spelling in (name.name, name.local_name) if spelling]
    return Subject(candidate, ever_used, names, credentials.history(account.id, settings.password_history_count))


def judge(who: Subject, new: str, confirm: str, settings: Settings, secret: str, hasher: Hasher) -> list[Refusal]:
    """Every reason against the new password; computes hashes, so not inside a transaction."""
    if not new:
        return [Refusal("new_password_missing", "new_password")]
    shortest, longest = settings.password_min_characters, settings.password_max_characters
    faults = password_policy.faults(new, who.names, shortest, longest)
    # the ceiling also keeps anything long away from the hashes
    if not faults and credentials.used_before(who.ever_used, who.history, new, secret, hasher):
        faults.append(Refusal("password_used", "new_password"))
    if not opaque_tokens.same(new, confirm):
        faults.append(Refusal("confirm_differs", "confirm_password"))
    return faults


def commit(row: SignInTransaction, new_hash: str, secret: str, now: datetime, on_end: Callable[[object, datetime], None]) -> None:
    """Set it and end every other session; Stale if another browser was first."""
    # a double submit, or a second tab of this sign-in: it is done
    account = flow.hold_account(row, steps.change_needed, now)
    if account is None:
        return
    # an authenticator app that was switched on meanwhile was asked for nowhere
    if steps.recovering(row) and totp.is_on(account.id) and not row.facts["totp_on"]:
        raise flow.Stale
    if credentials.set_password(account, new_hash, row.facts["change_due"], now):
        notices.announce_old_passwords_died(account.id, secret, now)
    # threats F: whoever could object hears of it
    if steps.recovering(row):
        _recovered(row, account, now)
    else:
        account_notices.announce(CHANGED, account, now)
    lifecycle.end_all(account.id, "password_changed", now, on_end)
    flow.record(row, epoch=account.epoch, change_due=None)


def _recovered(row: SignInTransaction, account: Account, now: datetime) -> None:
    """The contact that was proven on the way counts from now on, old tries lock nobody any more."""
    to = row.facts.get("recover_to")
    if to is not None and not channels.ever_proven(account):
        contacts.give(account, contacts.Contacts(**{"mobile": None, "email": None, to["channel"]: to["recipient"]}), now)
        contacts.prove(account, to["channel"], now)
    account_notices.announce(RECOVERED, account, now)
    lockout.afresh(account.id)
