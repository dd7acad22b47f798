"""What the hall shows of an account: its enterprise, and its modules as the rights stand now (R31–R34, R66, R73)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from idp.accounts import password_policy
from idp.accounts.models import Account, AccountKey
from idp.db import session
from idp.entitlements import rules
from idp.entitlements.models import BusinessSystem
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey

# Drawn in static/icons/; a system added later without one of these gets the general icon.
ICONS = ("export", "import", "auto_import", "mech_electrical", "dual_use", "agri_quota", "fertiliser_quota", "textile_origin")
GENERAL_ICON = "general"
ENDS_SOON_DAYS = 60
PASSWORD_SOON = timedelta(days=14)


@dataclass(frozen=True)
class Module:
    """One business system on the module page. `reason` None = open; `start_url` "" = nowhere to go yet."""

    code: str
    name: str
    name_en: str
    short_name: str
    short_name_en: str
    icon: str
    reason: str | None
    start_url: str


@dataclass(frozen=True)
class Person:
    """Who stands in the hall."""

    username: str
    enterprise: str
    enterprise_en: str
    code: str
    uscc: str


def person(account_id: int) -> Person:
    """The account as the hall names it."""
    account = session.get_one(Account, account_id)
    firm = account.enterprise
    # an officer, who has a desk instead
    if firm is None:
        return Person(account.canonical_name, "", "", "", "")
    return Person(account.canonical_name, firm.name, firm.name_en, firm.code or "", firm.uscc or "")


def password_ends(account_id: int, days: int, now: datetime) -> datetime | None:
    """When the password must be changed (setting `password_days`), if that is within PASSWORD_SOON."""
    ends = password_policy.ends_at(session.get_one(Account, account_id).password_changed_at, days)
    return ends if ends is not None and now > ends - PASSWORD_SOON else None


def ending_keys(account_id: int, today: date) -> list[EKey]:
    """The account's live keys that end within ENDS_SOON_DAYS (R68)."""
    soon = (EKey.expires >= today, EKey.expires <= today + timedelta(days=ENDS_SOON_DAYS))
    keys = session.scalars(select(EKey).join(AccountKey, AccountKey.serial == EKey.serial).where(AccountKey.account_id == account_id, *soon))
    return [key for key in keys.all() if dead(key, today) is None]


def modules(account_id: int, today: date) -> list[Module]:
    """The account's modules in the register's order: those it has a right to, open or locked, and nothing else."""
    systems = {system.code: system for system in session.scalars(select(BusinessSystem))}
    return [_module(systems[right.system], right.reason) for right in rules.rights(account_id, today)]


def module(account_id: int, code: str, today: date) -> Module | None:
    """One of the account's modules; None if it is not its own."""
    return next((found for found in modules(account_id, today) if found.code == code), None)


def _module(system: BusinessSystem, reason: str | None) -> Module:
    return Module(
        code=system.code,
        name=system.name,
        name_en=system.name_en,
        short_name=system.short_name,
        short_name_en=system.short_name_en,
        icon=system.icon if system.icon in ICONS else GENERAL_ICON,
        reason=reason,
        start_url=system.start_url if system.start_url.startswith(("https://", "http://")) else "",
    )
