"""Client certificates (RFC 8705): read from the trusted proxy's header, judged against a CA, and compared with the one name that is registered.

What is malformed, too large, out of its time or not exactly one certificate is no certificate.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from idp import proxy
from idp.settings import Settings

BY_CA, SELF_SIGNED = "tls_client_auth", "self_signed_tls_client_auth"
METHODS = (BY_CA, SELF_SIGNED)
MIN_RSA_BITS = 2048
# whatever the parser says of bytes that a stranger sent
_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True)
class ClientCertificate:
    """The certificate whose key the client proved to the proxy; `x5t` is its thumbprint as tokens carry it (RFC 8705 §3.1)."""

    x5t: str
    parsed: x509.Certificate


@dataclass(frozen=True)
class Connection:
    """What the connection of a request shows: the client's certificate, and the CAs that one may come from."""

    certificate: ClientCertificate | None = None
    roots: Store | None = None


def thumbprint(der: bytes) -> str:
    """`x5t#S256` of a certificate."""
    return base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


# --- the header -----------------------------------------------------------------------------------------------------------------------------


def read(header: str | None, written: str, now: datetime) -> ClientCertificate | None:
    """The certificate in the proxy's header, written as `client_cert_format` says, if it counts at `now`."""
    der = proxy.certificate(header, written)
    if der is None:
        return None
    try:
        parsed = x509.load_der_x509_certificate(der)
        counts = parsed.not_valid_before_utc <= now.astimezone(UTC) <= parsed.not_valid_after_utc and not _weak(parsed)
    except _BROKEN:
        return None
    return ClientCertificate(thumbprint(der), parsed) if counts else None


def _weak(certificate: x509.Certificate) -> bool:
    # as for keys of a JWKS; the chain of a self-signed one is judged by nobody else
    key = certificate.public_key()
    return isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS


# --- the chain ------------------------------------------------------------------------------------------------------------------------------


def roots(file: Path | None) -> Store | None:
    """The certificates that every chain must end at: each in `file` is trusted, whether it signed itself or not."""
    return Store(x509.load_pem_x509_certificates(file.read_bytes())) if file is not None else None


def _leaf(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("a CA is no client")


def _usage(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not wanted & set(usage):
        raise ValueError("not for clients")


def _ca(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("no CA")


def _signs(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("not for certificates")


# RFC 5280 without the wishes of the Web PKI: CAs of ministries and firms name no subjectAltName, and often no key usage
_ANY = Criticality.AGNOSTIC
_OF_CLIENTS = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.BasicConstraints, _ANY, _leaf)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _usage)
    .may_be_present(x509.KeyUsage, _ANY, None)
    .may_be_present(x509.SubjectAlternativeName, _ANY, None)
)
_OF_CAS = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _ANY, _ca)
    .may_be_present(x509.KeyUsage, _ANY, _signs)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _usage)
    .may_be_present(x509.NameConstraints, _ANY, None)
)


def issued(certificate: ClientCertificate, under: Store | None, now: datetime) -> bool:
    """Whether one of the trusted CAs issued it for clients: signatures, times, basic constraints and extended key usage of the chain."""
    if under is None:
        return False
    policy = PolicyBuilder().store(under).time(now.astimezone(UTC).replace(tzinfo=None))
    try:
        policy.extension_policies(ee_policy=_OF_CLIENTS, ca_policy=_OF_CAS).build_client_verifier().verify(certificate.parsed, [])
    except (VerificationError, *_BROKEN):
        return False
    return True


# --- the name -------------------------------------------------------------------------------------------------------------------------------

_ATTRIBUTES = {
    "CN": NameOID.COMMON_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "E": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
}
# names of attributes are the same in all cases (RFC 4514 §2.3 takes them from RFC 4512 §1.4)
_SPELLINGS = {spelt: oid for name, oid in _ATTRIBUTES.items() for spelt in (name, name.lower(), name.upper())}


def subject(written: str) -> x509.Name:
    """A distinguished name as RFC 4514 writes it; ValueError if it is none."""
    found = x509.Name.from_rfc4514_string(written, _SPELLINGS)
    if not found.rdns:
        raise ValueError("empty")
    return found


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName | tuple[()]:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()


def _among(kind: type[Any], value: object, certificate: x509.Certificate) -> bool:
    return any(isinstance(name, kind) and name.value == value for name in _alternatives(certificate))


# registered member → whether a certificate has that name: structure with structure, all else to the letter (RFC 8705 §2.1.2)
NAMES: dict[str, Callable[[str, x509.Certificate], bool]] = {
    "tls_client_auth_subject_dn": lambda value, certificate: subject(value) == certificate.subject,
    "tls_client_auth_san_dns": lambda value, certificate: _among(x509.DNSName, value, certificate),
    "tls_client_auth_san_uri": lambda value, certificate: _among(x509.UniformResourceIdentifier, value, certificate),
    "tls_client_auth_san_ip": lambda value, certificate: _among(x509.IPAddress, ip_address(value), certificate),
    "tls_client_auth_san_email": lambda value, certificate: _among(x509.RFC822Name, value, certificate),
}


def named(certificate: ClientCertificate, own: Any) -> bool:
    """Whether it has the one name that this registration gives."""
    for member, has in NAMES.items():
        value = getattr(own, member)
        if value is not None:
            try:
                return has(value, certificate.parsed)
            except _BROKEN:
                return False
    return False


# --- registration ---------------------------------------------------------------------------------------------------------------------------


def fault(own: Any) -> str | None:
    """Why this registration cannot be proven by certificates; None if it can, or is not to be."""
    names = {name: value for name in NAMES if (value := getattr(own, name)) is not None}
    # RFC 8705 §2.1.2
    if len(names) != (own.token_endpoint_auth_method == BY_CA):
        return f"{BY_CA} needs exactly one of {', '.join(NAMES)}; other methods have none"
    return _misspelt(names)


def _misspelt(names: dict[str, str]) -> str | None:
    try:
        for name, value in names.items():
            {"tls_client_auth_subject_dn": subject, "tls_client_auth_san_ip": ip_address}.get(name, str)(value)
    except ValueError:
        return f"{name}: {value!r} cannot stand in a certificate; a subject is written like CN=export.example,O=商务部,C=CN (RFC 4514)"
    return None


def methods(settings: Settings) -> tuple[str, ...]:
    """The methods by which clients can prove themselves here with a certificate."""
    if not settings.client_cert_header:
        return ()
    return METHODS if settings.mtls_ca_file is not None else (SELF_SIGNED,)


def not_offered(own: Any, settings: Settings) -> str | None:
    """What this registration relies on although nobody hands certificates on here; None if there is no such thing."""
    method = own.token_endpoint_auth_method
    if method in METHODS and method not in methods(settings):
        return f"{method}: not offered here; it needs IDP_CLIENT_CERT_HEADER{' and IDP_MTLS_CA_FILE' if method == BY_CA else ''}"
    if own.tls_client_certificate_bound_access_tokens and not settings.client_cert_header:
        return "tls_client_certificate_bound_access_tokens: not offered here; it needs IDP_CLIENT_CERT_HEADER"
    return None
