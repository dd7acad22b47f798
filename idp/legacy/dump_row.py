"""One row of an old system's dump → one normalised entry, or the fault for which it is left out."""

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from idp.accounts import contacts, directory, password_hashes
from idp.delimited import UNPRINTABLE, Fault, Report, Row, controls
from idp.enterprises import codes
from idp.legacy.mapping import Mapping, Status

MAX_USERNAME_CHARACTERS = 128
MAX_CONTACT_CHARACTERS = 100
MAX_CODE_CHARACTERS = 40


@dataclass(frozen=True)
class Entry:
    """One user of an old system, normalised: `enterprise` code or USCC, `key` a serial or "", `password` the old hash or ""."""

    username: str
    username_key: str
    password: str
    enterprise: str
    key: str
    contact: str
    mobile: str | None
    email: str | None
    enabled: bool
    last_login: date | None


def read(row: Row, mapping: Mapping, report: Report) -> Entry | Fault:
    """The entry of a row. Contacts that are none are dropped with a warning; every other fault leaves the row out."""
    if row.fault:
        return Fault("row", row.fault)
    text = {field: _text(row, column, mapping) for field, column in mapping.fields.items()}
    enabled, last_login = _status(text["status"], mapping.status), _day(text["last_login"], mapping.dates)
    username = directory.normalise(text["username"])
    entry = Entry(
        username=username,
        username_key=username.casefold(),
        password=text["password"],
        enterprise=codes.normalise(text["enterprise"]),
        key=codes.normalise(text["key"]),
        contact=" ".join(text["contact"].split()),
        mobile=contacts.read_mobile(text["mobile"]) if text["mobile"] else None,
        email=contacts.read_email(text["email"]) if text["email"] else None,
        enabled=bool(enabled),
        last_login=last_login if isinstance(last_login, date) else None,
    )
    fault = _fault(entry, text, mapping)
    fault = fault or (Fault("status", "neither one of the mapping's words for on nor for off") if enabled is None else None)
    fault = fault or (last_login if isinstance(last_login, Fault) else None)
    if fault:
        return Fault(getattr(mapping.columns, fault.column) or fault.column, fault.reason)
    _warn(entry, text, row, mapping, report)
    return entry


def _text(row: Row, column: str | None, mapping: Mapping) -> str:
    """A cell without blanks around it; "" for a column the system does not have and for the mapping's words for nothing."""
    text = row.cells[column].strip() if column else ""
    return "" if text in mapping.null else text


def _fault(entry: Entry, text: dict[str, str], mapping: Mapping) -> Fault | None:
    """The first fault of an entry, by the name the mapping gives the field."""
    checks = (
        ("username", bool(text["username"]), "no user name"),
        ("username", 0 < max(len(entry.username), len(entry.username_key)) <= MAX_USERNAME_CHARACTERS, "not a user name: too long, or unprintable"),
        ("enterprise", codes.is_code(entry.enterprise) or codes.is_uscc(entry.enterprise), "not an enterprise code, nor a USCC"),
        ("key", not entry.key or (len(entry.key) <= MAX_CODE_CHARACTERS and entry.key.isprintable()), "not the serial of a key"),
        ("key", bool(entry.key) == bool(text["key"]), "not the serial of a key"),
        ("contact", len(entry.contact) <= MAX_CONTACT_CHARACTERS, f"longer than {MAX_CONTACT_CHARACTERS} characters"),
        ("contact", not controls(entry.contact), UNPRINTABLE),
        ("password", not entry.password or password_hashes.fits(mapping.password.scheme, entry.password), f"not a hash of {mapping.password.scheme}"),
    )
    return next((Fault(field, reason) for field, good, reason in checks if not good), None)


def _word(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:MAX_CODE_CHARACTERS]).casefold()


# few words, and few days, stand in many rows
@lru_cache(maxsize=256)
def _status(text: str, status: Status) -> bool | None:
    """True for on, False for off, None for a word that the mapping does not know."""
    if _word(text) in map(_word, status.on):
        return True
    return False if _word(text) in map(_word, status.off) else None


@lru_cache(maxsize=4096)
def _day(text: str, forms: tuple[str, ...]) -> date | Fault | None:
    if not text:
        return None
    for form in forms:
        try:
            found = datetime.strptime(text, form)  # noqa: DTZ007  # only its date is used
        except ValueError:
            continue
        # strptime reads 2018111 by %Y%m%d one way of two: without separators the text must be exactly what the form writes
        if any(sign in form for sign in "-/. ") or found.strftime(form) == text:
            return found.date()
    return Fault("last_login", "not a date in one of the mapping's forms")


def _warn(entry: Entry, text: dict[str, str], row: Row, mapping: Mapping, report: Report) -> None:
    if text["mobile"] and entry.mobile is None:
        report.warn(row.line, mapping.columns.mobile or "mobile", "not a mobile number; left empty")
    if text["email"] and entry.email is None:
        report.warn(row.line, mapping.columns.email or "email", "not a mail address; left empty")
