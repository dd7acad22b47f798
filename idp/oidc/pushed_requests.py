"""Pushed authorization requests (PAR, RFC 9126): what a client pushes is judged like any request, kept, and answered once.

1 no request_uri inside  2 a request object is opened  3 one key for DPoP  4 CHECKS  5 kept under the digest of its handle
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update

from idp import opaque_tokens
from idp.db import session, spend_once
from idp.limits import Rule, take
from idp.oidc import authorization_request, checks, clients, pending, request_objects, tokens
from idp.oidc import jti as jtis
from idp.oidc.authorization_request import AuthorizationRequest
from idp.oidc.client_authentication import Authenticated
from idp.oidc.jti import Jti
from idp.oidc.models import PushedRequest
from idp.oidc.refusal import Refused

PREFIX = "urn:ietf:params:oauth:request_uri:"
# FAPI 2.0 Security Profile §5.3.2.2: less than 600 s
LIFE = timedelta(seconds=90)
# from the start on a sign-in has as long as this; the code after it is refused
STARTED_LIFE = timedelta(minutes=30)
# past its end, so that an answer under way still finds it
SLACK = timedelta(minutes=1)
SWEPT_AT_ONCE = 5000
# A row each. Who has proven nothing counts as its network, whatever names it uses; the others by client and network, for all their users.
BY_NOBODY = Rule("pushed_requests_network", 120, 60)
BY_CLIENT = Rule("pushed_requests", 1200, 60)
_HANDLE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True)
class Push:
    """A good request that waits to be kept; `jti` is its request object's, `counter` whom it is counted against, and by which rule."""

    request: AuthorizationRequest
    jti: Jti | None
    signed: bool
    counter: tuple[Rule, str]

    def commit(self, now: datetime) -> dict[str, Any] | Refused:
        """Keep it; returns the answer of RFC 9126 §2.2."""
        client_id = self.request.client_id
        taken = take(*self.counter, now)
        if not taken.allowed:
            # RFC 9126 §2.3
            wait = max(1, int((taken.retry_at - now).total_seconds()))
            return Refused("temporarily_unavailable", "pushed_requests", 429, client_id=client_id, retry_after=wait)
        if self.jti is not None and not jtis.spend(self.jti):
            return Refused("invalid_request_object", "request_object_replayed", client_id=client_id)
        if not clients.hold(client_id):
            return Refused("invalid_client", "unknown", 401, client_id=client_id)
        handle, until = opaque_tokens.make(), now + LIFE
        row = PushedRequest(
            digest=opaque_tokens.digest(handle),
            client_id=client_id,
            parameters=dict(self.request.values),
            signed=self.signed,
            created_at=now,
            expires_at=until,
            kept_until=until + SLACK,
        )
        session.add(row)
        return {"request_uri": PREFIX + handle, "expires_in": int(LIFE.total_seconds())}


def plan(form: Mapping[str, str], caller: Authenticated, at: tokens.Moment, network: str) -> Push | Refused:
    """What a client wants to push, judged; the Refused carries the error of the check that failed. May ask the client's `jwks_uri`."""
    client, brought = caller.client, authorization_request.read({name: [value] for name, value in form.items()})
    # 1: RFC 9126 §2.1
    if "request_uri" in form:
        return _refused(checks.Fault("invalid_request", "request_uri_inside"), caller)
    # 2
    signed = bool(brought.get("request"))
    found = request_objects.opened(brought, client, at.issuer, at.now) if signed else request_objects.Opened(brought)
    if isinstance(found, checks.Fault):
        return _refused(found, caller)
    # 3: RFC 9449 §10.1
    key = caller.sender.jkt
    if key is not None and found.request.get("dpop_jkt") not in ("", key):
        return _refused(checks.Fault("invalid_request", "dpop_jkt_differs"), caller)
    own = {"client_id": client.client_id, **({"dpop_jkt": key} if key is not None else {})}
    asked = replace(found.request, values={**found.request.values, **own})
    # 4
    failed = checks.first_failure(checks.Subject(asked, client, at.issuer, signed), "par")
    # 5
    return Push(asked, found.jti, signed, _counter(caller, network)) if failed is None else _refused(failed[1], caller)


def _counter(caller: Authenticated, network: str) -> tuple[Rule, str]:
    if caller.client.registration.public:
        return BY_NOBODY, network
    return BY_CLIENT, opaque_tokens.digest(f"{caller.client.client_id} {network}")


def _refused(fault: checks.Fault, caller: Authenticated) -> Refused:
    return Refused(fault.error, fault.detail, client_id=caller.client.client_id)


@dataclass(frozen=True)
class Started:
    """A pushed request that a browser brought in time, the digest by which it is spent, and whether it came in a request object."""

    request: AuthorizationRequest
    digest: str
    signed: bool


def ours(request_uri: str) -> bool:
    """Whether it has the form of what we hand out."""
    return request_uri.startswith(PREFIX)


def started(asked: AuthorizationRequest, now: datetime) -> Started | None:
    """The request that this client pushed; None if unknown, too old, answered already or another client's.

    What else stands beside client_id and request_uri does not count (RFC 9126 §4).
    """
    handle = asked.get("request_uri").removeprefix(PREFIX)
    row = session.get(PushedRequest, opaque_tokens.digest(handle)) if _HANDLE.match(handle) else None
    if row is None or row.client_id != asked.client_id or now >= row.expires_at or row.spent_at is not None:
        return None
    return Started(AuthorizationRequest(dict(row.parameters)), row.digest, row.signed)


def keep(digest: str, now: datetime) -> None:
    """Inside the transaction that stores a sign-in which started with it: it stays as long as that can be answered."""
    session.execute(update(PushedRequest).where(PushedRequest.digest == digest).values(kept_until=now + pending.LIFE + SLACK))


def spend(digest: str, client_id: str, now: datetime) -> bool:
    """Inside the transaction that answers: True for the one answer of all sign-ins that started with it."""
    mine = (PushedRequest.digest == digest, PushedRequest.client_id == client_id)
    return spend_once(update(PushedRequest).where(*mine, PushedRequest.spent_at.is_(None), PushedRequest.kept_until > now).values(spent_at=now))


def sweep(now: datetime) -> bool:
    """Drop what no sign-in can come back to (a job of the worker), not more than SWEPT_AT_ONCE at a time; whether there may be more."""
    over = select(PushedRequest.digest).where(PushedRequest.kept_until < now).limit(SWEPT_AT_ONCE)
    dropped = cast("CursorResult[Any]", session.execute(delete(PushedRequest).where(PushedRequest.digest.in_(over))))
    return dropped.rowcount >= SWEPT_AT_ONCE
