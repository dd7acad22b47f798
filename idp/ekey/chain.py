"""Steps 1 and 2: one certificate, read strictly, and its path to a root that the operator configured, at a given time.

OpenSSL builds and checks the path (signatures, times, basic constraints, path lengths, name constraints), since it knows SM2 as well. Certificates
between come from the operator, never from the card.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from idp.adapters import BEIJING
from idp.ekey import signatures
from idp.ekey.refusal import Refused

Kind = TypeVar("Kind", bound=x509.ExtensionType)
MAX_CERTIFICATE_BYTES = 8 * 1024
# whatever the parser says of bytes that a stranger sent
BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_PURPOSES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
# X509_V_ERR_… of OpenSSL (x509_vfy.h)
_NOT_YET_VALID, _EXPIRED = 9, 10
_NO_ISSUER = frozenset({2, 18, 19, 20, 21})


@dataclass(frozen=True)
class Trust:
    """The roots, each trusted as it stands, and the CAs between them and the cards, which must prove themselves and be unrevoked."""

    roots: tuple[x509.Certificate, ...]
    between: tuple[x509.Certificate, ...] = ()

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """All of them."""
        return (*self.roots, *self.between)


def load(roots: Path | None, between: Path | None) -> Trust:
    """The certificates of the configured files; no file = no trust."""

    def read(file: Path | None) -> tuple[x509.Certificate, ...]:
        return tuple(x509.load_pem_x509_certificates(file.read_bytes())) if file is not None else ()

    return Trust(read(roots), read(between))


def parse(der: bytes) -> x509.Certificate | Refused:
    """Step 1: exactly one X.509 v3 certificate in DER, all of whose extensions can be read."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        return Refused(1, "malformed", "size")
    try:
        found = x509.load_der_x509_certificate(der)
        sound = found.version is x509.Version.v3 and found.public_bytes(Encoding.DER) == der and len(found.extensions) > 0
        # read here what is read lazily, so that nothing raises further on
        sound = (
            sound
            and found.serial_number > 0
            and bool(found.subject.rdns)
            and bool(found.issuer.rdns)
            and found.not_valid_before_utc <= found.not_valid_after_utc
        )
        signatures.public_key(found)
    except BROKEN as error:
        return Refused(1, "malformed", type(error).__name__)
    return found if sound else Refused(1, "malformed", "form")


def verified(certificate: x509.Certificate, trust: Trust, now: datetime, crl: x509.CertificateRevocationList | None = None) -> list[x509.Certificate]:
    """The path from `certificate` to a root; X509StoreContextError if there is none. With `crl` its issuer's word on it counts too."""
    store = crypto.X509Store()
    for root in trust.roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    # the time replaces all parameters, so it comes first
    store.set_time(now.astimezone(UTC))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | (crypto.X509StoreFlags.CRL_CHECK if crl is not None else 0))
    if crl is not None:
        store.add_crl(crl)
    between = [crypto.X509.from_cryptography(each) for each in trust.between]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate), between)
    return [each.to_cryptography() for each in context.get_verified_chain()]


def path(certificate: x509.Certificate, trust: Trust, now: datetime) -> list[x509.Certificate] | Refused:
    """Step 2: the card's certificate, the CAs between, the root."""
    try:
        found = verified(certificate, trust, now)
    except crypto.X509StoreContextError as error:
        return _dated(_refused(error), certificate)
    except (crypto.Error, *BROKEN) as error:
        return Refused(2, "path", type(error).__name__)
    # a root is nobody's card
    return _fault_of_issuers(found) or (found if len(found) > 1 else Refused(2, "path", "root"))


def _dated(refused: Refused, certificate: x509.Certificate) -> Refused:
    ends = {"expired": certificate.not_valid_after_utc, "not_yet_valid": certificate.not_valid_before_utc}
    at = ends.get(refused.reason)
    return replace(refused, day=at.astimezone(BEIJING).date()) if at is not None else refused


def _refused(error: crypto.X509StoreContextError) -> Refused:
    number, depth = error.errors[0], error.errors[1]
    detail = f"{number} at {depth}"
    if number in (_EXPIRED, _NOT_YET_VALID):
        own = "expired" if number == _EXPIRED else "not_yet_valid"
        return Refused(2, own if depth == 0 else "issuer_out_of_time", detail)
    return Refused(2, "unknown_issuer" if number in _NO_ISSUER else "path", detail)


def _fault_of_issuers(found: list[x509.Certificate]) -> Refused | None:
    """What OpenSSL lets pass: CAs without basic constraints, for other purposes, with weak keys or digests."""
    for issuer in found[1:]:
        if signatures.public_key(issuer) is None:
            return Refused(2, "issuer_weak", "key")
    for issuer in found[1:-1]:
        if not signatures.strong_digest(issuer):
            return Refused(2, "issuer_weak", "digest")
        if not _is_ca(issuer):
            return Refused(2, "issuer_no_ca")
    return None


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    return constraints is not None and constraints.ca and (purposes is None or bool(_PURPOSES & set(purposes)))


def extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """The value of an extension, None where it is absent."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
