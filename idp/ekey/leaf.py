"""Steps 4 and 6: what a card's certificate must be good for, and the name that stands on it."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from idp.accounts import directory
from idp.db import dumps
from idp.ekey import der, signatures
from idp.ekey.chain import BROKEN, extension
from idp.ekey.refusal import Refused
from idp.enterprises import codes
from idp.key_register.office_list import SERIAL, USER_NAME

UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_UTF8_STRING = 0x0C


def fault(certificate: x509.Certificate, policy_oid: str) -> Refused | None:
    """Step 4: a signing key of a person, strong enough, under the configured policy ("" = any)."""
    checks = (
        ("ca_as_leaf", _is_no_ca(certificate)),
        ("key_usage", (usage := extension(certificate, x509.KeyUsage)) is not None and usage.digital_signature),
        ("extended_key_usage", ExtendedKeyUsageOID.CLIENT_AUTH in (extension(certificate, x509.ExtendedKeyUsage) or ())),
        ("policy", not policy_oid or _has_policy(certificate, policy_oid)),
        ("weak_key", signatures.public_key(certificate) is not None),
        ("weak_digest", signatures.strong_digest(certificate)),
    )
    return next((Refused(4, reason) for reason, good in checks if not good), None)


def _is_no_ca(certificate: x509.Certificate) -> bool:
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    return not (constraints is not None and constraints.ca) and not (usage is not None and usage.key_cert_sign)


def _has_policy(certificate: x509.Certificate, policy_oid: str) -> bool:
    policies = extension(certificate, x509.CertificatePolicies) or ()
    return any(policy.policy_identifier.dotted_string == policy_oid for policy in policies)


# --- 6 --------------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """Whom a certificate names. `issuer` and `subject` are digests, by which a binding finds it.

    `serial` (of the key, EK…) and `organisation` (enterprise code or USCC) are "" where it carries none.
    """

    name: str
    serial: str
    organisation: str
    issuer: str
    subject: str
    fingerprint: str
    not_after: datetime
    holder: str = ""


def identity(found: list[x509.Certificate], rule: str) -> Identity | Refused:
    """Step 6, for a proven path: the name by `rule` (CN | UPN | the OID of an attribute of the subject), and what else binds."""
    certificate = found[0]
    try:
        name, serial = _only(_names(certificate, rule)), _only(_attributes(certificate, NameOID.SERIAL_NUMBER), "")
        organisation = _only(_attributes(certificate, NameOID.ORGANIZATION_IDENTIFIER), "")
    except BROKEN:
        return Refused(6, "name", "unreadable")
    if name is None or not USER_NAME.fullmatch(name) or directory.normalise(name) != name:
        return Refused(6, "name")
    if serial is None or organisation is None or (serial and not SERIAL.fullmatch(serial)):
        return Refused(6, "serial")
    if organisation and not (codes.is_code(organisation) or codes.is_uscc(organisation)):
        return Refused(6, "serial", "organisation")
    fingerprint = sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    issuer, subject = digest(found[1].subject), digest(certificate.subject)
    holder = digest(certificate.subject, NameOID.SERIAL_NUMBER)
    return Identity(name, serial, organisation, issuer, subject, fingerprint, certificate.not_valid_after_utc, holder)


def digest(name: x509.Name, without: x509.ObjectIdentifier | None = None) -> str:
    """A distinguished name (`without` an attribute) as 64 characters, the same however its strings are encoded."""
    parts = [
        sorted([each.oid.dotted_string, unicodedata.normalize("NFC", str(each.value))] for each in rdn if each.oid != without) for rdn in name.rdns
    ]
    return sha256(dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _only(found: Iterable[str], absent: str | None = None) -> str | None:
    """The one value; `absent` if there is none, None if there are several."""
    values = list(found)
    return absent if not values else values[0] if len(values) == 1 else None


def _attributes(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]


def _names(certificate: x509.Certificate, rule: str) -> list[str]:
    if rule == "CN":
        return _attributes(certificate, NameOID.COMMON_NAME)
    if rule != "UPN":
        return _attributes(certificate, x509.ObjectIdentifier(rule))
    others = [name for name in extension(certificate, x509.SubjectAlternativeName) or () if isinstance(name, x509.OtherName)]
    return [_text(name.value) for name in others if name.type_id == UPN]


def _text(encoded: bytes) -> str:
    """The characters of a UTF8String; ValueError if it is something else."""
    if encoded[:1] != bytes([_UTF8_STRING]):
        raise ValueError("no UTF8String")
    return der.value(encoded).decode()
