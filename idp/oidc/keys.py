"""The signing keys: their life (next → current → retired, or withdrawn) and the ring that a process keeps of them.

A next key is published a day before it signs, so that every verifier has it; a retired one stays in the JWKS as long as its tokens live
and verifies sign-out hints as long as a session lives. Withdrawal takes a key out at once, whatever it signed.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from joserfc.jwk import ECKey, Key, RSAKey
from sqlalchemy import select, update

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session
from idp.errors import BadInput, ConfigurationError
from idp.oidc import jose
from idp.oidc.models import KeySetVersion, SigningKey

ALGORITHMS = ("ES256", "RS256")
PUBLISHED_BEFORE_USE = timedelta(hours=24)
RETIRED_IN_JWKS = timedelta(hours=1)
RETIRED_FOR_HINTS = timedelta(hours=13)
PURPOSE = "signing-key"
_MAKERS: dict[str, Callable[[], Key]] = {"ES256": partial(ECKey.generate_key, "P-256"), "RS256": partial(RSAKey.generate_key, 2048)}


# --- the life of a key ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewKey:
    """A key just made, sealed and not yet stored; making one takes up to a second, so it happens before the transaction."""

    kid: str
    alg: str
    public_jwk: dict[str, Any]
    sealed_private: str


def make(alg: str, secret: str) -> NewKey:
    """A fresh key for `alg`, its private half sealed with the master secret; `kid` is the thumbprint (RFC 7638)."""
    key = _MAKERS[alg]()
    kid = key.thumbprint()
    public = {**key.as_dict(private=False), "kid": kid, "alg": alg, "use": "sig"}
    return NewKey(kid, alg, public, opaque_tokens.seal(secret, PURPOSE, json.dumps(key.as_dict(private=True))))


def missing() -> list[tuple[str, str]]:
    """(algorithm, state) of every key that should be there and is not."""
    have = {(alg, state) for alg, state in session.execute(select(SigningKey.alg, SigningKey.state))}
    return [(alg, state) for alg in ALGORITHMS for state in ("current", "next") if (alg, state) not in have]


def add(new: NewKey, state: str, now: datetime) -> None:
    """Store a key as `current` or `next`."""
    session.add(
        SigningKey(
            kid=new.kid,
            alg=new.alg,
            state=state,
            public_jwk=new.public_jwk,
            sealed_private=new.sealed_private,
            published_at=now,
            current_at=now if state == "current" else None,
        )
    )
    _changed(new.kid, f"made_{state}", now)


def _changed(kid: str, change: str, now: datetime) -> None:
    session.flush()
    bumped = session.execute(update(KeySetVersion).where(KeySetVersion.id == 1).values(version=KeySetVersion.version + 1))
    if cast("Any", bumped).rowcount == 0:
        session.add(KeySetVersion(id=1, version=1))
        session.flush()
    audit.signing_key_changed(now, kid=kid, change=change)


def _in_state(alg: str, state: str) -> SigningKey | None:
    """The key in this state; of several next ones the one published first."""
    mine = select(SigningKey).where(SigningKey.alg == alg, SigningKey.state == state)
    return session.scalars(mine.order_by(SigningKey.published_at, SigningKey.kid).with_for_update()).first()


def _promote(key: SigningKey, now: datetime) -> None:
    key.state, key.current_at = "current", now
    _changed(key.kid, "current", now)


def rotate(alg: str, successor: NewKey, now: datetime) -> bool:
    """Publish `successor` as a next key. Whether the next one signs from now on and the current one retires: not while it is too young."""
    current, upcoming = _in_state(alg, "current"), _in_state(alg, "next")
    if upcoming is None:
        raise BadInput("there is no next key; `idp init` makes one", field=alg)
    ripe = current is None or now >= upcoming.published_at + PUBLISHED_BEFORE_USE
    if current is not None and ripe:
        current.state, current.retired_at = "retired", now
        _changed(current.kid, "retired", now)
    if ripe:
        _promote(upcoming, now)
    add(successor, "next", now)
    return ripe


def withdraw(kid: str, successor: NewKey | None, now: datetime) -> None:
    """Take a key out at once. For a current one the next steps in, however young, and `successor` becomes the next."""
    key = session.get(SigningKey, kid, with_for_update=True)
    if key is None or key.state == "withdrawn":
        raise BadInput("no such key, or withdrawn already", field=kid)
    was, key.state, key.withdrawn_at = key.state, "withdrawn", now
    _changed(kid, "withdrawn", now)
    if was == "current":
        upcoming = _in_state(key.alg, "next")
        if upcoming is not None:
            _promote(upcoming, now)
    if was in ("current", "next") and successor is not None:
        add(successor, "next", now)


def listing() -> list[SigningKey]:
    """Every key ever made, newest first."""
    return list(session.scalars(select(SigningKey).order_by(SigningKey.published_at.desc(), SigningKey.alg, SigningKey.kid)))


# --- the ring -------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    """The key that signs for one algorithm now."""

    kid: str
    alg: str
    key: Key


@dataclass(frozen=True)
class _Verifier:
    alg: str
    key: Key
    public_jwk: dict[str, Any]
    retired_at: datetime | None

    def good(self, now: datetime, keep: timedelta) -> bool:
        return self.retired_at is None or now < self.retired_at + keep


@dataclass(frozen=True)
class KeySet:
    """One version of the set: who signs, who verifies."""

    version: int
    signers: dict[str, Signer]
    verifiers: dict[str, _Verifier]

    def published(self, now: datetime) -> list[dict[str, Any]]:
        """Public JWKs for `/oauth2/jwks`: next, current, and retired for an hour."""
        return [each.public_jwk for each in self.verifiers.values() if each.good(now, RETIRED_IN_JWKS)]

    def sign(self, content: dict[str, Any], alg: str, typ: str) -> str:
        """A compact token of these claims, by the key that signs for `alg` now."""
        signer = self.signers[alg]
        return jose.signed(signer.key, signer.kid, alg, content, typ)

    def verified(self, token: str, typ: Iterable[str], now: datetime, keep: timedelta = RETIRED_IN_JWKS) -> dict[str, Any] | None:
        """Claims of a token that one of our keys signed, retired at most `keep` ago; None otherwise. Times are not judged here."""

        def find(alg: str, kid: str | None) -> Key | None:
            found = self.verifiers.get(kid or "")
            return found.key if found and found.alg == alg and found.good(now, keep) else None

        claims = jose.verified(token, find, ALGORITHMS, tuple(typ))
        return dict(claims) if claims is not None else None


VERSION = select(KeySetVersion.version).where(KeySetVersion.id == 1).scalar_subquery()

_LATEST = select(VERSION)


class KeyRing:
    """What a process keeps: one KeySet per version. Importing an RSA key costs 40 ms with the lock of the interpreter held: once a process."""

    def __init__(self, secret: str) -> None:
        """`secret` is the master secret that opens the private halves."""
        self._secret = secret
        self._private: dict[str, Key] = {}
        self._set = KeySet(0, {}, {})

    def latest(self) -> KeySet:
        """The set in force, by a statement of its own."""
        return self.at(session.connection().execute(_LATEST).scalar())

    def at(self, version: int | None) -> KeySet:
        """The set of a version that the caller's own statement has read."""
        if version is None:
            raise ConfigurationError("there are no signing keys; `idp init` makes them")
        if self._set.version < version:
            self._set = self._load()
        return self._set

    def _load(self) -> KeySet:
        columns = (SigningKey.kid, SigningKey.alg, SigningKey.state, SigningKey.public_jwk, SigningKey.sealed_private, SigningKey.retired_at, VERSION)
        rows = session.execute(select(*columns).where(SigningKey.state != "withdrawn")).all()
        signers = {alg: Signer(kid, alg, self._opened(kid, alg, sealed)) for kid, alg, state, _, sealed, _, _ in rows if state == "current"}
        verifiers = {kid: _Verifier(alg, _imported(alg, public), public, retired) for kid, alg, _, public, _, retired, _ in rows}
        return KeySet(rows[0][-1] if rows else 0, signers, verifiers)

    def _opened(self, kid: str, alg: str, sealed: str) -> Key:
        if kid not in self._private:
            self._private[kid] = _imported(alg, json.loads(opaque_tokens.unseal(self._secret, PURPOSE, sealed)))
        return self._private[kid]


def _imported(alg: str, jwk: dict[str, Any]) -> Key:
    kind: type[ECKey | RSAKey] = ECKey if alg == "ES256" else RSAKey
    return kind.import_key(jwk)
