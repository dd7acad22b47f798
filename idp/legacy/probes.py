"""Probes: old users whose password is known, tried before and after the merge. Whatever fails is named by a code; a password is never said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import select

from idp import delimited, opaque_tokens
from idp.accounts import credentials, directory, password_hashes
from idp.accounts.argon2id import Hasher
from idp.accounts.models import Account, FormerPassword
from idp.db import session
from idp.enterprises import codes, register
from idp.enterprises.models import Enterprise
from idp.errors import BadInput
from idp.legacy import merge_plan, naming, old_users
from idp.legacy.models import LegacyRow

COLUMNS = ("system", "username", "enterprise_code", "password")


@dataclass(frozen=True)
class Probe:
    """One line of the file; `enterprise_code` (code or USCC) may be empty where the name alone says who is meant."""

    line: int
    system: str
    username: str
    enterprise_code: str
    password: str


@dataclass(frozen=True)
class Keys:
    """What is needed to try a password."""

    secret: str
    hasher: Hasher


def read(path: Path) -> list[Probe]:
    """The probes of a CSV file (COLUMNS); BadInput for a broken line, and for a file without any."""
    found = []
    for row in delimited.rows(path, delimited.Form(), COLUMNS, delimited.Report(str(path))):
        if row.fault:
            raise BadInput(row.fault, str(path), row.line)
        found.append(Probe(row.line, *(row.cells[column].strip() if column != "password" else row.cells[column] for column in COLUMNS)))
    if not found:
        raise BadInput("holds no probe", str(path))
    return found


def fault(probe: Probe, today: date, keys: Keys) -> str | None:
    """Why this probe fails, as a code; None = its password opens, or after the merge will open, its account. Not inside a transaction."""
    rows = _rows(probe)
    if not rows:
        return "unknown"
    if len({row.enterprise_id for row in rows}) > 1:
        return "ambiguous"
    found = [_fault(row, probe.password, today, keys) for row in rows]
    session.rollback()
    return None if None in found else found[0]


def _rows(probe: Probe) -> Sequence[LegacyRow]:
    statement = select(LegacyRow).where(LegacyRow.system == probe.system, LegacyRow.username_key == directory.name_key(probe.username))
    if probe.enterprise_code:
        enterprise = register.find(codes.normalise(probe.enterprise_code))
        if enterprise is None:
            return []
        statement = statement.where(LegacyRow.enterprise_id == enterprise.id)
    return session.scalars(statement.order_by(LegacyRow.id)).all()


def _fault(row: LegacyRow, typed: str, today: date, keys: Keys) -> str | None:
    if not row.enabled:
        return "disabled"
    return _fits(row, typed, today, keys) if row.account_id is None else _opens(row, typed, keys)


def _fits(row: LegacyRow, typed: str, today: date, keys: Keys) -> str | None:
    """Before the merge: the password fits the old hash, and the plan gives the row an account that its name reaches."""
    former = session.get(FormerPassword, row.former_password_id) if row.former_password_id else None
    if former is None:
        return "no_password"
    if not password_hashes.verify(former.scheme, former.encoding, opaque_tokens.unseal(keys.secret, credentials.PURPOSE, former.sealed_hash), typed):
        return "password"
    plan = merge_plan.plan(old_users.read(today, _claimants(row)))
    account = next((account for account in plan.accounts if any(user.id == row.id for user in account.rows)), None)
    if account is None or not account.enabled:
        return "account_disabled"
    user = next(user for user in account.rows if user.id == row.id)
    if not user.enterprise_active:
        return "enterprise_cancelled"
    crowded = {note.about[0] for note in plan.notes if note.code == merge_plan.BEYOND_REACH}
    names = naming.names(row.system, user.prefix, row.username)
    return "name" if all(directory.name_key(name) in crowded for name in names) else None


def _claimants(row: LegacyRow) -> list[int]:
    """The enterprises whose users may claim the same name: its own, and where names go without code all that have it."""
    if row.system not in (naming.CONTROL_NAMES, naming.OWN_NAMES):
        return [row.enterprise_id]
    bare = (LegacyRow.system.in_((naming.CONTROL_NAMES, naming.OWN_NAMES)), LegacyRow.username_key == row.username_key)
    return list(session.scalars(select(LegacyRow.enterprise_id).where(*bare).distinct()))


def _opens(row: LegacyRow, typed: str, keys: Keys) -> str | None:
    """After the merge: the ordinary name and the password open the account, as at the sign-in."""
    account = session.get_one(Account, row.account_id)
    if account.password_hash is not None:
        return "changed"
    if account.closed:
        return account.closed
    prefix = session.get_one(Enterprise, row.enterprise_id).prefix
    reached = [found for name in naming.names(row.system, prefix, row.username) if account in (found := directory.candidates(name))]
    if not reached:
        return "name"
    proofs = credentials.prove(credentials.load(reached[0]), typed, keys.secret, keys.hasher)
    return None if any(proof.account_id == account.id for proof in proofs) else "password"
