"""Registered clients: found by id through a cache that the database's version number keeps honest, added and changed by operators."""

import secrets as random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from joserfc.jwk import JWKRegistry, Key
from sqlalchemy import bindparam, select

from idp import opaque_tokens
from idp.audit import catalogue as audit
from idp.db import session
from idp.errors import BadInput
from idp.oidc.models import ClientRecord
from idp.oidc.registration import CLIENT_ID, Registration, judge

MAX_CACHED = 1000
MIN_SECRET_CHARACTERS = 32
MAX_SECRET_CHARACTERS = 256
# an old secret lives on this long after a new one is set
SECRET_OVERLAP = timedelta(hours=24)
Change = Literal["added", "updated", "unchanged"]


@dataclass(frozen=True)
class Secret:
    """One secret of a client: its digest, and until when it counts (None = for good)."""

    digest: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Client:
    """One client at one version; immutable, so that it can be shared by threads."""

    client_id: str
    version: int
    registration: Registration
    secrets: tuple[Secret, ...]

    @cached_property
    def keys(self) -> dict[str | None, Key]:
        """The public keys of its JWKS by kid."""
        return {jwk.get("kid"): JWKRegistry.import_key(jwk) for jwk in (self.registration.jwks or {"keys": []})["keys"]}

    def key(self, alg: str, kid: str | None) -> Key | None:
        """The key an assertion must be signed with; without `kid` only if there is just one. The key's own `alg` binds."""
        found = self.keys.get(kid) if kid is not None else next(iter(self.keys.values())) if len(self.keys) == 1 else None
        return found if found is not None and found.get("alg", alg) == alg and found.get("use", "sig") == "sig" else None


_MINE = ClientRecord.client_id == bindparam("client_id")
_VERSION = select(ClientRecord.version, ClientRecord.disabled_at).where(_MINE)
_WHOLE = select(ClientRecord.version, ClientRecord.registration, ClientRecord.secrets, ClientRecord.disabled_at).where(_MINE)


class ClientCache:
    """Clients of this process, keyed by id and version: each look-up reads the version, so a change counts at once in every process."""

    def __init__(self) -> None:
        """Empty."""
        self._known: OrderedDict[str, Client] = OrderedDict()

    def find(self, client_id: str) -> Client | None:
        """The enabled client of that id; None if unknown or disabled, without telling which."""
        if not CLIENT_ID.match(client_id):
            return None
        known = self._known.get(client_id)
        if known is None:
            return self._load(client_id)
        row = session.connection().execute(_VERSION, {"client_id": client_id}).one_or_none()
        if row is None or row.disabled_at is not None:
            return None
        return known if row.version == known.version else self._load(client_id)

    def _load(self, client_id: str) -> Client | None:
        row = session.connection().execute(_WHOLE, {"client_id": client_id}).one_or_none()
        if row is None or row.disabled_at is not None:
            return None
        found = Client(client_id, row.version, judge({**row.registration, "client_id": client_id}), tuple(map(_secret, row.secrets)))
        self._known[client_id] = found
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return found


def _secret(stored: dict[str, Any]) -> Secret:
    until = stored["expires_at"]
    return Secret(stored["digest"], datetime.fromisoformat(until) if until else None)


# --- changes by operators -------------------------------------------------------------------------------------------------------------------


def make_secret() -> str:
    """A fresh client secret: 256 random bits, so that one SHA-256 is enough at rest."""
    return random.token_urlsafe(32)


def judge_secret(secret: str) -> str:
    """A secret that an operator brings; BadInput if it could be guessed or does not fit into a Basic header."""
    if not MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_CHARACTERS or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadInput(f"must be {MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS} printable ASCII characters without blanks", field="client_secret")
    if len(set(secret)) < MIN_SECRET_CHARACTERS // 4:
        raise BadInput("too weak; leave it out and one is made", field="client_secret")
    return secret


def add(registration: Registration, secret: str | None, now: datetime) -> None:
    """Store a new client; BadInput if the id is taken, or if secret and method do not belong together."""
    if session.get(ClientRecord, registration.client_id) is not None:
        raise BadInput("there is a client of that id already", field="client_id")
    if registration.has_secret != (secret is not None):
        raise BadInput("needs a secret" if registration.has_secret else "has no use for a secret", field="token_endpoint_auth_method")
    row = ClientRecord(client_id=registration.client_id, registration=registration.members(), secrets=[], created_at=now, updated_at=now, version=1)
    if secret is not None:
        row.secrets = [_stored(secret)]
    session.add(row)
    audit.client_changed(now, client_id=row.client_id, change="added")


def _stored(secret: str) -> dict[str, Any]:
    return {"digest": opaque_tokens.digest(secret), "expires_at": None}


def update(row: ClientRecord, registration: Registration, secret: str | None, now: datetime) -> Change:
    """Make a stored client equal to `registration` and, if one is brought, its secret to `secret`."""
    members, kept = registration.members(), _secrets_after(row, registration, secret, now)
    if row.registration == members and row.secrets == kept:
        return "unchanged"
    row.registration, row.secrets, row.version, row.updated_at = members, kept, row.version + 1, now
    audit.client_changed(now, client_id=row.client_id, change="updated")
    return "updated"


def _secrets_after(row: ClientRecord, registration: Registration, secret: str | None, now: datetime) -> list[dict[str, Any]]:
    if not registration.has_secret:
        return []
    if secret is None or any(each["digest"] == opaque_tokens.digest(secret) and each["expires_at"] is None for each in row.secrets):
        return list(row.secrets)
    until = (now + SECRET_OVERLAP).isoformat()
    live = [each for each in row.secrets if each["expires_at"] is None]
    return [*({**each, "expires_at": until} for each in live), _stored(secret)]


def listing() -> Sequence[ClientRecord]:
    """Every client, by id."""
    return session.scalars(select(ClientRecord).order_by(ClientRecord.client_id)).all()
