"""Which account may use what, now (R33, R34, R66, R73, D15). Read at each sign-in, each token and whenever the hall is shown."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, select

from idp.accounts import channels
from idp.accounts.models import Account, AccountKey
from idp.db import session
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.key_register import reports
from idp.key_register.live_keys import fault_by_list
from idp.key_register.models import EKey, EKeyLicence, EKeyReport


@dataclass(frozen=True)
class Right:
    """One system on the account's module page. `reason` says why it is locked; None = open."""

    system: str
    reason: str | None

    @property
    def open(self) -> bool:
        """Whether the system may be entered now."""
        return self.reason is None


def _from_keys(account_id: int, today: date, entered: str | None) -> dict[str, str | None]:
    """System → fault of the best key that was opened for it."""
    statement = (
        select(EKeyLicence.system, EKey, EKeyReport.word, EKeyReport.rights_until)
        .join(EKey, EKey.serial == EKeyLicence.serial)
        .join(AccountKey, AccountKey.serial == EKey.serial)
        .outerjoin(EKeyReport, and_(EKeyReport.serial == EKey.serial, EKeyReport.ended_at.is_(None)))
        .where(AccountKey.account_id == account_id)
    )
    found: dict[str, str | None] = {}
    for system, key, word, until in session.execute(statement):
        # R68: the platform's own word comes before the office's
        fault = _said(account_id, word, until, today, entered) or fault_by_list(key, today)
        found[system] = None if fault is None or found.get(system, fault) is None else fault
    return found


def _said(account_id: int, word: str | None, until: date | None, today: date, entered: str | None) -> str | None:
    """Why the platform's own word on a key takes its rights; a damaged key's rest on a code at each sign-in, so there must be a way for one."""
    fault = reports.right_fault(word, until, today)
    if fault is None and word is not None and entered is not None:
        # the legacy entry asks for none
        return "key_damaged_code"
    if fault is None and word is not None and not channels.second_proof(session.get_one(Account, account_id)):
        return "key_damaged_closed"
    return fault


def asks_code(account_id: int, today: date) -> bool:
    """R68: whether this account's rights rest on password and code, because a key of it is damaged."""
    damaged = select(EKeyReport.rights_until).join(AccountKey, AccountKey.serial == EKeyReport.serial)
    mine = (AccountKey.account_id == account_id, EKeyReport.word == reports.DAMAGED, EKeyReport.ended_at.is_(None))
    open_now = any(reports.right_fault(reports.DAMAGED, until, today) is None for until in session.scalars(damaged.where(*mine)))
    return open_now and channels.second_proof(session.get_one(Account, account_id))


def _decided(account_id: int) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for system, state in session.execute(select(Entitlement.system, Entitlement.state).where(Entitlement.account_id == account_id)):
        states.setdefault(system, set()).add(state)
    return states


def _judge(code: str, right_from: str, licensed: dict[str, str | None], states: set[str], entered: str | None) -> Right | None:
    # D15: a disabled row takes its system's right, even if the key lists it
    if "blocked" in states:
        return None
    if right_from == "approval":
        reason = None
        if "approved" not in states:
            return None
    elif code in licensed:
        reason = licensed[code]
    else:
        return None
    # R62: a sensitive right of a merged account waits for one proof; a system's own old password opens what it always did (R64)
    waits = "held" in states and code != entered
    return Right(code, reason or ("awaiting_proof" if waits else None))


def rights(account_id: int, today: date, entered: str | None = None) -> list[Right]:
    """The modules of an account in the order of the register of systems, open and locked ones; `entered`: by the legacy entry of this system."""
    licensed, decided = _from_keys(account_id, today, entered), _decided(account_id)
    systems = session.execute(select(BusinessSystem.code, BusinessSystem.right_from).order_by(BusinessSystem.position))
    judged = (_judge(code, right_from, licensed, decided.get(code, set()), entered) for code, right_from in systems)
    return [right for right in judged if right is not None]


def why_closed(account_id: int, asked: Collection[str], today: date, entered: str | None = None) -> list[str]:
    """Why none of these systems may be entered, each reason once: a Right's own, else not_opened (on the key) or not_approved (by the office).

    `entered` as for `rights`.
    """
    systems = session.execute(select(BusinessSystem.code, BusinessSystem.right_from).where(BusinessSystem.code.in_(asked)))
    had = {right.system: right.reason for right in rights(account_id, today, entered)}
    missing = {code: "not_approved" if right_from == "approval" else "not_opened" for code, right_from in systems}
    return list(dict.fromkeys(had.get(code) or reason for code, reason in sorted(missing.items())))


def open_systems(account_id: int, today: date, entered: str | None = None) -> set[str]:
    """Codes of the systems the account may enter now: what `licence:<system>` scopes are cut to.

    `entered`: by the legacy entry of this system, which opens no other (R54).
    """
    return {right.system for right in rights(account_id, today, entered) if right.open and entered in (None, right.system)}
