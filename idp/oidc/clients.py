"""Registered clients: found by id through a cache that the database's version number keeps honest, added and changed by operators."""

import secrets as random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from sqlalchemy import bindparam, delete, select

from idp import opaque_tokens
from idp.adapters import Outbound
from idp.audit import provider as audit
from idp.db import session
from idp.errors import BadInput
from idp.oidc import jose, logos
from idp.oidc.client_keys import FetchedKeys, Keys
from idp.oidc.client_models import ClientOrigin
from idp.oidc.models import ClientRecord
from idp.oidc.registration import CLIENT_ID, Registration, judge
from idp.web import origin_of

MAX_CACHED = 1000
MIN_SECRET_CHARACTERS = 32
MAX_SECRET_CHARACTERS = 256
# an old secret lives on this long after a new one is set
SECRET_OVERLAP = timedelta(hours=24)
NO_OVERLAP = timedelta()
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
    generation: str = ""

    fetched: FetchedKeys | None = None

    @cached_property
    def _keys(self) -> Keys:
        return Keys(self.registration.jwks)

    def verified(self, token: str, algorithms: Sequence[str], typ: Sequence[str], now: datetime) -> Mapping[str, Any] | None:
        """The claims of a token that one of its keys signed, from its JWKS or its `jwks_uri`; None on any fault. Not inside a transaction."""
        if self.fetched is not None:
            return self.fetched.verified(token, algorithms, typ, now)
        return jose.verified(token, self._keys.find, algorithms, typ)

    def has_certificate(self, x5t: str, now: datetime) -> bool:
        """Whether it registered the certificate of that thumbprint (RFC 8705 §2.2), by JWKS or `jwks_uri`. Not inside a transaction."""
        return self.fetched.has_certificate(x5t, now) if self.fetched is not None else x5t in self._keys.certificates


_MINE = ClientRecord.client_id == bindparam("client_id")
_VERSION = select(ClientRecord.version, ClientRecord.generation, ClientRecord.disabled_at).where(_MINE)
_WHOLE = select(
    *(ClientRecord.version, ClientRecord.generation, ClientRecord.registration, ClientRecord.secrets, ClientRecord.disabled_at),
).where(_MINE)


# shared, so that switching it off at the same moment either comes first or ends what is given now
_HELD = select(ClientRecord.disabled_at).where(_MINE).with_for_update(read=True)


def hold(client_id: str) -> bool:
    """Inside a transaction: whether the client is there and on; if so, it stays so until the commit."""
    row = session.connection().execute(_HELD, {"client_id": client_id}).one_or_none()
    return row is not None and row.disabled_at is None


class ClientCache:
    """Clients of this process, keyed by id and version: each look-up reads the version, so a change counts at once in every process."""

    def __init__(self, outbound: Outbound | None = None) -> None:
        """Empty; `outbound` fetches the keys of clients that have a `jwks_uri`, for those who let clients prove themselves."""
        self._outbound = outbound
        self._known: OrderedDict[str, Client] = OrderedDict()
        self._fetched: OrderedDict[tuple[str, str, bool], FetchedKeys] = OrderedDict()

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
        # a client that took the id of a deleted one begins with version 1 again
        return known if (row.version, row.generation) == (known.version, known.generation) else self._load(client_id)

    def _load(self, client_id: str) -> Client | None:
        row = session.connection().execute(_WHOLE, {"client_id": client_id}).one_or_none()
        if row is None or row.disabled_at is not None:
            return None
        registration = judge({**row.registration, "client_id": client_id})
        found = Client(client_id, row.version, registration, tuple(map(_secret, row.secrets)), row.generation, self._keys_of(registration))
        self._known[client_id] = found
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return found

    def _keys_of(self, registration: Registration) -> FetchedKeys | None:
        """What is known of the client's `jwks_uri`, and when it was last asked, whichever version of the client that was."""
        if registration.jwks_uri is None or self._outbound is None:
            return None
        place = (registration.client_id, registration.jwks_uri, registration.public_addresses_only)
        found = self._fetched.setdefault(place, FetchedKeys(registration.jwks_uri, registration.reached_by(self._outbound)))
        while len(self._fetched) > MAX_CACHED:
            self._fetched.popitem(last=False)
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


def add(registration: Registration, secret: str | None, now: datetime) -> ClientRecord:
    """Store a new client and return its row; BadInput if the id is taken, or if secret and method do not belong together."""
    if session.get(ClientRecord, registration.client_id) is not None:
        raise BadInput("there is a client of that id already", field="client_id")
    if registration.has_secret != (secret is not None):
        raise BadInput("needs a secret" if registration.has_secret else "has no use for a secret", field="token_endpoint_auth_method")
    row = ClientRecord(client_id=registration.client_id, registration=registration.members(), secrets=[], created_at=now, updated_at=now, version=1)
    if secret is not None:
        row.secrets = [_stored(secret)]
    session.add(row)
    session.flush()
    _set_origins(registration)
    logos.follow(registration, now)
    audit.client_changed(now, client_id=row.client_id, change="added")
    return row


def _set_origins(registration: Registration) -> None:
    """The origins whose pages may call us, so that one indexed look-up answers a preflight."""
    session.execute(delete(ClientOrigin).where(ClientOrigin.client_id == registration.client_id))
    origins = {origin_of(uri) for uri in registration.redirect_uris if uri.startswith(("https:", "http:"))}
    session.add_all(ClientOrigin(origin=origin, client_id=registration.client_id) for origin in sorted(origins))


def _stored(secret: str) -> dict[str, Any]:
    return {"digest": opaque_tokens.digest(secret), "expires_at": None}


def update(row: ClientRecord, registration: Registration, secret: str | None, now: datetime) -> Change:
    """Make a stored client equal to `registration` and, if one is brought, its secret to `secret`."""
    members, kept = registration.members(), _secrets_after(row, registration, secret, now)
    _same_sector(judge({**row.registration, "client_id": row.client_id}), registration)
    # also when nothing changed: a picture that was refused may be mended where it stands
    logos.follow(registration, now)
    if row.registration == members and row.secrets == kept:
        return "unchanged"
    before = row.secrets
    row.registration, row.secrets, row.version, row.updated_at = members, kept, row.version + 1, now
    _set_origins(registration)
    audit.client_changed(now, client_id=row.client_id, change="updated")
    # a client may leave its method and come back to a fresh secret (RFC 7592 §2.2); that is seen
    if kept != before:
        audit.client_changed(now, client_id=row.client_id, change="secret_rotated" if kept else "secret_removed")
    return "updated"


def _same_sector(before: Registration, after: Registration) -> None:
    """BadInput if people would get other names: kind and sector are frozen at registration (OIDC Core §8.1)."""
    # a way over public subjects would thaw the sector, and show the client both names of everybody
    if before.subject_type != after.subject_type:
        raise BadInput(f"is {before.subject_type!r} for good; a client of the other kind is a new client", field="subject_type")
    if before.sector != after.sector:
        raise BadInput(f"the sector is {before.sector!r} for good; a client elsewhere is a new client", field="sector_identifier_uri")


def _secrets_after(
    row: ClientRecord, registration: Registration, secret: str | None, now: datetime, overlap: timedelta = SECRET_OVERLAP
) -> list[dict[str, Any]]:
    if not registration.has_secret:
        return []
    if secret is None or any(each["digest"] == opaque_tokens.digest(secret) and each["expires_at"] is None for each in row.secrets):
        return list(row.secrets)
    until = (now + overlap).isoformat()
    # the last change wins: what was already running out does not outlive it, and two old secrets never pile up
    live = [each for each in row.secrets if each["expires_at"] is None] if overlap else []
    return [*({**each, "expires_at": until} for each in live), _stored(secret)]


def set_secret(row: ClientRecord, secret: str, now: datetime, overlap: timedelta = SECRET_OVERLAP) -> None:
    """A new secret; the old ones live on for `overlap`. BadInput for a client that has no use for one."""
    registration = judge({**row.registration, "client_id": row.client_id})
    if not registration.has_secret:
        raise BadInput("has no use for a secret", field="token_endpoint_auth_method")
    row.secrets, row.version, row.updated_at = _secrets_after(row, registration, secret, now, overlap), row.version + 1, now
    audit.client_changed(now, client_id=row.client_id, change="secret_rotated")


def listing() -> Sequence[ClientRecord]:
    """Every client, by id."""
    return session.scalars(select(ClientRecord).order_by(ClientRecord.client_id)).all()
