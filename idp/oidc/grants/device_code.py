"""grant_type=urn:ietf:params:oauth:grant-type:device_code (RFC 8628 §3.4, §3.5): a device asks whether its person has said yes.

1 the code exists for this client  2 it was not shown after its tokens left  3 nobody said no  4 it is in time  5 somebody said yes
6 the grant lives  7 resource  8 rights now, sign in memory
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Update, bindparam, or_, select, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.oidc import grant_facts, sender, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.clients import Client
from idp.oidc.device_models import DeviceAuthorization
from idp.oidc.grants import redemption
from idp.oidc.models import Grant
from idp.oidc.refusal import Refused

MAX_CODE_CHARACTERS = 256
# RFC 8628 §3.5
SLOWER_SECONDS = 5
# a device that keeps its pace may still arrive a little early
JITTER_SECONDS = 1
_MINE = DeviceAuthorization.device_code_digest == bindparam("digest")
_FIND = select(
    *(DeviceAuthorization.device_code_digest, DeviceAuthorization.client_id, DeviceAuthorization.grant_id, DeviceAuthorization.expires_at),
    *(DeviceAuthorization.interval_seconds, DeviceAuthorization.approved_at, DeviceAuthorization.denied_at, DeviceAuthorization.spent_at),
).where(_MINE)
_FACTS = grant_facts.with_holder(select(*grant_facts.FACTS).where(Grant.id == bindparam("grant_id")))


@dataclass(frozen=True)
class Poll:
    """A device that has to wait on; it is told to slow down if it comes back sooner than `interval` seconds."""

    digest: str
    client_id: str
    interval: int

    def commit(self, now: datetime) -> Refused:
        """Note when it came."""
        mine, last = DeviceAuthorization.device_code_digest == self.digest, DeviceAuthorization.polled_at
        due = now - timedelta(seconds=self.interval - JITTER_SECONDS)
        if spend_once(update(DeviceAuthorization).where(mine, or_(last.is_(None), last <= due)).values(polled_at=now)):
            return Refused("authorization_pending", "device_pending", client_id=self.client_id, expected=True)
        slower = DeviceAuthorization.interval_seconds + SLOWER_SECONDS
        session.execute(update(DeviceAuthorization).where(mine).values(polled_at=now, interval_seconds=slower))
        return Refused("slow_down", "device_too_fast", client_id=self.client_id)


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment) -> Poll | redemption.Redemption | Refused:
    """What this device gets now, signed already; or that it has to wait; or the refusal."""
    client, cnf = caller.client, sender.confirmation(caller.client.registration, caller.sender)
    if isinstance(cnf, Refused):
        return cnf
    code = form.get("device_code")
    if not code:
        return Refused("invalid_request", "device_code_missing", client_id=client.client_id)
    row = session.connection().execute(_FIND, {"digest": opaque_tokens.digest(code[:MAX_CODE_CHARACTERS])}).one_or_none()
    refused = _shown(row, client, at)
    if refused is not None or row is None:
        return refused or _no("device_code_unknown", client)
    # 5
    if row.approved_at is None:
        return Poll(row.device_code_digest, client.client_id, row.interval_seconds)
    facts = session.connection().execute(_FACTS, {"grant_id": row.grant_id}).one_or_none()
    return _live(facts, form, client, at) or redemption.ready(facts, client, at, cnf, partial(_spend, row.device_code_digest, client))


def _no(reason: str, client: Client, ends_grant: int | None = None) -> Refused:
    return Refused("invalid_grant", reason, client_id=client.client_id, ends_grant=ends_grant)


def _shown(row: Any, client: Client, at: tokens.Moment) -> Refused | None:
    # 1: another client's code is as good as none, and nothing happens to it
    if row is None or row.client_id != client.client_id:
        return _no("device_code_unknown", client)
    # 2: as with codes (RFC 6749 §4.1.2)
    if row.spent_at is not None:
        return _no("code_replayed", client, row.grant_id)
    # 3
    if row.denied_at is not None:
        return Refused("access_denied", "device_denied", client_id=client.client_id)
    # 4
    return Refused("expired_token", "device_code_expired", client_id=client.client_id) if at.now >= row.expires_at else None


def _live(facts: Any, form: Mapping[str, str], client: Client, at: tokens.Moment) -> Refused | None:
    # 6
    if facts is None or grant_facts.over(facts, at.now):
        return _no("grant_over", client)
    # 7: RFC 8707 §2.2
    if form.get("resource", facts.resource) != facts.resource:
        return Refused("invalid_target", "resource", client_id=client.client_id)
    return None


def _spend(digest: str, client: Client, now: datetime) -> Update:
    mine = (DeviceAuthorization.device_code_digest == digest, DeviceAuthorization.client_id == client.client_id)
    ripe = (DeviceAuthorization.approved_at.is_not(None), DeviceAuthorization.spent_at.is_(None), DeviceAuthorization.expires_at > now)
    return update(DeviceAuthorization).where(*mine, *ripe).values(spent_at=now)
