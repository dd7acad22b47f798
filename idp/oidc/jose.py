"""Signed tokens, read and written strictly. Every fault is None; nothing a stranger writes into a token raises or makes us fetch."""

import binascii
import json
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key
from joserfc.util import urlsafe_b64decode

# RFC 9864 names it Ed25519, and some clients do; others, and FAPI 2.0, still say EdDSA. Both are taken.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)
# a request object (RFC 9101) may carry a whole `claims` parameter
MAX_TOKEN_CHARACTERS = 16384
HEADER_MEMBERS = {"alg", "kid", "typ", "x5t", "x5t#S256"}
# what brings a key along, or changes what was signed or how it is read (RFC 7515 §4.1, RFC 7797)
REFUSED_MEMBERS = {"jwk", "jku", "x5u", "x5c", "crit", "b64", "cty"}
KeyFinder = Callable[[str, str | None], Key | None]


class _WithObjects(jws.JWSRegistry):
    """For headers that hold an RSA key, which the 512 characters of joserfc have no room for."""

    max_header_length = MAX_TOKEN_CHARACTERS


@dataclass(frozen=True)
class Parts:
    """Header and payload of a compact token, nothing verified yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def _member(segment: str) -> dict[str, Any] | None:
    try:
        value = json.loads(urlsafe_b64decode(segment.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def peek(token: str, objects: Collection[str] = ()) -> Parts | None:
    """The two JSON objects of a compact token; None if it is too long or malformed.

    An embedded or linked key, `crit` and `b64` are refused before anything else looks at them (CVE-2024-37568, CVE-2025-59420,
    CVE-2026-28802); members that nobody knows are ignored (RFC 7515 §4). `objects`: members that this kind of token has beside, each an object.
    """
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii() or token.count(".") != 2:
        return None
    header, payload, _signature = token.split(".")
    protected, claims = _member(header), _member(payload)
    if protected is None or claims is None or REFUSED_MEMBERS.difference(objects) & set(protected):
        return None
    kinds = {**dict.fromkeys(HEADER_MEMBERS, str), **dict.fromkeys(objects, dict)}
    typed = all(isinstance(protected[name], kind) for name, kind in kinds.items() if name in protected)
    return Parts(protected, claims) if typed else None


def verified(
    token: str, find: KeyFinder, algorithms: Collection[str], typ: Collection[str] = ("JWT",), objects: Collection[str] = ()
) -> Mapping[str, Any] | None:
    """The claims of a token signed by the key that `find(alg, kid)` knows; None on any fault. `typ` may be absent only where "JWT" is allowed."""
    parts = peek(token, objects)
    if parts is None or parts.header.get("alg") not in algorithms:
        return None
    if parts.header.get("typ", "JWT").lower().removeprefix("application/") not in {name.lower() for name in typ}:
        return None
    key = find(parts.header["alg"], parts.header.get("kid"))
    if key is None:
        return None
    try:
        registry = (_WithObjects if objects else jws.JWSRegistry)(algorithms=[parts.header["alg"]], strict_check_header=False)
        jws.deserialize_compact(token, key, registry=registry)
    except (JoseError, ValueError, TypeError):
        return None
    return parts.claims


def signed(key: Key, kid: str, alg: str, claims: Mapping[str, Any], typ: str) -> str:
    """A compact token under one named key, never under a set."""
    payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False)
    return jws.serialize_compact({"typ": typ, "alg": alg, "kid": kid}, payload, key, algorithms=[alg])


def number(value: object) -> float | None:
    """A NumericDate as a float; None for anything else (bool, string, NaN, 1e300)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e11 else None
