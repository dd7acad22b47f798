"""Step 7: which key of the key office's list a certificate is, and the first use that binds it.

Sought by (issuer, subject). A key counts while it is live: the office's status and dates, an active enterprise, and no word of the platform's own.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import exists, select

from idp import web
from idp.accounts.models import Account, AccountKey
from idp.audit import catalogue as audit
from idp.db import session
from idp.ekey import withdrawal
from idp.ekey.leaf import Identity
from idp.ekey.models import EKeyBinding
from idp.ekey.refusal import Refused
from idp.enterprises.models import Enterprise
from idp.key_register import reports
from idp.key_register.live_keys import MOST_LIVE
from idp.key_register.live_keys import dead as dead  # what counts is one question for all
from idp.key_register.models import EKey, EKeyLicence


@dataclass(frozen=True)
class Bound:
    """A live key, by its serial, and the account that it belongs to."""

    serial: str
    account_id: int


def find(identity: Identity, today: date, account_id: int | None = None) -> Bound | Refused:
    """The live key that this certificate is bound to; `account_id`: whose password was right, if somebody's was."""
    row = session.scalar(select(EKeyBinding).where(EKeyBinding.issuer == identity.issuer, EKeyBinding.subject == identity.subject))
    if row is None:
        return Refused(7, "not_bound")
    # what the card carries must not contradict what it is bound to
    if identity.serial and identity.serial != row.serial:
        return Refused(7, "serial_mismatch")
    return _live(row.serial, today, account_id)


def owner(identity: Identity) -> int | None:
    """Whose key this is, by what it is bound to, or else by the serial that it carries; None = it does not tell. Nobody is proven by it."""
    row = session.scalar(select(EKeyBinding).where(EKeyBinding.issuer == identity.issuer, EKeyBinding.subject == identity.subject))
    key = session.get(AccountKey, row.serial if row is not None else identity.serial)
    return key.account_id if key is not None else None


def _live(serial: str, today: date, account_id: int | None) -> Bound | Refused:
    key, owner = session.get_one(EKey, serial), session.get(AccountKey, serial)
    if owner is None:
        return Refused(7, "not_bound", "no account")
    if account_id is not None and owner.account_id != account_id:
        return Refused(7, "bound_to_other", owner=session.get_one(Account, owner.account_id).canonical_name)
    why = dead(key, today)
    # the office may call a key expired before its day
    over = key.expires is not None and key.expires < today
    days = {"key_expired": key.expires if over else None, "key_not_yet_valid": key.issued}
    return Refused(7, why, day=days.get(why)) if why is not None else Bound(serial, owner.account_id)


@dataclass(frozen=True)
class Ambiguous:
    """The certificate alone does not tell which of these keys (serials) it is; the person may say so after TOTP."""

    serials: tuple[str, ...]


def bind_first_use(identity: Identity, account_id: int, now: datetime, today: date, chosen: str = "") -> Bound | Ambiguous | Refused:
    """Bind at the first use, after the right password of this account (inside a transaction).

    Exactly one live, unbound key of the list belongs to the account, and the certificate carries its serial; what the certificate says of the
    enterprise agrees. `chosen`: the serial that the person named after TOTP, where the certificate leaves it open. Anything else is for an
    officer.
    """
    unbound = _unbound(account_id, today)
    # judged under the lock: a double click finds here what the first one bound
    if known(identity):
        return find(identity, today, account_id)
    agreeing = tuple(key.serial for key in unbound if _agrees(identity, key))
    key = next((key for key in unbound if len(unbound) == 1 and identity.serial == key.serial), None)
    if key is None and chosen in agreeing:
        key = next(key for key in unbound if key.serial == chosen)
    if key is None:
        return Ambiguous(agreeing) if agreeing else Refused(7, "not_bound", "first use")
    # the organisation identifier is the 13-character code or the USCC
    if identity.organisation and identity.organisation not in (key.enterprise.code, key.enterprise.uscc):
        return Refused(7, "serial_mismatch", "organisation")
    renew(identity, key.serial, account_id, now)
    if full(key, today):
        return Refused(7, "too_many_keys")
    bind(identity, key.serial, account_id, now)
    return Bound(key.serial, account_id)


def known(identity: Identity) -> bool:
    """Whether some key has this certificate."""
    same = exists().where(EKeyBinding.issuer == identity.issuer, EKeyBinding.subject == identity.subject)
    return bool(session.scalar(select(same)))


def _agrees(identity: Identity, key: EKey) -> bool:
    """Whether the certificate may be this key: it names its enterprise, and no other key."""
    return bool(identity.organisation) and identity.organisation in (key.enterprise.code, key.enterprise.uscc) and identity.serial in ("", key.serial)


def _unbound(account_id: int, today: date) -> list[EKey]:
    """The live keys of the account that no certificate is bound to, held until the transaction ends."""
    bound = exists().where(EKeyBinding.serial == EKey.serial)
    # the office's rows are locked, so that two first uses at once bind one card
    held = select(EKey).join(AccountKey, AccountKey.serial == EKey.serial).where(AccountKey.account_id == account_id)
    keys = session.scalars(held.order_by(EKey.serial).with_for_update(of=EKey)).all()
    free = set(session.scalars(select(EKey.serial).where(EKey.serial.in_([key.serial for key in keys]), ~bound)))
    return [key for key in keys if key.serial in free and dead(key, today) is None]


def bind(identity: Identity, serial: str, account_id: int, now: datetime) -> None:
    """Let the certificates of this identity be the key `serial` (inside a transaction)."""
    values = {"issuer": identity.issuer, "subject": identity.subject, "holder": identity.holder, "not_after": identity.not_after}
    session.add(EKeyBinding(serial=serial, bound_at=now, **values))
    audit.ekey_bound(now, account_id=account_id, serial=serial)
    _replace_damaged(serial, account_id, now)


def renew(identity: Identity, serial: str, account_id: int, now: datetime) -> None:
    """A newer certificate of the same issuer and holder, on the key `serial`: the account's key before it is dead (R68)."""
    same = (EKeyBinding.serial != serial, EKeyBinding.issuer == identity.issuer, EKeyBinding.holder == identity.holder, EKeyBinding.holder != "")
    older = select(EKeyBinding.serial).join(AccountKey, AccountKey.serial == EKeyBinding.serial).where(*same, AccountKey.account_id == account_id)
    for before in session.scalars(older.where(EKeyBinding.not_after < identity.not_after)).all():
        _replace(before, now)


def _replace_damaged(serial: str, account_id: int, now: datetime) -> None:
    """The days of a damaged key of the account end with the first use of one that was opened for all that it was."""
    opened = set(session.scalars(select(EKeyLicence.system).where(EKeyLicence.serial == serial)))
    others = select(AccountKey.serial).where(AccountKey.account_id == account_id, AccountKey.serial != serial)
    for other in session.scalars(others).all():
        report = reports.live(other)
        had = set(session.scalars(select(EKeyLicence.system).where(EKeyLicence.serial == other)))
        if report is not None and report.word == reports.DAMAGED and had <= opened:
            _replace(other, now)


def _replace(serial: str, now: datetime) -> None:
    withdrawal.withdraw(serial, now, web.runtime().hooks.key_lost, "renewal", "replaced")


def full(key: EKey, today: date, used: Any = EKeyBinding.serial, leaves: str = "") -> bool:
    """R68: whether the enterprise uses all the live keys that it may, without `key`, and without `leaves`, which is none any more.

    `used`: the column of the keys that count: those with a certificate, or, for a key that is given to an account, those of accounts.
    """
    # held, so that two at once see each other
    session.scalar(select(Enterprise.id).where(Enterprise.id == key.enterprise_id).with_for_update())
    mine = (EKey.enterprise_id == key.enterprise_id, EKey.serial.not_in([key.serial, leaves]))
    rivals = session.scalars(select(EKey).where(*mine, exists().where(used == EKey.serial))).all()
    return sum(dead(rival, today) is None for rival in rivals) >= MOST_LIVE
