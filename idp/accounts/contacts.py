"""Mobile numbers and mail addresses: read, normalise, mask, note as given (R29, R57). Proof by code belongs to one_time_codes."""

from dataclasses import dataclass
from datetime import datetime

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from idp import limits
from idp.accounts.models import Account
from idp.audit import catalogue as audit
from idp.errors import Refusal

HOME_REGION = "CN"
# whatever numbers are tried: nobody pesters the world through one account
CODES_PER_ACCOUNT = limits.Rule("contacts.codes.day", 20, 24 * 3600)
MAX_CHARACTERS = 254
MOBILE_KINDS = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


@dataclass(frozen=True)
class Contacts:
    """Normalised contacts: E.164 and a lower-case domain; None = not given."""

    mobile: str | None
    email: str | None


def read_mobile(typed: str) -> str | None:
    """E.164 of a mobile number (Chinese without prefix, others with +), None if it is none."""
    if len(typed) > MAX_CHARACTERS:
        return None
    try:
        number = phonenumbers.parse(typed, HOME_REGION)
    except phonenumbers.NumberParseException:
        return None
    # a number that is not valid is of no kind
    if number.extension or phonenumbers.number_type(number) not in MOBILE_KINDS:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def read_email(typed: str) -> str | None:
    """One plain ASCII address, None if it is none; no look-up in the DNS."""
    if len(typed) > MAX_CHARACTERS:
        return None
    try:
        return validate_email(typed.strip(), check_deliverability=False, allow_smtputf8=False, test_environment=True).normalized
    except EmailNotValidError:
        return None


def read(mobile: str, email: str) -> Contacts | list[Refusal]:
    """Both fields of a form; at least one must be given."""
    faults = []
    found = Contacts(read_mobile(mobile) if mobile.strip() else None, read_email(email) if email.strip() else None)
    if mobile.strip() and found.mobile is None:
        faults.append(Refusal("mobile_invalid", "mobile"))
    if email.strip() and found.email is None:
        faults.append(Refusal("email_invalid", "email"))
    if not mobile.strip() and not email.strip():
        faults.append(Refusal("contacts_missing", "mobile"))
    return faults or found


def give(account: Account, contacts: Contacts, now: datetime) -> None:
    """Note what the person gave, unproven; a contact that was proven and is unchanged stays so."""
    if contacts.mobile and contacts.mobile != account.mobile:
        account.mobile, account.mobile_proven_at = contacts.mobile, None
    if contacts.email and contacts.email != account.email:
        account.email, account.email_proven_at = contacts.email, None
    account.contacts_given_at = account.updated_at = now
    kinds = [kind for kind, value in (("mobile", contacts.mobile), ("email", contacts.email)) if value]
    audit.contacts_given(now, account_id=account.id, kinds=kinds)


def prove(account: Account, kind: str, now: datetime) -> None:
    """The person could read what went to this contact; `kind` mobile | email."""
    if kind == "mobile":
        account.mobile_proven_at = now
    else:
        account.email_proven_at = now
    account.updated_at = now
    audit.contact_proven(now, account_id=account.id, kind=kind)


def mask_mobile(value: str) -> str:
    """138****8000: the first three and last four digits."""
    digits = value.removeprefix("+86")
    return f"{digits[:3]}****{digits[-4:]}"


def mask_email(value: str) -> str:
    """First letter of the mailbox and the domain."""
    mailbox, _, domain = value.partition("@")
    return f"{mailbox[:1]}***@{domain}"
