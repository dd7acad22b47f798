"""The Web eID authentication token, format 1.0: made by the agent, read strictly by the server. Nothing but the standard library.

Source: github.com/web-eid/web-eid-system-architecture-doc, "Web eID authentication token specification". The signature is over
hash(origin) ‖ hash(nonce), hashed once more by the signature algorithm, so that a token is worth nothing at another site or a second time.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

FORMAT = "web-eid:1.0"
MEMBERS = {"unverifiedCertificate", "algorithm", "signature", "format", "appVersion"}
LARGEST_TOKEN = 16 * 1024  # characters
LARGEST_VERSION = 200  # characters


class Algorithm(Enum):
    """What a card may sign with: name in the token, digest, and how long a signature is, in bytes (r‖s for curves)."""

    RS256 = ("RS256", "sha256", range(256, 513))
    ES256 = ("ES256", "sha256", range(64, 65))
    ES384 = ("ES384", "sha384", range(96, 97))
    # no registered name: ours, with the SM2 signature of GB/T 32918.2 as r‖s
    SM2 = ("x-SM2-SM3", "sm3", range(64, 65))

    def __init__(self, label: str, digest: str, lengths: range) -> None:
        """See the class."""
        self.label, self.digest, self.lengths = label, digest, lengths

    def hash(self, data: bytes) -> bytes:
        """The digest of `data` that goes with this algorithm."""
        return hashlib.new(self.digest, data).digest()


LABELS = {algorithm.label: algorithm for algorithm in Algorithm}


class Fault(StrEnum):
    """Why a text is no token."""

    TOO_LARGE = "too_large"
    NO_JSON = "no_json"
    MEMBERS = "members"
    FORMAT = "format"
    ALGORITHM = "algorithm"
    BASE64 = "base64"
    CERTIFICATE = "certificate"
    SIGNATURE = "signature"
    VERSION = "version"


@dataclass(frozen=True)
class Token:
    """A token as read: nothing in it is proven."""

    certificate: bytes  # DER
    algorithm: Algorithm
    signature: bytes
    app_version: str

    def to_json(self) -> str:
        """The token as it travels."""
        return json.dumps(
            {
                "unverifiedCertificate": base64.b64encode(self.certificate).decode(),
                "algorithm": self.algorithm.label,
                "signature": base64.b64encode(self.signature).decode(),
                "format": FORMAT,
                "appVersion": self.app_version,
            }
        )


def signed_bytes(algorithm: Algorithm, origin: str, nonce: str) -> bytes:
    """What the card signs: origin ("https://host[:port]", no slash at the end) and nonce are hashed as the texts they are."""
    return algorithm.hash(origin.encode()) + algorithm.hash(nonce.encode())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members have different names; two readers could understand it differently otherwise."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _bytes(text: str) -> bytes | None:
    """Base64 (RFC 4648 §4) in its one canonical spelling, None otherwise."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _one_sequence(der: bytes) -> bool:
    """Exactly one DER SEQUENCE with a two-byte length, as every certificate is; nothing behind it (X.690 §8.1.3.5, §10.1)."""
    return len(der) > 259 and der[:2] == b"\x30\x82" and int.from_bytes(der[2:4], "big") == len(der) - 4


def parse(text: str) -> Token | Fault:
    """The token in `text`, or why it is none."""
    if len(text) > LARGEST_TOKEN:
        return Fault.TOO_LARGE
    try:
        members = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return Fault.NO_JSON
    if not isinstance(members, dict) or set(members) != MEMBERS or not all(isinstance(value, str) for value in members.values()):
        return Fault.MEMBERS
    return _read(members)


def _read(members: dict[str, str]) -> Token | Fault:
    algorithm = LABELS.get(members["algorithm"])
    certificate, signature = _bytes(members["unverifiedCertificate"]), _bytes(members["signature"])
    if members["format"] != FORMAT:
        return Fault.FORMAT
    if algorithm is None:
        return Fault.ALGORITHM
    if certificate is None or signature is None:
        return Fault.BASE64
    token = Token(certificate, algorithm, signature, members["appVersion"])
    return next((fault for fault, holds in RULES if not holds(token)), token)


RULES: tuple[tuple[Fault, Callable[[Token], bool]], ...] = (
    (Fault.CERTIFICATE, lambda token: _one_sequence(token.certificate)),
    (Fault.SIGNATURE, lambda token: len(token.signature) in token.algorithm.lengths),
    (Fault.VERSION, lambda token: 0 < len(token.app_version) <= LARGEST_VERSION and token.app_version.isprintable()),
)
