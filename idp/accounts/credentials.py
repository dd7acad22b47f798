"""Whose password is it? Checking what was typed, and replacing it.

Three moves, so that no hash is computed inside a transaction: `load()` reads, `prove()` computes, the rules below write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, delete, or_, select, true

from idp import opaque_tokens
from idp.accounts import initial_password, password_hashes
from idp.accounts.argon2id import Hasher
from idp.accounts.initial_password import Initial
from idp.accounts.models import Account, FormerPassword, KnownDevice, PasswordHistory
from idp.audit import catalogue as audit
from idp.db import session

PURPOSE = "former-password"


@dataclass(frozen=True)
class Former:
    """An old system's hash, still sealed."""

    system: str
    scheme: str
    encoding: str
    sealed_hash: str


@dataclass(frozen=True)
class Candidate:
    """What is needed to check a password against one account, free of the database."""

    account_id: int
    epoch: int
    password_hash: str | None
    former: list[Former] = field(default_factory=list)
    initial: Initial | None = None


@dataclass(frozen=True)
class Proof:
    """The password fits this account: its own, its initial one (R88) or a former one (`truncated`: the old system compared the beginning, D18).

    It counts only as long as the account's epoch is `epoch`: every password that dies makes it grow.
    """

    account_id: int
    epoch: int
    former: bool
    truncated: bool = False
    outdated: bool = False
    initial: bool = False


def load(accounts: Sequence[Account], *, disabled_rows: bool = False) -> list[Candidate]:
    """Read what `prove()` needs. Disabled rows' passwords open nothing (D15), but a disabled account's owner is told so after the right one.

    `disabled_rows` takes them all the same, and the replaced ones, to keep what was ever used from coming back (R55).
    """
    ids = [account.id for account in accounts]
    disabled = [account.id for account in accounts if account.status != "active"]
    # what a later dump has replaced opens nothing (D17)
    usable = true() if disabled_rows else and_(~FormerPassword.replaced, or_(FormerPassword.enabled, FormerPassword.account_id.in_(disabled)))
    rows = session.scalars(select(FormerPassword).where(FormerPassword.account_id.in_(ids), usable)).all()
    former = {id_: [Former(r.system, r.scheme, r.encoding, r.sealed_hash) for r in rows if r.account_id == id_] for id_ in ids}
    initial = initial_password.load(ids)
    return [Candidate(each.id, each.epoch, each.password_hash, former[each.id], initial.get(each.id)) for each in accounts]


def _fits_former(former: Former, typed: str, secret: str) -> bool:
    return password_hashes.verify(former.scheme, former.encoding, opaque_tokens.unseal(secret, PURPOSE, former.sealed_hash), typed)


def _prove_one(candidate: Candidate, typed: str, secret: str, hasher: Hasher) -> Proof | None:
    # One argon2id for every candidate, whatever it has, so that time tells nothing about it (threats F).
    if candidate.password_hash is not None:
        own = hasher.verify(typed, candidate.password_hash)
        return Proof(candidate.account_id, candidate.epoch, former=False, outdated=hasher.outdated(candidate.password_hash)) if own else None
    if candidate.initial is None:
        hasher.verify(typed, None)
    elif initial_password.opens(candidate.initial, typed, secret, hasher):
        return Proof(candidate.account_id, candidate.epoch, former=False, initial=True)
    fitting = [former for former in candidate.former if _fits_former(former, typed, secret)]
    if not fitting:
        return None
    truncated = all(password_hashes.truncates(former.scheme, former.encoding, typed) for former in fitting)
    return Proof(candidate.account_id, candidate.epoch, former=True, truncated=truncated)


def prove(candidates: Sequence[Candidate], typed: str, secret: str, hasher: Hasher) -> list[Proof]:
    """The accounts that `typed` opens; an unknown name costs the same as a known one. Not inside a transaction."""
    if not candidates:
        hasher.verify(typed, None)
    proofs = (_prove_one(candidate, typed, secret, hasher) for candidate in candidates)
    return [proof for proof in proofs if proof is not None]


def change_reason(account: Account, proof: Proof, weak: bool) -> str | None:
    """Why a new password must be set now (R56), or None. `weak`: what was typed fails R27 or is common."""
    # R56: class 4 always, and so whoever was given a letter
    if proof.initial:
        return "first_signin"
    if not proof.former:
        return account.change_reason
    # R56: class 1 always, class 4 always, classes 2 and 3 only if the old password is weak; D18: a truncated one always
    if account.user_class in (1, 4):
        return "first_signin"
    if weak:
        return "weak_password"
    return "truncated" if proof.truncated else None


def used_before(candidate: Candidate, history: Sequence[str], new: str, secret: str, hasher: Hasher) -> bool:
    """R55, threats F: whether `new` is the present password, an old system's, or one of the last platform passwords."""
    if candidate.initial is not None and initial_password.opens(candidate.initial, new, secret, hasher):
        return True
    platform = [stored for stored in (candidate.password_hash, *history) if stored]
    return any(hasher.verify(new, stored) for stored in platform) or any(_fits_former(former, new, secret) for former in candidate.former)


def history(account_id: int, count: int) -> list[str]:
    """Hashes of the last `count` platform passwords before the present one."""
    newest = select(PasswordHistory.password_hash).where(PasswordHistory.account_id == account_id).order_by(PasswordHistory.id.desc())
    return list(session.scalars(newest.limit(count)))


def _forget_former(account_id: int) -> int:
    return len(session.scalars(delete(FormerPassword).where(FormerPassword.account_id == account_id).returning(FormerPassword.id)).all())


def set_password(account: Account, new_hash: str, reason: str, now: datetime) -> int:
    """Make `new_hash` the only password (R12): all old hashes die in this commit, the epoch grows, so that every grant and session ends.

    Returns how many old systems' hashes died.
    """
    if account.password_hash:
        session.add(PasswordHistory(account_id=account.id, password_hash=account.password_hash, replaced_at=now))
    account.password_hash, account.password_changed_at, account.change_reason = new_hash, now, None
    account.epoch += 1
    account.updated_at = now
    session.execute(delete(KnownDevice).where(KnownDevice.account_id == account.id))
    initial_password.forget(account.id)
    died = _forget_former(account.id)
    audit.password_changed(now, account_id=account.id, reason=reason, old_hashes=died)
    return died


def keep_typed(account: Account, new_hash: str, now: datetime) -> int:
    """R56: where no change is due the typed old password becomes the platform password; returns how many old hashes died in this commit."""
    account.password_hash, account.password_changed_at = new_hash, now
    account.epoch += 1  # the other old passwords are dead, and whatever rested on them
    account.updated_at = now
    initial_password.forget(account.id)
    died = _forget_former(account.id)
    audit.password_rehashed(now, account_id=account.id, old_hashes=died)
    return died
