"""The import of the register of enterprises: a UTF-8 file with the columns code, uscc, name, name_en, region, status.

An enterprise is known by its code, or by its USCC where it has none (R70). The register adds and updates; it never removes.
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import or_, select

from idp.audit import catalogue as audit
from idp.db import session
from idp.delimited import UNPRINTABLE, Fault, Form, Report, Row, controls, rows
from idp.enterprises import codes
from idp.enterprises.models import Enterprise

COLUMNS = ("code", "uscc", "name", "name_en", "region", "status")
STATUSES = ("active", "cancelled")
REGION = re.compile(r"[0-9]{0,12}")
MAX_NAME_CHARACTERS = 200
FLUSH_EVERY_ROWS = 500
DOUBTS = {
    "code_check_digit": ("code", "the check digit of the organisation code in it is wrong"),
    "code_uscc_mismatch": ("uscc", "does not contain the last nine characters of the code"),
}


@dataclass(frozen=True)
class Entry:
    """One valid row of the register."""

    code: str | None
    uscc: str | None
    name: str
    name_en: str
    region: str
    status: str


def find(code_or_uscc: str) -> Enterprise | None:
    """The enterprise with this normalised code or USCC."""
    by = Enterprise.code if codes.is_code(code_or_uscc) else Enterprise.uscc
    return session.scalar(select(Enterprise).where(by == code_or_uscc))


def import_file(path: Path, report: Report, now: datetime) -> None:
    """Take the register in (inside a transaction); rows that cannot be taken are reported and left out."""
    first_line: dict[str, int] = {}
    # no two rows are about the same thing, so nothing that is looked up waits unwritten: writes go out in bulk
    with session.no_autoflush:
        for number, row in enumerate(rows(path, Form(), COLUMNS, report), start=1):
            found = _read(row)
            fault = found if isinstance(found, Fault) else _again(found, first_line, row.line) or _store(found, report)
            if fault:
                report.reject(row.line, fault.column, fault.reason)
            elif isinstance(found, Entry):
                _doubt(found, row.line, report)
            if number % FLUSH_EVERY_ROWS == 0:
                session.flush()
    session.flush()
    if report.counts["added"] or report.counts["changed"]:
        accepted = report.counts["added"] + report.counts["changed"] + report.counts["unchanged"]
        audit.register_imported(now, kind="enterprises", accepted=accepted, rejected=report.counts["rejected"])


def _read(row: Row) -> Entry | Fault:
    if row.fault:
        return Fault("row", row.fault)
    code, uscc = codes.normalise(row.cells["code"]), codes.normalise(row.cells["uscc"])
    name, name_en = " ".join(row.cells["name"].split()), " ".join(row.cells["name_en"].split())
    region, status = row.cells["region"].strip(), row.cells["status"].strip().lower()
    checks = (
        ("code", bool(code or uscc), "neither an enterprise code nor a USCC"),
        ("code", not code or codes.is_code(code), "not an enterprise code (4 digits, 9 digits or capital letters)"),
        ("uscc", not uscc or codes.is_uscc(uscc), "not a USCC, or its check digit is wrong"),
        ("name", 0 < len(name) <= MAX_NAME_CHARACTERS, f"missing, or longer than {MAX_NAME_CHARACTERS} characters"),
        ("name_en", len(name_en) <= MAX_NAME_CHARACTERS, f"longer than {MAX_NAME_CHARACTERS} characters"),
        ("name", not controls(name), UNPRINTABLE),
        ("name_en", not controls(name_en), UNPRINTABLE),
        ("region", REGION.fullmatch(region) is not None, "not a region code (up to 12 digits)"),
        ("status", status in STATUSES, f"not one of {', '.join(STATUSES)}"),
    )
    for column, good, reason in checks:
        if not good:
            return Fault(column, reason)
    return Entry(code or None, uscc or None, name, name_en, region, status)


def _again(entry: Entry, first_line: dict[str, int], line: int) -> Fault | None:
    """A code that an earlier row of this file has; otherwise note this row's codes."""
    for column, value in (("code", entry.code), ("uscc", entry.uscc)):
        if value in first_line:
            return Fault(column, f"{value} again; first in line {first_line[value]}")
    first_line.update({value: line for value in (entry.code, entry.uscc) if value})
    return None


def _store(entry: Entry, report: Report) -> Fault | None:
    claims = [column == value for column, value in ((Enterprise.code, entry.code), (Enterprise.uscc, entry.uscc)) if value]
    known = list(session.scalars(select(Enterprise).where(or_(*claims))))
    if len(known) > 1:
        return Fault("uscc", "code and USCC belong to two enterprises")
    if not known:
        session.add(Enterprise(**asdict(entry)))
        report.counts["added"] += 1
        return None
    return _update(known[0], entry, report)


def _update(known: Enterprise, entry: Entry, report: Report) -> Fault | None:
    # a code once given is part of user names: neither code nor USCC is ever taken away or exchanged
    if entry.code and known.code and entry.code != known.code:
        return Fault("code", f"the enterprise with this USCC has the code {known.code}")
    if entry.uscc and known.uscc and entry.uscc != known.uscc:
        return Fault("uscc", f"the enterprise with this code has the USCC {known.uscc}")
    new = {field: value for field, value in asdict(entry).items() if value is not None and value != getattr(known, field)}
    for field, value in new.items():
        setattr(known, field, value)
    report.counts["changed" if new else "unchanged"] += 1
    return None


def _doubt(entry: Entry, line: int, report: Report) -> None:
    for doubt in codes.doubts(entry.code or "", entry.uscc or ""):
        report.warn(line, *DOUBTS[doubt])
