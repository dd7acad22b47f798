"""An SM2 key on the card: a stand-in for the tokens that have one. PIV has no number for it; ours is a private one."""

import base64

from gmssl_pyx import sm2_sign_sm3_digest

from virtual_card.apdu import Refused

SM2 = 0xF2
DIGEST_BYTES, NUMBER_BYTES = 32, 32
CURVE = bytes.fromhex("06082a811ccf5501822d")
_NUMBER = bytes.fromhex("0201010420")  # ECPrivateKey up to its number (RFC 5915 §3)
_HEAD, _FOOT = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
WRONG_DATA = 0x6A80


def key_in(pem: str) -> str | None:
    """The SM2 key among these PEM blocks, as a card's memory holds it; None if there is none."""
    body = pem.partition(_HEAD)[2].partition(_FOOT)[0]
    return f"{_HEAD}{body}{_FOOT}\n" if CURVE in base64.b64decode(body) else None


def sign(pem: str, digest: bytes) -> bytes:
    """The signature (DER) of a digest that already binds the public key; Refused(6A80) for what is no such digest."""
    if len(digest) != DIGEST_BYTES:
        raise Refused(WRONG_DATA)
    encoded = base64.b64decode(pem.partition(_HEAD)[2].partition(_FOOT)[0])
    number = encoded.partition(_NUMBER)[2][:NUMBER_BYTES]
    return bytes(sm2_sign_sm3_digest(number, digest))
