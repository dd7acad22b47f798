"""The password hashes of the old systems: whether a stored text has the scheme's form, and whether a typed password fits it.

Only read here, never made. Comparisons take constant time and nothing that can be typed raises: what the old system's encoding cannot write,
and NUL, is a wrong password that costs the same hash. `fits` bounds the work a stored hash may demand (D18).
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest

from passlib.hash import bcrypt, ldap_salted_sha1, md5_crypt, oracle11, pbkdf2_sha256

MAX_STORED_CHARACTERS = 300
BCRYPT_BYTES = 72
ENCODINGS = ("utf-8", "gb18030", "gbk")


@dataclass(frozen=True)
class Scheme:
    """One way of hashing: the form of the stored text, and the check of password bytes (without NUL) against it."""

    form: re.Pattern[str]
    check: Callable[[bytes, str], bool]


def _md5_hex_upper(secret: bytes, stored: str) -> bool:
    """Upper-case hex of MD5(password)."""
    return compare_digest(hashlib.md5(secret, usedforsecurity=False).hexdigest().upper(), stored)


def _sha1_base64(secret: bytes, stored: str) -> bool:
    """Base64 of the 20 bytes of SHA-1(password)."""
    return compare_digest(base64.b64encode(hashlib.sha1(secret, usedforsecurity=False).digest()).decode(), stored)


def _salted_md5(secret: bytes, stored: str) -> bool:
    """`salt$hex`, hex = MD5(salt + password); the salt is ASCII."""
    salt, _, digest = stored.partition("$")
    return compare_digest(hashlib.md5(salt.encode() + secret, usedforsecurity=False).hexdigest(), digest)


def _bcrypt(secret: bytes, stored: str) -> bool:
    # D18: the old system compared the first 72 bytes; the library refuses more
    return bool(bcrypt.verify(secret[:BCRYPT_BYTES], stored))


SCHEMES: Mapping[str, Scheme] = {
    "md5-hex-upper": Scheme(re.compile(r"[0-9A-F]{32}"), _md5_hex_upper),
    "sha1-base64": Scheme(re.compile(r"[A-Za-z0-9+/]{27}="), _sha1_base64),
    "salted-md5": Scheme(re.compile(r"[\x21-\x23\x25-\x7e]{1,64}\$[0-9a-f]{32}"), _salted_md5),
    # cost 4–14; the last characters of salt and digest carry padding bits that must be zero (libpass warns otherwise)
    "bcrypt": Scheme(re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"), _bcrypt),
    # up to 999,999 rounds; the salt is unpadded Base64 with `.` for `+`
    "pbkdf2-sha256": Scheme(
        re.compile(r"\$pbkdf2-sha256\$[1-9][0-9]{0,5}\$(?:[./A-Za-z0-9]{4}){0,32}(?:[./A-Za-z0-9]{2,3})?\$[./A-Za-z0-9]{43}"),
        pbkdf2_sha256.verify,
    ),
    "oracle-11g": Scheme(re.compile(r"S:[0-9A-F]{60}"), oracle11.verify),
    # 20 bytes of digest, 4–16 of salt
    "ssha": Scheme(re.compile(r"\{SSHA\}(?:B{4}){8,11}(?:B{4}|B{3}=|B{2}==)?".replace("B", "[A-Za-z0-9+/]")), ldap_salted_sha1.verify),
    "md5-crypt": Scheme(re.compile(r"\$1\$[./A-Za-z0-9]{0,8}\$[./A-Za-z0-9]{22}"), md5_crypt.verify),
}


def fits(scheme: str, stored: str) -> bool:
    """Whether `stored` is a hash of `scheme` that `verify` can work with in bounded time; KeyError for an unknown scheme."""
    return len(stored) <= MAX_STORED_CHARACTERS and SCHEMES[scheme].form.fullmatch(stored) is not None


def verify(scheme: str, encoding: str, stored: str, typed: str) -> bool:
    """Whether `typed`, written in `encoding`, is the password behind `stored` (which once passed `fits`)."""
    secret = _bytes(encoding, typed)
    return SCHEMES[scheme].check(secret or b"", stored) and secret is not None


def truncates(scheme: str, encoding: str, typed: str) -> bool:
    """Whether `scheme` looks at a part of `typed` only, so that a change is due however strong it is (D18)."""
    secret = _bytes(encoding, typed)
    return scheme == "bcrypt" and secret is not None and len(secret) > BCRYPT_BYTES


def _bytes(encoding: str, typed: str) -> bytes | None:
    """The bytes the old system hashed; None where there are none: NUL (D18), lone surrogates, characters outside the encoding."""
    if "\0" in typed:
        return None
    try:
        return typed.encode(encoding)
    except UnicodeEncodeError:
        return None
