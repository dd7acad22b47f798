"""Switching clients off and on, and removing them. A client that is off stops at once in every process, with all it was given."""

from datetime import datetime, timedelta

from sqlalchemy import delete

from idp import opaque_tokens
from idp.audit import provider as audit
from idp.db import session
from idp.errors import BadInput
from idp.oidc import clients, logos, revocation
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge


def held(client_id: str) -> ClientRecord:
    """The client's row, held until the commit; BadInput if there is none."""
    row = session.get(ClientRecord, client_id, with_for_update=True)
    if row is None:
        raise BadInput("no such client", field=client_id)
    return row


def disable(client_id: str, now: datetime) -> bool:
    """Off: no authorization, no token, no registration access; its grants and its registration token end for good. False if it was off already."""
    row = held(client_id)
    if row.disabled_at is not None:
        return False
    row.disabled_at, row.version, row.updated_at = now, row.version + 1, now
    # also its tokens without a grant, which are not written down anywhere
    row.generation = opaque_tokens.make()
    # whoever stole it must not have it again when the client is on again
    row.access_digest = None
    audit.client_changed(now, client_id=client_id, change="disabled")
    revocation.end_grants_of_client(client_id, "client_disabled", now)
    return True


def enable(client_id: str, now: datetime) -> bool:
    """On again; grants that ended stay ended, and tokens of before dead. False if it was on."""
    row = held(client_id)
    if row.disabled_at is None:
        return False
    row.disabled_at, row.version, row.updated_at = None, row.version + 1, now
    audit.client_changed(now, client_id=client_id, change="enabled")
    logos.follow(judge({**row.registration, "client_id": client_id}), now)
    return True


def rotate_secret(client_id: str, secret: str, now: datetime, overlap: timedelta) -> None:
    """A new secret by an operator; a registration access token, which could have it replaced again, ends with the old one."""
    row = held(client_id)
    clients.set_secret(row, secret, now, overlap)
    row.access_digest = None


def renew_access(client_id: str, now: datetime) -> str:
    """A fresh registration access token (RFC 7592) instead of the one it had; shown once, kept as a digest. BadInput if the client is off."""
    row = held(client_id)
    if row.disabled_at is not None:
        raise BadInput("is switched off", field=client_id)
    token = opaque_tokens.make()
    row.access_digest = opaque_tokens.digest(token)
    audit.client_changed(now, client_id=client_id, change="registration_token_renewed")
    return token


def remove(client_id: str, now: datetime) -> None:
    """Gone, with its grants, codes, tokens and consents; the audit keeps what happened."""
    held(client_id)
    revocation.end_grants_of_client(client_id, "client_deleted", now)
    audit.client_changed(now, client_id=client_id, change="deleted")
    session.flush()
    session.execute(delete(ClientRecord).where(ClientRecord.client_id == client_id), execution_options={"synchronize_session": False})
