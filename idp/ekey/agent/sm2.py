"""SM2 keys on cards (GB/T 32918.2, GM/T 0009): whose key it is, and the digest that the card signs. The signature itself is the card's.

No library here takes such keys out of a certificate, and PIV has no number for the algorithm: ours is a private one.
"""

import hashlib

from cryptography import x509

# the curve's a, b, G (GB/T 32918.5 §2) and the one identifier that is in use, behind its length in bits
_FIXED = bytes.fromhex(
    "0080"
    "31323334353637383132333435363738"
    "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
    "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)
# SubjectPublicKeyInfo of an SM2 key up to the point: id-ecPublicKey, the curve, an uncompressed point
_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
POINT_BYTES = 64
POSSIBLE = "sm3" in hashlib.algorithms_available


def point_of(certificate: x509.Certificate) -> bytes | None:
    """The public key X‖Y, None where it is of another kind; like all that is read here, for the server to prove."""
    point = certificate.tbs_certificate_bytes.partition(_KEY)[2][:POINT_BYTES]
    return point if len(point) == POINT_BYTES else None


def digest(certificate: bytes, message: bytes) -> bytes:
    """SM3 of Z and `message`, where Z binds the key of this certificate (GB/T 32918.2 §5.5, §6.1)."""
    z = hashlib.new("sm3", _FIXED + (point_of(x509.load_der_x509_certificate(certificate)) or b"")).digest()
    return hashlib.new("sm3", z + message).digest()
