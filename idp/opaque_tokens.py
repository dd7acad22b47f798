"""Opaque handles (codes, cookies, transaction ids) and what may be stored of them, and sealed secrets that must be read again.

A handle has 256 random bits, so one SHA-256 is enough at rest; nothing guessable may use `digest()`. `seal()` encrypts (Fernet: AES-CBC with
HMAC) under a key derived from the master secret for one purpose, so that a stolen database alone opens nothing.
"""

import base64
import hmac
import secrets
from functools import lru_cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from idp.errors import ConfigurationError


def make() -> str:
    """A fresh handle: 43 URL-safe characters, 256 bits."""
    return secrets.token_urlsafe(32)


def digest(handle: str) -> str:
    """The hex SHA-256 of a handle: what is stored and looked up."""
    return sha256(handle.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare without telling by time how much was right."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=32)
def derived_key(master: str, purpose: str) -> bytes:
    """32 bytes for one purpose (RFC 5869); other purposes tell nothing about it."""
    return HKDF(SHA256(), 32, salt=None, info=f"licence-idp/{purpose}".encode()).derive(master.encode())


def keyed_digest(master: str, purpose: str, value: str) -> str:
    """Hex HMAC of a guessable value (an address, a typed name), so that a stolen table cannot be searched by guessing."""
    return hmac.new(derived_key(master, purpose), value.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def _fernet(master: str, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived_key(master, purpose)))


def seal(master: str, purpose: str, plain: str) -> str:
    """Encrypt `plain` for `purpose`."""
    return _fernet(master, purpose).encrypt(plain.encode()).decode()


def unseal(master: str, purpose: str, sealed: str) -> str:
    """What was sealed; ConfigurationError if the master secret is another one."""
    try:
        return _fernet(master, purpose).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise ConfigurationError(f"IDP_SECRET_KEY: cannot open what was sealed for {purpose}; is it another secret?") from error
