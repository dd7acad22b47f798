"""Accounts as they stand before a merge changes them."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp.accounts.models import Account, AccountName, ImportedContact
from idp.db import session
from idp.entitlements.models import Entitlement
from idp.legacy.merge_changes import Contact, Standing, State

_THEIRS = (Account.password_hash, Account.contacts_given_at, Account.mobile_proven_at, Account.email_proven_at)
_OWN = (Account.id, Account.status, Account.user_class, Account.epoch, Account.mobile, Account.email, Account.updated_at, *_THEIRS)


def read(account_ids: Collection[int]) -> dict[int, Standing]:
    """Account → how it stands; the caller holds them."""
    if not account_ids:
        return {}
    names, canonical = _names(account_ids)
    states, contacts = _states(account_ids), _contacts(account_ids)
    return {
        row.id: Standing(
            status=row.status,
            user_class=row.user_class,
            epoch=row.epoch,
            own_password=row.password_hash is not None,
            contacts_theirs=any((row.password_hash, row.contacts_given_at, row.mobile_proven_at, row.email_proven_at)),
            mobile=row.mobile,
            email=row.email,
            updated_at=row.updated_at,
            canonical=row.id in canonical,
            names=names[row.id],
            states=states[row.id],
            contacts=contacts[row.id],
        )
        for row in session.execute(select(*_OWN).where(Account.id.in_(account_ids)))
    }


def _names(account_ids: Collection[int]) -> tuple[dict[int, set[tuple[str, str | None]]], set[int]]:
    """Account → its names; and the accounts that have a canonical one."""
    found: dict[int, set[tuple[str, str | None]]] = defaultdict(set)
    canonical = set()
    columns: tuple[Any, ...] = (AccountName.account_id, AccountName.name_key, AccountName.system, AccountName.canonical)
    for account_id, key, system, is_canonical in session.execute(select(*columns).where(AccountName.account_id.in_(account_ids))):
        found[account_id].add((key, system))
        if is_canonical:
            canonical.add(account_id)
    return found, canonical


def _states(account_ids: Collection[int]) -> dict[int, dict[State, datetime]]:
    found: dict[int, dict[State, datetime]] = defaultdict(dict)
    for row in session.scalars(select(Entitlement).where(Entitlement.account_id.in_(account_ids)), execution_options=_FRESH):
        found[row.account_id][(row.system, row.state)] = row.since
    return found


def _contacts(account_ids: Collection[int]) -> dict[int, dict[Contact, bool]]:
    found: dict[int, dict[Contact, bool]] = defaultdict(dict)
    for row in session.scalars(select(ImportedContact).where(ImportedContact.account_id.in_(account_ids)), execution_options=_FRESH):
        found[row.account_id][(row.kind, row.value, row.system)] = row.enabled
    return found


_FRESH = {"populate_existing": True}
