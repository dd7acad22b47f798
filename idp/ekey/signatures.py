"""Public keys of certificates, and what they signed: RSA, the NIST curves and SM2 alike."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from idp.ekey import der, sm2
from idp.ekey.protocol import Algorithm

MIN_RSA_BITS = 2048
_VERSION_TAG = 0xA0
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
# digests that nobody can make collide
STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Sm2Key:
    """The public point X‖Y of an SM2 key."""

    point: bytes


PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Sm2Key


def key_info(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo as it stands in the certificate; of version 1 ones too (RFC 5280 §4.1)."""
    fields = der.parts(certificate.tbs_certificate_bytes)
    return fields[6 if fields[0][0] == _VERSION_TAG else 5]


def public_key(certificate: x509.Certificate) -> PublicKey | None:
    """The key, if it is of a kind and strength that counts here."""
    point = sm2.point_of(key_info(certificate))
    if point is not None:
        return Sm2Key(point)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size >= MIN_RSA_BITS else None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES) else None


def strong_digest(certificate: x509.Certificate) -> bool:
    """Whether its issuer signed it with SHA-2 or SM3."""
    if certificate.signature_algorithm_oid.dotted_string == sm2.SIGNATURE_OID:
        return True
    try:
        return isinstance(certificate.signature_hash_algorithm, STRONG)
    except UnsupportedAlgorithm:
        return False


@dataclass(frozen=True)
class Signed:
    """Something of a CA that is signed (a revocation list, an OCSP answer): its bytes, the signature, the OID of the algorithm, its digest."""

    content: bytes
    signature: bytes
    algorithm: str
    digest: hashes.HashAlgorithm | None


def made_by(key: PublicKey, signed: Signed) -> bool:
    """Whether the holder of `key` signed it, with a strong digest."""
    if isinstance(key, Sm2Key):
        return signed.algorithm == sm2.SIGNATURE_OID and sm2.verifies_der(key.point, signed.content, signed.signature)
    if not isinstance(signed.digest, STRONG):
        return False
    return _made(key, signed.content, signed.signature, signed.digest)


def _made(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, content: bytes, signature: bytes, digest: hashes.HashAlgorithm) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), digest)
        else:
            key.verify(signature, content, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


# --- tokens ---------------------------------------------------------------------------------------------------------------------------------

_CURVE_ALGORITHMS = {"secp256r1": Algorithm.ES256, "secp384r1": Algorithm.ES384}


def algorithm_of(key: PublicKey) -> Algorithm | None:
    """The one algorithm by which a card with this key signs."""
    if isinstance(key, Sm2Key):
        return Algorithm.SM2
    return Algorithm.RS256 if isinstance(key, rsa.RSAPublicKey) else _CURVE_ALGORITHMS.get(key.curve.name)


def answers(key: PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether `signature`, as tokens write it (r‖s for curves, nothing behind it), is one of `content` by this key, with its own algorithm."""
    if isinstance(key, Sm2Key):
        return sm2.verifies(key.point, content, signature)
    if isinstance(key, rsa.RSAPublicKey):
        return _made(key, content, signature, hashes.SHA256())
    half = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * half:
        return False
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return _made(key, content, encode_dss_signature(r, s), hashes.SHA384() if key.curve.name == "secp384r1" else hashes.SHA256())
