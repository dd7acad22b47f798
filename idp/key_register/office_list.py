"""The key office's list: a UTF-8 file with the columns serial, enterprise_code, holder, licences, issued, expires, status, or one row of it.

`licences` are codes of business systems separated by blanks. The list adds and updates keys, their licences included; a key that it no longer
names stays as it is. For new keys it may carry `user_name` and `activation_code` (R88); where a row says nothing of them, what was said stays.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from idp.adapters import BEIJING
from idp.audit import catalogue as audit
from idp.db import insert_many, session
from idp.delimited import UNPRINTABLE, Fault, FirstLines, Form, Report, Row, chunks, controls, rows
from idp.enterprises import codes, register
from idp.enterprises.models import Enterprise
from idp.key_register import activation, live_keys
from idp.key_register.models import EKey, EKeyLicence

COLUMNS = ("serial", "enterprise_code", "holder", "licences", "issued", "expires", "status")
OPTIONAL = ("user_name", "activation_code")
STATUSES = ("active", "expired", "revoked")
SERIAL = re.compile(r"[0-9A-Z][0-9A-Z-]{0,39}")
SYSTEM = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Latin letters, digits, Chinese characters and the few signs of user names; the first is a letter, a digit or a character
USER_NAME = re.compile(r"[0-9A-Za-z\u3400-\u9fff][0-9A-Za-z\u3400-\u9fff._@-]{0,159}")
MAX_HOLDER_CHARACTERS = 100


@dataclass(frozen=True)
class Entry:
    """One valid row of the list; `enterprise` its normalised code or USCC; the last two "" where the row says nothing of them."""

    serial: str
    enterprise: str
    holder: str
    licences: tuple[str, ...]
    issued: date | None
    expires: date | None
    status: str
    user_name: str
    activation_code: str


def import_file(path: Path, report: Report, secret: str, now: datetime) -> None:
    """Take the list in (inside a transaction); rows that cannot be taken are reported and left out."""
    first_lines = FirstLines()
    listed: dict[int, int] = {}
    for chunk in chunks(rows(path, Form(), COLUMNS, report)):
        for line, stored in _store(_valid(chunk, first_lines, report), report, secret):
            if isinstance(stored, Fault):
                report.reject(line, stored.column, stored.reason)
            else:
                listed[stored] = line
    for enterprise_id in live_keys.with_many():
        odd = _crowded(enterprise_id, _beijing(now)) if enterprise_id in listed else None
        if odd:
            report.warn(listed[enterprise_id], odd.column, odd.reason)
    if report.counts["added"] or report.counts["changed"]:
        accepted = report.counts["added"] + report.counts["changed"] + report.counts["unchanged"]
        audit.register_imported(now, kind="ekeys", accepted=accepted, rejected=report.counts["rejected"])


def _valid(chunk: Iterable[Row], first_lines: FirstLines, report: Report) -> list[tuple[int, Entry]]:
    """The rows that can be taken as far as the file alone tells, with their lines."""
    found = []
    for row in chunk:
        entry = _read(row)
        fault = entry if isinstance(entry, Fault) else _again(entry, first_lines, row.line)
        if fault:
            report.reject(row.line, fault.column, fault.reason)
        elif isinstance(entry, Entry):
            found.append((row.line, entry))
    return found


@dataclass(frozen=True)
class Taken:
    """What came of a row: `result` added | changed | unchanged; `warning`: what is odd about it, "" = nothing."""

    result: str
    warning: str


def take_row(cells: dict[str, str], secret: str, now: datetime) -> Taken | Fault:
    """Take one row in, as the file would (inside a transaction), or say what is wrong with it."""
    missing = next((column for column in COLUMNS if column not in cells), None)
    unknown = next((column for column in cells if column not in (*COLUMNS, *OPTIONAL)), None)
    if missing or unknown:
        return Fault(missing, "is missing") if missing else Fault(str(unknown), "no such column")
    report = Report("")
    found = _read(Row(1, cells))
    if isinstance(found, Fault):
        return found
    ((_line, stored),) = _store([(1, found)], report, secret)
    if isinstance(stored, Fault):
        return stored
    (what,) = +report.counts  # without the words that count nothing
    audit.register_row_taken(now, serial=found.serial, result=what)
    odd = _crowded(stored, _beijing(now))
    return Taken(what, odd.reason if odd else "")


def _crowded(enterprise_id: int, today: date) -> Fault | None:
    """The office issued more keys than may be used: it is told so, and its rows stand; what counts is judged when a key is given or bound."""
    count = live_keys.live_of(enterprise_id, today)
    if count <= live_keys.MOST_LIVE:
        return None
    prefix = session.get_one(Enterprise, enterprise_id).prefix
    return Fault("enterprise_code", f"{prefix} has {count} live keys now; at most {live_keys.MOST_LIVE} of them can be used")


def _day(text: str) -> date | None:
    return date.fromisoformat(text.strip()) if text.strip() else None


def _read(row: Row) -> Entry | Fault:
    if row.fault:
        return Fault("row", row.fault)
    serial, enterprise = codes.normalise(row.cells["serial"]), codes.normalise(row.cells["enterprise_code"])
    holder, status = " ".join(row.cells["holder"].split()), row.cells["status"].strip().lower()
    licences = tuple(dict.fromkeys(row.cells["licences"].lower().split()))
    user_name, code = (row.cells.get(column, "").strip() for column in OPTIONAL)
    try:
        issued, expires = _day(row.cells["issued"]), _day(row.cells["expires"])
    except ValueError:
        return Fault("expires", "issued and expires must be dates like 2017-01-31")
    checks = (
        ("serial", SERIAL.fullmatch(serial) is not None, "not a serial (up to 40 letters, digits, dashes)"),
        ("enterprise_code", codes.is_code(enterprise) or codes.is_uscc(enterprise), "neither an enterprise code nor a USCC"),
        ("holder", len(holder) <= MAX_HOLDER_CHARACTERS, f"longer than {MAX_HOLDER_CHARACTERS} characters"),
        ("holder", not controls(holder), UNPRINTABLE),
        ("licences", all(SYSTEM.fullmatch(system) for system in licences), "not codes of business systems separated by blanks"),
        ("expires", not (issued and expires and expires < issued), "before the day of issue"),
        ("status", status in STATUSES, f"not one of {', '.join(STATUSES)}"),
        ("user_name", not user_name or USER_NAME.fullmatch(user_name) is not None, "not a user name (letters, digits, Chinese, . _ @ -)"),
        ("activation_code", not code or activation.CODE.fullmatch(code) is not None, "not 6 to 40 printable ASCII characters without blanks"),
    )
    for column, good, reason in checks:
        if not good:
            return Fault(column, reason)
    return Entry(serial, enterprise, holder, licences, issued, expires, status, user_name, code)


def _again(entry: Entry, first_lines: FirstLines, line: int) -> Fault | None:
    again = first_lines.again(line, entry.serial)
    return Fault("serial", f"{entry.serial} again; first in line {again[1]}") if again else None


def _beijing(now: datetime) -> date:
    return now.astimezone(BEIJING).date()


def _store(entries: Sequence[tuple[int, Entry]], report: Report, secret: str) -> list[tuple[int, int | Fault]]:
    """Keep entries of different serials: line, and the id of the enterprise or why it cannot be taken."""
    enterprises = register.find_all(entry.enterprise for _line, entry in entries)
    asked = [entry.serial for _line, entry in entries]
    known = {key.serial: key for key in session.scalars(select(EKey).where(EKey.serial.in_(asked)).options(selectinload(EKey.licences)))}
    found: list[tuple[int, int | Fault]] = []
    new: list[tuple[Entry, int]] = []
    for line, entry in entries:
        enterprise_id, _prefix = enterprises.get(entry.enterprise, (None, ""))
        key = known.get(entry.serial)
        fault = _fault(entry, enterprise_id, key)
        if fault or enterprise_id is None:
            found.append((line, fault or Fault("enterprise_code", "unknown")))
            continue
        found.append((line, enterprise_id))
        if key is None:
            new.append((entry, enterprise_id))
        else:
            report.counts["changed" if _fill(key, entry, secret) else "unchanged"] += 1
    session.flush()
    _add(new, secret)
    report.counts["added"] += len(new)
    return found


def _fault(entry: Entry, enterprise_id: int | None, key: EKey | None) -> Fault | None:
    if enterprise_id is None:
        return Fault("enterprise_code", f"{entry.enterprise} is not in the register of enterprises")
    # a key is issued to one enterprise; accounts hang on it, so it never wanders
    if key and key.enterprise_id != enterprise_id:
        return Fault("enterprise_code", f"the key is listed for {key.enterprise.prefix} already")
    return None


def _add(new: Sequence[tuple[Entry, int]], secret: str) -> None:
    """Keep keys that are not in the list yet."""
    keys = [
        {"user_name": "", "activation_digest": None, **_said(entry, secret), "serial": entry.serial, "enterprise_id": owner} for entry, owner in new
    ]
    insert_many(EKey, keys)
    insert_many(EKeyLicence, [{"serial": entry.serial, "system": system} for entry, _owner in new for system in entry.licences])


def _said(entry: Entry, secret: str) -> dict[str, object]:
    """What the entry says of the key itself, column by column."""
    says: dict[str, object] = {field: getattr(entry, field) for field in ("holder", "issued", "expires", "status")}
    says |= {"user_name": entry.user_name} if entry.user_name else {}
    return says | ({"activation_digest": activation.digest(secret, entry.serial, entry.activation_code)} if entry.activation_code else {})


def _fill(key: EKey, entry: Entry, secret: str) -> bool:
    """Give the key what the list says; whether anything was new."""
    new = {field: value for field, value in _said(entry, secret).items() if value != getattr(key, field)}
    for field, value in new.items():
        setattr(key, field, value)
    had = {licence.system for licence in key.licences}
    if had == set(entry.licences):
        return bool(new)
    key.licences = [licence for licence in key.licences if licence.system in entry.licences]
    key.licences += [EKeyLicence(system=system) for system in entry.licences if system not in had]
    return True
