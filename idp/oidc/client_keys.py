"""The public keys of a client: judged the same whether they stand in its registration or at its `jwks_uri`, and fetched from there."""

import base64
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, RSAKey

from idp.adapters import Outbound, Unreachable
from idp.db import session
from idp.oidc import certificates, jose
from idp.oidc.certificates import MIN_RSA_BITS

Found = TypeVar("Found")
MAX_JWKS_KEYS = 10
MAX_KID_CHARACTERS = 200
# a client's own rotation is seen after the second at the latest, a withdrawn key after the first
FETCHED_COUNTS = timedelta(minutes=10)
FETCH_EVERY = timedelta(seconds=30)
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
# a tuple: what is asked for may be anything that JSON can say
_KINDS = (("RSA", None), ("EC", "P-256"), ("OKP", "Ed25519"))


def judge(jwks: Mapping[str, Any]) -> dict[str | None, Key]:
    """The keys of a set by kid: public, strong, singly named RSA, EC P-256 or Ed25519 keys for signatures.

    Members of the set and keys that mean nothing here are passed over (RFC 7517 §5). ValueError if no key is left, if two have one name, or if a
    private or symmetric key stands among them.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_JWKS_KEYS:
        raise ValueError(f"must be an object with `keys`, a list of 1 to {MAX_JWKS_KEYS}")
    # what has been shown to us is no secret any more
    if any(not isinstance(jwk, dict) or jwk.get("kty") == "oct" or _PRIVATE & set(jwk) for jwk in keys):
        raise ValueError("keys must be public ones")
    named = [(jwk.get("kid"), key) for jwk in keys if (key := _usable(jwk)) is not None]
    if not named:
        raise ValueError(f"needs a key for signatures: RSA of {MIN_RSA_BITS} bits or more, EC P-256 or Ed25519")
    known = dict(named)
    if len(known) != len(named) or (len(known) > 1 and None in known):
        raise ValueError("every key needs a `kid` of its own")
    return known


def embedded(jwk: dict[str, Any]) -> Key | None:
    """The key that stands in what it signed (RFC 9449 §4.2): as strong as a registered one, and public; None if it is not."""
    return None if _PRIVATE & set(jwk) else _usable(jwk)


def _usable(jwk: dict[str, Any]) -> Key | None:
    if jwk.get("use", "sig") != "sig" or (jwk.get("kty"), jwk.get("crv")) not in _KINDS or not _named(jwk.get("kid")):
        return None
    try:
        key = JWKRegistry.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if isinstance(key, RSAKey) and key.raw_value.key_size < MIN_RSA_BITS else key


def _named(kid: object) -> bool:
    return kid is None or (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARACTERS)


def _certified(jwk: dict[str, Any]) -> str | None:
    """The thumbprint of the certificate in a JWK, if it is of that key (RFC 7517 §4.7), whatever kind of key for signatures that is."""
    chain = jwk.get("x5c")
    if not isinstance(chain, list) or not chain or jwk.get("use", "sig") != "sig":
        return None
    try:
        der = base64.b64decode(chain[0], validate=True)
        same = _spki(x509.load_der_x509_certificate(der).public_key()) == _spki(JWKRegistry.import_key(jwk).raw_value)
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return None
    return certificates.thumbprint(der) if same else None


def _spki(key: Any) -> bytes:
    written: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return written


class Keys:
    """Keys by kid, and the thumbprints of their certificates; immutable."""

    def __init__(self, jwks: Mapping[str, Any] | None) -> None:
        """The keys of a set that was judged; None = none."""
        self._known = judge(jwks) if jwks is not None else {}
        # RFC 8705 §2.2.2: the first of `x5c` is the certificate of the key (RFC 7517 §4.7)
        self.certificates = frozenset(filter(None, map(_certified, jwks["keys"] if jwks is not None else ())))

    def find(self, alg: str, kid: str | None) -> Key | None:
        """The key a token must be signed with; without `kid` only if there is just one. The key's own `alg` and `use` bind."""
        found = self._known.get(kid) if kid is not None else next(iter(self._known.values())) if len(self._known) == 1 else None
        return found if found is not None and found.get("alg", alg) == alg and found.get("use", "sig") == "sig" else None


class FetchedKeys:
    """What stands at one client's `jwks_uri`, as this process last saw it.

    Shared by threads, of which one fetches while the others go on with what is known. It outlives versions of its client, so that a client cannot
    have itself asked more often by changing itself.
    """

    def __init__(self, uri: str, outbound: Outbound) -> None:
        """Nothing fetched yet."""
        self._uri, self._outbound = uri, outbound
        self._keys = Keys(None)
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = threading.Lock()

    def verified(self, token: str, algorithms: Sequence[str], typ: Sequence[str], now: datetime) -> Mapping[str, Any] | None:
        """The claims of a token that one of the keys signed; a kid or signature that does not fit asks the client again, but seldom."""
        parts = jose.peek(token)
        # what could be no token of the client's is no reason to call anybody
        if parts is None or parts.header.get("alg") not in algorithms:
            return None
        return self._found(lambda keys: jose.verified(token, keys.find, algorithms, typ), now)

    def has_certificate(self, x5t: str, now: datetime) -> bool:
        """Whether the certificate of that thumbprint stands there; one that does not asks the client again, but seldom."""
        return self._found(lambda keys: x5t in keys.certificates or None, now) is not None

    def _found(self, look: Callable[[Keys], Found | None], now: datetime) -> Found | None:
        """What `look` finds in the keys as they are known, or else as they have become."""
        if self._fetched_at is None or now >= self._fetched_at + FETCHED_COUNTS:
            self._fetch(now)
        found = look(self._keys)
        return look(self._keys) if found is None and self._fetch(now) else found

    def _fetch(self, now: datetime) -> bool:
        """Ask again, unless that was done in the last 30 s; True if there may be new keys. Keys too old are dropped."""
        before = self._fetched_at
        # somebody is asking: a slow server of one client must not hold a thread per request
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._tried_at is not None and now < self._tried_at + FETCH_EVERY:
                return self._fetched_at != before
            self._tried_at = now
            fresh = self._asked()
            if fresh is not None:
                self._keys, self._fetched_at = fresh, now
            elif self._fetched_at is not None and now >= self._fetched_at + FETCHED_COUNTS:
                self._keys, self._fetched_at = Keys(None), None
            return fresh is not None
        finally:
            self._lock.release()

    def _asked(self) -> Keys | None:
        session.rollback()  # no connection is held while we wait for somebody else's server
        try:
            answer = self._outbound.get(self._uri)
            jwks = json.loads(answer.body) if answer.status == 200 else None
            if not isinstance(jwks, dict):
                return None
            return Keys(jwks)
        except (Unreachable, ValueError, RecursionError):
            return None
