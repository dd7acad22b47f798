"""What the card's private keys do: RSA of a whole block, ECDSA of a digest (SP 800-73-4 part 2, appendix A.4)."""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from virtual_card.apdu import Refused

RSA_2048, P_256, P_384 = 0x07, 0x11, 0x14  # algorithm identifiers (SP 800-78-4, table 6-2)
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
    key = serialization.load_pem_private_key(pem.encode(), None)
    if algorithm_of(key) != algorithm:
        raise Refused(WRONG_PARAMETERS)
    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa(key, data)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # algorithm_of knows only these two
    return _ecdsa(key, data)
