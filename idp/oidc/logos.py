"""Logos of clients (`logo_uri`): fetched once by the safe client, judged, drawn anew and served from here.

An address of a stranger in our pages would be a beacon. The outbox calls it: nobody waits for another's server, and a dead one holds up nobody.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, select

from idp.adapters import Fetched, Outbound, Unreachable
from idp.audit import provider as audit
from idp.db import session, transaction
from idp.oidc.client_models import ClientLogo
from idp.oidc.models import ClientRecord
from idp.oidc.pictures import MAX_BYTES, Unfit, drawn_apart
from idp.oidc.registration import Registration, judge
from idp.outbox import queue
from idp.outbox.queue import Handler

LOGO = "oidc_client_logo"
# between two calls for one client, so that changing itself makes it no call more
GAP = timedelta(seconds=30)
# no answer now may be one later; every other reason stays
PASSING = frozenset({"name", "connection", "tls", "time"})
PASSING_STATUS = frozenset({408, 425, 429})


class NotAnsweredError(OSError):
    """The server has no answer at present; the outbox tries again."""


def follow(registration: Registration, now: datetime) -> None:
    """Have the logo of a client that was registered or changed fetched, or forgotten (inside that transaction)."""
    client_id, uri = registration.client_id, registration.logo_uri
    row = session.get(ClientLogo, client_id)
    if row is None and uri is None:
        return
    if row is not None and row.uri == uri and row.png is not None:
        return
    # a client has one item at most, however often it changes
    queue.forget(LOGO, client_id)
    if row is None:
        row = ClientLogo(client_id=client_id)
        session.add(row)
    # without an address the row stays: it knows when we called last
    row.uri, row.png, row.version = uri or "", None, ""
    if uri is not None:
        due = max(now, row.asked_at + GAP) if row.asked_at is not None else now
        queue.enqueue(LOGO, {"client_id": client_id, "uri": uri}, due, lane=client_id)


def fetch(outbound: Outbound, clock: Callable[[], datetime]) -> Handler:
    """The handler of the outbox: fetch, judge, keep; OSError = try again."""

    def handle(facts: dict[str, Any]) -> None:
        client_id, uri = facts["client_id"], facts["uri"]
        with transaction():
            registration = _asking(client_id, uri, clock())
        if registration is None:  # off, gone, or it shows another one by now
            return
        found = _fetched(registration.reached_by(outbound), uri)
        png = found if isinstance(found, Unfit) else drawn_apart(found)
        with transaction():
            _keep(client_id, uri, png, clock())

    return handle


def _asking(client_id: str, uri: str, now: datetime) -> Registration | None:
    """The registration of a client that still wants this very address called, and a note that it is."""
    row, client = session.get(ClientLogo, client_id, with_for_update=True), session.get(ClientRecord, client_id)
    if row is None or row.uri != uri or client is None or client.disabled_at is not None:
        return None
    row.asked_at = now
    return judge({**client.registration, "client_id": client_id})


def _fetched(outbound: Outbound, uri: str) -> bytes | Unfit:
    try:
        answer: Fetched = outbound.get(uri, most=MAX_BYTES)
    except Unreachable as error:
        if error.reason in PASSING:
            raise
        return Unfit(error.reason)
    if answer.status >= 500 or answer.status in PASSING_STATUS:
        raise NotAnsweredError(f"the logo's server answered {answer.status}")
    # redirects are not followed
    return answer.body if answer.status == 200 else Unfit("status")


def _keep(client_id: str, uri: str, png: bytes | Unfit, now: datetime) -> None:
    row = session.get(ClientLogo, client_id, with_for_update=True)
    # changed or gone while its server was asked
    if row is None or row.uri != uri:
        return
    if isinstance(png, Unfit):
        audit.client_logo_refused(now, client_id=client_id, reason=png.reason)
        return
    row.png, row.version = png, sha256(png).hexdigest()[:32]
    audit.client_logo_kept(now, client_id=client_id, version=row.version)


# --- shown ----------------------------------------------------------------------------------------------------------------------------------

_SERVED = (
    select(ClientLogo.png, ClientLogo.version)
    .join(ClientRecord, ClientRecord.client_id == ClientLogo.client_id)
    .where(ClientLogo.client_id == bindparam("client_id"), ClientLogo.png.is_not(None), ClientRecord.disabled_at.is_(None))
)


def address(registration: Registration) -> str:
    """Where pages find the logo (a local path), "" while there is none."""
    if registration.logo_uri is None:
        return ""
    shown = select(ClientLogo.version).where(ClientLogo.client_id == registration.client_id, ClientLogo.png.is_not(None))
    version = session.scalar(shown)
    return f"/oauth2/clients/{registration.client_id}/logo.png?v={version[:8]}" if version else ""


def png_of(client_id: str) -> tuple[bytes, str] | None:
    """The PNG and its version, of a client that is on."""
    row = session.execute(_SERVED, {"client_id": client_id}).one_or_none()
    return (row.png, row.version) if row is not None and row.png is not None else None
