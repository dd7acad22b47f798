"""SM2 with SM3 (GB/T 32918.2, GB/T 35276): keys, message signatures as r‖s, and certificates and lists signed with it.

`cryptography` reads certificates with SM2 keys but neither verifies nor makes such signatures, so `gmssl-pyx` does. The distinguishing
identifier is the fixed one of GM/T 0009; no other is ever accepted.
"""

import base64
from dataclasses import dataclass

import gmssl_pyx
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from idp.ekey import der
from idp.errors import ConfigurationError

IDENTIFIER = b"1234567812345678"
POINT_BYTES = 64
HALF_BYTES = 32
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SIGNATURE_OID = "1.2.156.10197.1.501"
CURVE_OID = "1.2.156.10197.1.301"
# AlgorithmIdentifiers: id-ecPublicKey with the curve SM2; SM2-with-SM3 without parameters
_KEY_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
_SIGNATURE_ALGORITHM = bytes.fromhex("300a06082a811ccf55018375")
_HEAD, _FOOT = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
_VERSION_0, _VERSION_1 = bytes.fromhex("020100"), bytes.fromhex("020101")


@dataclass(frozen=True)
class PrivateKey:
    """A pair; `point` is X‖Y, `secret` the number, both big-endian."""

    point: bytes
    secret: bytes

    @classmethod
    def generate(cls) -> "PrivateKey":
        """A fresh one."""
        return cls(*gmssl_pyx.sm2_key_generate())

    def sign(self, message: bytes) -> bytes:
        """The signature as DER, as certificates carry it."""
        return bytes(gmssl_pyx.sm2_sign(self.secret, self.point, message, IDENTIFIER))

    def sign_raw(self, message: bytes) -> bytes:
        """The signature as r‖s, as tokens carry it."""
        r, s = decode_dss_signature(self.sign(message))
        return r.to_bytes(HALF_BYTES, "big") + s.to_bytes(HALF_BYTES, "big")

    def pkcs8(self) -> bytes:
        """The key as PKCS#8 DER (RFC 5958, RFC 5915)."""
        inner = der.tlv(0x30, _VERSION_1, der.tlv(0x04, self.secret), der.tlv(0xA1, der.tlv(0x03, b"\0\x04", self.point)))
        return der.tlv(0x30, _VERSION_0, _KEY_ALGORITHM, der.tlv(0x04, inner))

    def pem(self) -> bytes:
        """The same in PEM (RFC 7468 §10)."""
        return b"%s\n%s%s\n" % (_HEAD, base64.encodebytes(self.pkcs8()), _FOOT)

    @classmethod
    def from_pem(cls, written: bytes) -> "PrivateKey":
        """What `pem` wrote; ValueError if it is something else."""
        _, head, rest = written.partition(_HEAD)
        body, foot, _ = rest.partition(_FOOT)
        if not head or not foot:
            raise ValueError("no private key")
        return cls.from_pkcs8(base64.b64decode(b"".join(body.split()), validate=True))

    @classmethod
    def from_pkcs8(cls, encoded: bytes) -> "PrivateKey":
        """What `pkcs8` wrote; ValueError if it is something else."""
        _, algorithm, wrapped = der.parts(encoded)
        if algorithm != _KEY_ALGORITHM:
            raise ValueError("no SM2 key")
        _, secret, public = der.parts(der.value(wrapped))
        return cls(der.value(der.value(public))[2:], der.value(secret))


def subject_public_key(point: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a public key."""
    return der.tlv(0x30, _KEY_ALGORITHM, der.tlv(0x03, b"\0\x04", point))


def point_of(subject_public_key_info: bytes) -> bytes | None:
    """The uncompressed point X‖Y of an SM2 key; None for any other key or form."""
    head = der.tlv(0x30, _KEY_ALGORITHM, der.tlv(0x03, b"\0\x04", bytes(POINT_BYTES)))[:-POINT_BYTES]
    fits = len(subject_public_key_info) == len(head) + POINT_BYTES and subject_public_key_info.startswith(head)
    return subject_public_key_info[-POINT_BYTES:] if fits else None


def verifies(point: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (r‖s, exactly 64 bytes) is one of `message`."""
    if len(signature) != 2 * HALF_BYTES:
        return False
    r, s = int.from_bytes(signature[:HALF_BYTES], "big"), int.from_bytes(signature[HALF_BYTES:], "big")
    # GB/T 32918.2 §7.1 B1, B2
    return 0 < r < ORDER and 0 < s < ORDER and _verifies(point, message, encode_dss_signature(r, s))


def verifies_der(point: bytes, message: bytes, signature: bytes) -> bool:
    """The same for a signature in DER, in its one spelling."""
    try:
        r, s = decode_dss_signature(signature)
        return encode_dss_signature(r, s) == signature and 0 < r < ORDER and 0 < s < ORDER and _verifies(point, message, signature)
    except ValueError:
        return False


def _verifies(point: bytes, message: bytes, signature: bytes) -> bool:
    try:
        return bool(gmssl_pyx.sm2_verify(point, message, signature, IDENTIFIER))
    except gmssl_pyx.GmsslInnerError:  # a point that is not on the curve
        return False


# --- what is signed -------------------------------------------------------------------------------------------------------------------------


def resigned_certificate(drawn: bytes, point: bytes | None, signer: PrivateKey) -> bytes:
    """A certificate that another key signed, with the key `point` (None: its own) in it, signed with SM2 (RFC 5280 §4.1)."""
    fields = der.parts(der.parts(drawn)[0])
    fields[2] = _SIGNATURE_ALGORITHM
    if point is not None:
        fields[6] = subject_public_key(point)
    return signed(der.tlv(0x30, *fields), signer)


def resigned_list(drawn: bytes, signer: PrivateKey) -> bytes:
    """A revocation list that another key signed, signed with SM2 (RFC 5280 §5.1)."""
    fields = der.parts(der.parts(drawn)[0])
    fields[1] = _SIGNATURE_ALGORITHM
    return signed(der.tlv(0x30, *fields), signer)


def signed(content: bytes, signer: PrivateKey) -> bytes:
    """SEQUENCE of the content, the algorithm and the signature: the form that certificates, lists and OCSP answers share."""
    return der.tlv(0x30, content, _SIGNATURE_ALGORITHM, der.tlv(0x03, b"\0", signer.sign(content)))


# --- self-test ------------------------------------------------------------------------------------------------------------------------------

# fixed once with OpenSSL, another implementation, under the standard's identifier
_KNOWN_POINT = bytes.fromhex(
    "7ce0bbfa788919e501668e7f2d687bb097f4ba2b5fa07d3cfd22115494be287a1898db5a1169719e5659d910d29706ba3d25df2ec3d58927daff04b251e729cd"
)
_KNOWN_MESSAGE = b"licence-idp"
_KNOWN_SIGNATURE = bytes.fromhex(
    "1e67750ecd67288817e6aeda7422678127791e2f8012955d4a8c759ff452ecfb1aad14f4686183095cb0db8abda81080c786cd67d3bd16726318caa9d6b16c18"
)


def self_test() -> None:
    """ConfigurationError unless the library here agrees with another implementation on one signature."""
    if not verifies(_KNOWN_POINT, _KNOWN_MESSAGE, _KNOWN_SIGNATURE):
        raise ConfigurationError("gmssl-pyx: the self-test of SM2 failed on this machine")
