"""DPoP (RFC 9449): judging a proof of possession, and the nonces that make it fresh.

1 structure  2 key and signature  3 iat  4 htm  5 htu  6 ath  7 nonce; whoever asked compares the key, and spends the `jti` last
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from idp import opaque_tokens
from idp.oidc import client_keys, jose, jti
from idp.oidc.jti import SKEW_SECONDS, Jti
from idp.oidc.profiles import ALGORITHMS
from idp.oidc.refusal import Refused
from idp.oidc.sender import Sender

TYPE = "dpop+jwt"
NONCE_SECONDS = 60
MAX_PROOF_CHARACTERS = 8192
MAX_URI_CHARACTERS = 2000
USE_NONCE = "use_dpop_nonce"
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")  # RFC 3986 §2
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]\Z")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Asked:
    """The request that a proof is for. `urls`: what this place may be called, never taken from the request; `access_token`: the one it came with."""

    method: str
    urls: tuple[str, ...]
    access_token: str | None
    now: datetime
    secret: str


def judge(proof: str, asked: Asked) -> Sender | Refused:
    """Who holds the key, with the `jti` still to spend; or the refusal, which costs nothing: neither the proof nor an assertion beside it."""
    # 1, 2
    signed = _signed(proof)
    if isinstance(signed, str):
        return Refused("invalid_dpop_proof", signed)
    jkt, own, claims = signed
    # 3 to 6
    wrong = _time_fault(claims, asked.now.timestamp()) or _request_fault(claims, asked)
    if wrong is not None:
        return Refused("invalid_dpop_proof", wrong)
    # 7: §8
    if not _fresh(claims.get("nonce"), asked):
        return Refused(USE_NONCE, "dpop_nonce")
    return Sender(jkt=jkt, jti=own)


def _signed(proof: str) -> tuple[str, Jti, Mapping[str, Any]] | str:
    """Thumbprint, `jti` and claims of a proof that its own key signed."""
    parts = jose.peek(proof, ("jwk",)) if len(proof) <= MAX_PROOF_CHARACTERS else None
    if parts is None or "jwk" not in parts.header:
        return "dpop_structure"
    key = client_keys.embedded(parts.header["jwk"])
    if key is None:
        return "dpop_key"
    claims = jose.verified(proof, lambda _alg, _kid: key, ALGORITHMS, (TYPE,), ("jwk",))
    if claims is None:
        return "dpop_signature"
    at, jkt = jose.number(claims.get("iat")), key.thumbprint()
    # no client is called like that; it is remembered for as long as the proof may count
    own = jti.of(f"dpop:{jkt}", claims.get("jti"), (at or 0) + SKEW_SECONDS)
    return "dpop_structure" if at is None or own is None else (jkt, own, claims)


def _time_fault(claims: Mapping[str, Any], now: float) -> str | None:
    # 3: an end of its own is not asked for, but counts (RFC 7519 §4.1.4)
    ends = jose.number(claims.get("exp", now))
    if claims["iat"] < now - SKEW_SECONDS or jti.too_early(claims, now) or ends is None or ends <= now - SKEW_SECONDS:
        return "dpop_time"
    return None


def _request_fault(claims: Mapping[str, Any], asked: Asked) -> str | None:
    # 4
    if claims.get("htm") != asked.method:
        return "dpop_htm"
    # 5: §4.3
    here = normalised(claims.get("htu"))
    if here is None or here not in map(normalised, asked.urls):
        return "dpop_htu"
    # 6
    if asked.access_token is not None and claims.get("ath") != _hash(asked.access_token):
        return "dpop_ath"
    return None


def _hash(token: str) -> str:
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()


def normalised(uri: object) -> str | None:
    """An http(s) address without query and fragment, in the one spelling of RFC 3986 §6.2.2 and §6.2.3; None if it is none."""
    if not isinstance(uri, str) or len(uri) > MAX_URI_CHARACTERS or not _URI.match(uri):
        return None
    try:
        parts = urlsplit(_ESCAPE.sub(_unescaped, uri))
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}:{_PORTS[parts.scheme] if port is None else port}{_without_dots(parts.path)}"


def _unescaped(found: re.Match[str]) -> str:
    sign = chr(int(found[0][1:], 16))
    return sign if _UNRESERVED.match(sign) else found[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def nonce(secret: str, now: datetime) -> str:
    """The nonce of this minute, the same in all processes (§8); it counts to the end of the next one."""
    return _nonce(secret, int(now.timestamp()) // NONCE_SECONDS)


def _nonce(secret: str, minute: int) -> str:
    return opaque_tokens.keyed_digest(secret, "dpop-nonce", str(minute))


def _fresh(shown: object, asked: Asked) -> bool:
    minute = int(asked.now.timestamp()) // NONCE_SECONDS
    return isinstance(shown, str) and any(opaque_tokens.same(shown, _nonce(asked.secret, minute - age)) for age in (0, 1))
