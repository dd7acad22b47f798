"""What the key office sees: keys found by serial, code, USCC or name; one key with all that is known of it; what stands in its letter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import or_, select

from idp import web
from idp.accounts import directory, initial_password, roles
from idp.accounts.models import Account, AccountKey, AccountName, InitialPassword
from idp.adapters import BEIJING
from idp.audit.models import AuditEvent
from idp.db import dumps, session
from idp.ekey.models import EKeyBinding
from idp.enterprises import codes
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem
from idp.key_register import reports
from idp.key_register.live_keys import dead
from idp.key_register.models import EKey, EKeyReport

MOST_FOUND, MOST_EVENTS = 50, 30
MAX_SOUGHT_CHARACTERS = 160
# events that have words on the page: keys.event.<event>
TOLD = (
    *("ekey.bound", "ekey.reported", "ekey.repaired", "ekey.enrolled", "ekey.acted", "ekey.lost"),
    *("account.initial_password.made", "account.letter.announced", "register.row_taken"),
)


@dataclass(frozen=True)
class Shown:
    """One key: the list's row, why it does not count (None = it does), the platform's word, its account, certificates and events.

    `licences`: the names of the systems that it was opened for, in Chinese and English; what is no system here by its code.
    """

    key: EKey
    fault: str | None
    report: EKeyReport | None
    account: Account | None
    bindings: list[EKeyBinding]
    initial: InitialPassword | None
    events: list[AuditEvent]
    licences: list[tuple[str, str]]

    @property
    def state(self) -> str:
        """A short mark of what the page showed, by which an act sees that something has changed since."""
        report = self.report.number if self.report else ""
        account = f"{self.account.id}.{self.account.epoch}" if self.account else ""
        bound = ",".join(f"{each.id}" for each in self.bindings)
        return f"{self.key.status}|{self.key.expires}|{report}|{account}|{bound}"


def find(sought: str, regions: Collection[str]) -> list[EKey]:
    """Keys of these regions by serial, enterprise code, USCC or the name of a user or an enterprise; at most MOST_FOUND."""
    typed = " ".join(sought.split())
    if not typed or len(typed) > MAX_SOUGHT_CHARACTERS:
        return []
    code = codes.normalise(typed)
    named = select(AccountKey.serial).join(AccountName, AccountName.account_id == AccountKey.account_id)
    match = or_(
        EKey.serial == code,
        Enterprise.code == code,
        Enterprise.uscc == code,
        Enterprise.name == typed,
        EKey.serial.in_(named.where(AccountName.name_key == directory.name_key(typed))),
    )
    rows = (
        select(EKey)
        .join(Enterprise, Enterprise.id == EKey.enterprise_id)
        .where(match, or_(*(Enterprise.region.startswith(each) for each in regions)))
    )
    return list(session.scalars(rows.order_by(EKey.serial).limit(MOST_FOUND)))


def look(serial: str, today: date, regions: Collection[str] = roles.EVERYWHERE) -> Shown | None:
    """One key of the list, if it is of these regions."""
    key = session.get(EKey, serial)
    if key is None or not roles.covers(regions, key.enterprise.region):
        return None
    row = session.get(AccountKey, serial)
    account = session.get(Account, row.account_id) if row is not None else None
    bindings = list(session.scalars(select(EKeyBinding).where(EKeyBinding.serial == serial).order_by(EKeyBinding.id)))
    initial = session.get(InitialPassword, account.id) if account is not None else None
    return Shown(key, dead(key, today), reports.live(serial), account, bindings, initial, _events(serial), _licences(key))


def region(details: Mapping[str, Any]) -> str:
    """Where the enterprise is whose key (`serial`) a request is about."""
    return session.get_one(EKey, details["serial"]).enterprise.region


def _licences(key: EKey) -> list[tuple[str, str]]:
    codes = [licence.system for licence in key.licences]
    known = {system.code: (system.name, system.name_en) for system in session.scalars(select(BusinessSystem).where(BusinessSystem.code.in_(codes)))}
    return [known.get(code, (code, code)) for code in codes]


def _events(serial: str) -> list[AuditEvent]:
    about = AuditEvent.detail["serial"].as_string() == serial
    return list(session.scalars(select(AuditEvent).where(about, AuditEvent.event.in_(TOLD)).order_by(AuditEvent.id.desc()).limit(MOST_EVENTS)))


def lines(serial: str, today: date) -> list[tuple[str, str]]:
    """The same as label and text, for a terminal."""
    shown = look(serial, today)
    if shown is None:
        return []
    key, report = shown.key, shown.report
    return [
        ("serial", key.serial),
        ("enterprise", f"{key.enterprise.prefix} {key.enterprise.name}"),
        ("list", f"{key.status} · {key.issued or '…'} – {key.expires or '…'}"),
        ("platform", f"{report.word} since {_day(report.at)} · {report.number}" if report else "no word"),
        ("counts", shown.fault or "yes"),
        ("licences", " ".join(licence.system for licence in key.licences) or "none"),
        ("account", shown.account.canonical_name if shown.account else "none"),
        *(("certificate", f"until {_day(each.not_after)} · bound {_day(each.bound_at)}") for each in shown.bindings),
        *(("event", f"{event.at.astimezone(BEIJING):%Y-%m-%d %H:%M} {event.event} {dumps(event.detail)}") for event in shown.events),
    ]


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d}"


def letter(serial: str, password: str) -> dict[str, Any]:
    """What stands in the letter of a key's account, once its password is kept."""
    key, row = session.get_one(EKey, serial), session.get_one(AccountKey, serial)
    account, initial = session.get_one(Account, row.account_id), session.get_one(InitialPassword, row.account_id)
    settings, until = web.runtime().settings, initial.expires_at
    return {
        "lang": "zh-CN",
        "enterprise": key.enterprise.name,
        "holder": key.holder,
        "username": account.canonical_name,
        "serial": serial,
        "groups": initial_password.groups(password),
        "address": settings.issuer,
        "telephone": settings.service_telephone,
        "until": _day(until) if until is not None else "",
    }
