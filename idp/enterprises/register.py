"""The import of the register of enterprises: a UTF-8 file with the columns code, uscc, name, name_en, region, status.

An enterprise is known by its code, or by its USCC where it has none (R70). The register adds and updates; it never removes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import or_, select

from idp.audit import catalogue as audit
from idp.db import insert_many, session
from idp.delimited import UNPRINTABLE, Fault, FirstLines, Form, Report, Row, chunks, controls, rows
from idp.enterprises import codes
from idp.enterprises.models import Enterprise

COLUMNS = ("code", "uscc", "name", "name_en", "region", "status")
STATUSES = ("active", "cancelled")
REGION = re.compile(r"[0-9]{0,12}")
MAX_NAME_CHARACTERS = 200
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


def find_all(codes_or_usccs: Iterable[str]) -> dict[str, tuple[int, str]]:
    """The same for many at once: what was asked for → id and prefix; who is not in the register is left out."""
    asked = set(codes_or_usccs)
    statement = select(Enterprise.id, Enterprise.code, Enterprise.uscc).where(or_(Enterprise.code.in_(asked), Enterprise.uscc.in_(asked)))
    found = session.execute(statement).all()
    return {asked_for: (number, code or uscc or "") for number, code, uscc in found for asked_for in (code, uscc) if asked_for in asked}


def import_file(path: Path, report: Report, now: datetime) -> None:
    """Take the register in (inside a transaction); rows that cannot be taken are reported and left out."""
    first_lines = FirstLines()
    for chunk in chunks(rows(path, Form(), COLUMNS, report)):
        _store(_valid(chunk, first_lines, report), report)
    if report.counts["added"] or report.counts["changed"]:
        accepted = report.counts["added"] + report.counts["changed"] + report.counts["unchanged"]
        audit.register_imported(now, kind="enterprises", accepted=accepted, rejected=report.counts["rejected"])


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


def _again(entry: Entry, first_lines: FirstLines, line: int) -> Fault | None:
    """A code that an earlier row of this file has; otherwise note this row's codes."""
    again = first_lines.again(line, *(value for value in (entry.code, entry.uscc) if value))
    return Fault("code" if again[0] == entry.code else "uscc", f"{again[0]} again; first in line {again[1]}") if again else None


def _store(entries: Sequence[tuple[int, Entry]], report: Report) -> None:
    """Keep entries of which no two share a code, so that none is about what another one of them makes or changes."""
    known = _known([entry for _line, entry in entries])
    new = []
    for line, entry in entries:
        ours = {found.id: found for found in (known.get(entry.code or ""), known.get(entry.uscc or "")) if found}
        fault = Fault("uscc", "code and USCC belong to two enterprises") if len(ours) > 1 else None
        for enterprise in ours.values():
            fault = fault or _update(enterprise, entry, report)
        if fault:
            report.reject(line, fault.column, fault.reason)
            continue
        if not ours:
            new.append(asdict(entry))
        _doubt(entry, line, report)
    session.flush()
    insert_many(Enterprise, new)
    report.counts["added"] += len(new)


def _known(entries: Sequence[Entry]) -> dict[str, Enterprise]:
    """Code or USCC → the enterprise that has it."""
    asked = {value for entry in entries for value in (entry.code, entry.uscc) if value}
    found = session.scalars(select(Enterprise).where(or_(Enterprise.code.in_(asked), Enterprise.uscc.in_(asked)))).all()
    return {value: enterprise for enterprise in found for value in (enterprise.code, enterprise.uscc) if value}


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
