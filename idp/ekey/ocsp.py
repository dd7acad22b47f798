"""OCSP (RFC 6960, RFC 5019): the question, and what an answer says of a certificate."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from OpenSSL import crypto

from idp.ekey import der, signatures
from idp.ekey.chain import BROKEN, Trust, extension, verified
from idp.ekey.crl import GOOD, REVOKED
from idp.ekey.signatures import PublicKey, Signed

UNKNOWN = "ocsp_unknown"
# an answer that does not say when the next one comes counts this long; clocks differ by SKEW
UNDATED = timedelta(minutes=10)
SKEW = timedelta(minutes=1)
MAX_BYTES = 16 * 1024
MAX_CERTIFICATES = 4


@dataclass(frozen=True)
class Word:
    """What a sound answer says: good, revoked or ocsp_unknown, and until when that may be repeated."""

    status: str
    this_update: datetime
    until: datetime


def responder(certificate: x509.Certificate, allowed: Iterable[str]) -> str | None:
    """The responder that the certificate names, if the operator allows that very address."""
    named = extension(certificate, x509.AuthorityInformationAccess) or ()
    addresses = [each.access_location.value for each in named if each.access_method == AuthorityInformationAccessOID.OCSP]
    return next((address for address in addresses if address in set(allowed)), None)


def _key_bits(issuer: x509.Certificate) -> bytes:
    """The content of the BIT STRING of its key, which RFC 6960 §4.1.1 hashes."""
    return der.value(der.parts(signatures.key_info(issuer))[1])[1:]


def question(address: str, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    """The address of a GET (RFC 6960 A.1). Its SHA-1 only names the issuer: many responders know no other (RFC 5019 §2.1.1)."""
    name, key = sha1(issuer.subject.public_bytes()), sha1(_key_bits(issuer))  # noqa: S324  # names, proves nothing
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name.digest(), key.digest(), certificate.serial_number, hashes.SHA1())  # noqa: S303
    asked = builder.build().public_bytes(Encoding.DER)
    return f"{address.rstrip('/')}/{quote(base64.b64encode(asked), safe='')}"


def says(answer: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Word | None:
    """What `answer` says of the certificate; None if it says nothing that counts now."""
    if len(answer) > MAX_BYTES:
        return None
    try:
        found = ocsp.load_der_ocsp_response(answer)
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or not _signed(found, issuer, now):
            return None
        single = [each for each in found.responses if _about(each, certificate, issuer)]
        return _word(single[0], now) if len(single) == 1 else None
    except (crypto.Error, *BROKEN):
        return None


def _about(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    kind = {"sha1": sha1, "sha256": sha256}.get(single.hash_algorithm.name)
    if kind is None or single.serial_number != certificate.serial_number:
        return False
    return single.issuer_name_hash == kind(issuer.subject.public_bytes()).digest() and single.issuer_key_hash == kind(_key_bits(issuer)).digest()


def _word(single: ocsp.OCSPSingleResponse, now: datetime) -> Word | None:
    since, utc = single.this_update_utc, now.astimezone(UTC)
    until = single.next_update_utc or since + UNDATED
    if since > utc + SKEW or until <= utc:
        return None
    status = {ocsp.OCSPCertStatus.GOOD: GOOD, ocsp.OCSPCertStatus.REVOKED: REVOKED}.get(single.certificate_status, UNKNOWN)
    return Word(status, since, until)


def _signed(found: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether the CA signed it, or one whom it named for that (RFC 6960 §4.2.2.2)."""
    try:
        digest = found.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    signed = Signed(found.tbs_response_bytes, found.signature, found.signature_algorithm_oid.dotted_string, digest)
    return any(signatures.made_by(key, signed) for key in _responder_keys(found, issuer, now))


def _responder_keys(found: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> list[PublicKey]:
    delegates = [each for each in found.certificates[:MAX_CERTIFICATES] if _delegate(each, issuer, now)]
    keys = [signatures.public_key(each) for each in (issuer, *delegates)]
    return [key for key in keys if key is not None]


def _delegate(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    # §4.2.2.2.1: whether a delegate is revoked is not asked, so the CA must have said that nobody need
    if ExtendedKeyUsageOID.OCSP_SIGNING not in (extension(certificate, x509.ExtendedKeyUsage) or ()):
        return False
    if extension(certificate, x509.OCSPNoCheck) is None or not signatures.strong_digest(certificate):
        return False
    try:
        return len(verified(certificate, Trust((issuer,)), now)) > 1
    except crypto.X509StoreContextError:
        return False
