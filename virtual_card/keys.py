"""The card's private keys: how they come to be, and what they do: RSA of a whole block, ECDSA of a digest (SP 800-73-4 part 2, §3.3, appendix A.4).

Keys are brought as YubiKeys take them (docs.yubico.com, "PIV: Import asymmetric"): the standard only knows keys that are made on the card.
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from virtual_card import sm2
from virtual_card.apdu import Refused, tlv

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
RSA_2048, P_256, P_384 = 0x07, 0x11, 0x14  # algorithm identifiers (SP 800-78-4, table 6-2)
CURVES: dict[int, ec.EllipticCurve] = {P_256: ec.SECP256R1(), P_384: ec.SECP384R1()}
EXPONENT, BITS = 65537, 2048
WRONG_DATA, WRONG_PARAMETERS = 0x6A80, 0x6A86
DIGESTS: dict[int, hashes.HashAlgorithm] = {20: hashes.SHA1(), 28: hashes.SHA224(), 32: hashes.SHA256(), 48: hashes.SHA384()}  # noqa: S303  # a card signs what it is given


def _rsa(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    size = key.key_size // 8
    if len(block) != size or int.from_bytes(block, "big") >= modulus:
        raise Refused(WRONG_DATA)
    return pow(int.from_bytes(block, "big"), numbers.d, modulus).to_bytes(size, "big")


def _ecdsa(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    if len(digest) not in DIGESTS or len(digest) > key.key_size // 8:
        raise Refused(WRONG_DATA)
    return key.sign(digest, ec.ECDSA(Prehashed(DIGESTS[len(digest)])))


def algorithm_of(key: object) -> int:
    """The algorithm identifier that goes with `key`; 0 for keys that a card here does not hold."""
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048:
        return RSA_2048
    curves = {"secp256r1": P_256, "secp384r1": P_384}
    return curves.get(key.curve.name, 0) if isinstance(key, ec.EllipticCurvePrivateKey) else 0


def use(pem: str, algorithm: int, data: bytes) -> bytes:
    """`data` under the private key; Refused(6A86) if the key is of another algorithm, (6A80) if the data does not fit it."""
    if sm2.key_in(pem):
        if algorithm != sm2.SM2:
            raise Refused(WRONG_PARAMETERS)
        return sm2.sign(pem, data)
    key = serialization.load_pem_private_key(pem.encode(), None)
    if algorithm_of(key) != algorithm:
        raise Refused(WRONG_PARAMETERS)
    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa(key, data)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # algorithm_of knows only these two
    return _ecdsa(key, data)


def generated(algorithm: int) -> PrivateKey:
    """A fresh key; Refused(6A86) for an algorithm that a card here does not have."""
    if algorithm == RSA_2048:
        return rsa.generate_private_key(EXPONENT, BITS)
    if algorithm not in CURVES:
        raise Refused(WRONG_PARAMETERS)
    return ec.generate_private_key(CURVES[algorithm])


def brought(algorithm: int, parts: dict[int, bytes]) -> PrivateKey:
    """The key of these parts: 01 p, 02 q of an RSA key, 06 the number of a curve's; Refused when they are none."""
    if algorithm not in {RSA_2048, *CURVES}:
        raise Refused(WRONG_PARAMETERS)
    try:
        key = _brought_rsa(parts) if algorithm == RSA_2048 else ec.derive_private_key(int.from_bytes(parts[0x06], "big"), CURVES[algorithm])
    except (KeyError, ValueError) as error:
        raise Refused(WRONG_DATA) from error
    if algorithm_of(key) != algorithm:
        raise Refused(WRONG_DATA)
    return key


def _brought_rsa(parts: dict[int, bytes]) -> rsa.RSAPrivateKey:
    p, q = int.from_bytes(parts[0x01], "big"), int.from_bytes(parts[0x02], "big")
    d = rsa.rsa_recover_private_exponent(EXPONENT, p, q)
    exponents = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *exponents, rsa.RSAPublicNumbers(EXPONENT, p * q)).private_key()


def pem(key: PrivateKey) -> str:
    """PKCS#8, as a card's memory holds it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def public_template(key: PrivateKey) -> bytes:
    """The public key as GENERATE ASYMMETRIC KEY PAIR answers (part 2, table 13)."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        parts = tlv(0x81, numbers.n.to_bytes(BITS // 8, "big")) + tlv(0x82, EXPONENT.to_bytes(3, "big"))
    else:
        parts = tlv(0x86, public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint))
    return tlv(0x7F49, parts)
