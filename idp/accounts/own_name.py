"""A user name that its person has chosen (D9): one for an account, under the enterprise's code, and nobody else's."""

import re
from datetime import datetime, timedelta

from sqlalchemy import exists, select

from idp.accounts import directory, notices
from idp.accounts.models import Account, AccountName
from idp.audit import catalogue as audit
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.errors import Refusal

FIELD = "own_name"
ALLOWED = re.compile(r"[A-Za-z0-9._-]{4,32}")
AGAIN = timedelta(days=1)


def of(account: Account) -> AccountName | None:
    """The name that was chosen, if one was."""
    return next((name for name in account.names if name.chosen_at is not None), None)


def choose(account_id: int, typed: str, now: datetime) -> Refusal | None:
    """Make `<code>-<typed>` the account's name, in the place of one chosen before; inside a transaction. None = done.

    Refusals: own_name_form, own_name_taken, own_name_soon (`until`).
    """
    wanted = _read(typed)
    if wanted is None:
        return Refusal("own_name_form", FIELD)
    account = _held(account_id)
    if account is None or account.enterprise is None:
        return Refusal("own_name_form", FIELD)
    former, name = of(account), f"{account.enterprise.prefix}-{wanted}"
    if former is not None and former.chosen_at is not None and now < former.chosen_at + AGAIN:
        return Refusal("own_name_soon", FIELD, {"until": former.chosen_at + AGAIN})
    if session.scalar(select(exists().where(AccountName.name_key == directory.name_key(name)))):
        return Refusal("own_name_taken", FIELD)
    _replace(account, former, name, now)
    audit.name_chosen(now, account_id=account.id, again=former is not None)
    notices.announce("name_chosen", account, now)
    return None


def _read(typed: str) -> str | None:
    """The part after the code, whichever way it was typed."""
    local = directory.local(directory.normalise(typed))
    return local if ALLOWED.fullmatch(local) else None


def _held(account_id: int) -> Account | None:
    # of two people who want one name at once, one waits for the other here: names begin with the enterprise's code
    firm = select(Account.enterprise_id).where(Account.id == account_id).scalar_subquery()
    session.execute(select(Enterprise.id).where(Enterprise.id == firm).with_for_update(key_share=True))
    return session.get(Account, account_id, populate_existing=True, with_for_update=True)


def _replace(account: Account, former: AccountName | None, name: str, now: datetime) -> None:
    if former is not None:
        account.names.remove(former)
    for each in account.names:
        each.canonical = False
    directory.add_name(account, name, canonical=True).chosen_at = now
    account.updated_at = now
