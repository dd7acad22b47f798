"""Revocation lists (RFC 5280 §5): what one says of a certificate, and whether a fetched one may take the place of its predecessor."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from idp.ekey import signatures
from idp.ekey.chain import BROKEN, Trust, extension, verified
from idp.ekey.signatures import Signed

GOOD, REVOKED, MISSING = "good", "revoked", "crl_missing"
# the largest number that a list may bear, as hexadecimal digits (RFC 5280 §5.2.3: 20 octets)
NUMBER_DIGITS = 40
# X509_V_ERR_… of OpenSSL (x509_vfy.h)
_SAID = {8: "crl_signature", 11: "crl_early", 12: "crl_stale", 23: REVOKED}


@dataclass(frozen=True)
class RevocationList:
    """A list that a CA of ours signed. `number` as hexadecimal digits of fixed width, so that texts compare like numbers."""

    issuer: str
    number: str
    this_update: datetime
    next_update: datetime
    der: bytes


def authority_id(certificate: x509.Certificate) -> str:
    """A CA, by its name and key: certificates that it renews for the same key are the same CA."""
    return sha256(certificate.subject.public_bytes() + signatures.key_info(certificate)).hexdigest()


def says(lists: Iterable[bytes], certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> str:
    """What the lists (DER) say of a certificate of `issuer`: revoked if one of them says so, good if one is sound; else why none counts."""
    found = [_says(each, certificate, issuer, now) for each in lists]
    return next((word for word in (REVOKED, GOOD) if word in found), found[0] if found else MISSING)


def _says(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> str:
    try:
        revoked = x509.load_der_x509_crl(der)
        # OpenSSL takes a list without end for one that never ends
        if revoked.next_update_utc is None:
            return "crl_stale"
        verified(certificate, Trust((issuer,)), now, revoked)
    except crypto.X509StoreContextError as error:
        return _SAID.get(error.errors[0], "crl_unfit")
    except (crypto.Error, *BROKEN):
        return "crl_unfit"
    return GOOD


# --- a fetched list -------------------------------------------------------------------------------------------------------------------------


def read(der: bytes, authorities: Iterable[x509.Certificate], now: datetime) -> RevocationList | str:
    """A list by one of these CAs that counts at `now`; else the reason as a stable code."""
    try:
        found = x509.load_der_x509_crl(der)
        number, until = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number, found.next_update_utc
    except x509.ExtensionNotFound:
        # RFC 5280 §5.2.3: without a number nothing tells an old list from a new one
        return "crl_number"
    except BROKEN:
        return "crl_unfit"
    if number < 0 or number >= 16**NUMBER_DIGITS or found.public_bytes(Encoding.DER) != der:
        return "crl_unfit"
    if until is None or until <= now.astimezone(UTC):
        return "crl_stale"
    if found.last_update_utc > now.astimezone(UTC):
        return "crl_early"
    issuer = next((each for each in authorities if _made(found, each)), None)
    if issuer is None:
        return "crl_signature"
    return RevocationList(authority_id(issuer), f"{number:0{NUMBER_DIGITS}x}", found.last_update_utc, until, der)


def _made(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    usage, key = extension(issuer, x509.KeyUsage), signatures.public_key(issuer)
    if found.issuer != issuer.subject or key is None or (usage is not None and not usage.crl_sign):
        return False
    try:
        digest = found.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    return signatures.made_by(key, Signed(found.tbs_certlist_bytes, found.signature, found.signature_algorithm_oid.dotted_string, digest))


def rolls_back(new: RevocationList, number: str, this_update: datetime) -> bool:
    """Whether `new` is older than the list that is known by `number` and `this_update`."""
    return new.number < number or new.this_update < this_update
