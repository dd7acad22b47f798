"""The endpoints that clients call themselves: who calls, how a refusal leaves, and the one transaction in which a plan is settled."""

from dataclasses import replace
from typing import Any

from flask import Response, request
from sqlalchemy.exc import DBAPIError

from idp import opaque_tokens, web
from idp.db import transaction
from idp.oidc import client_authentication, dpop, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.endpoints import answers, senders
from idp.oidc.endpoints.blueprint import provider
from idp.oidc.metadata import ENDPOINTS
from idp.oidc.refusal import Refused, counted
from idp.oidc.registration import CLIENT_ID


def caller(form: dict[str, str]) -> Authenticated | Refused:
    """The client that calls this endpoint, proven, with what its tokens can be bound to."""
    shown = client_authentication.credentials(request.headers.get("Authorization"), form)
    if isinstance(shown, Refused):
        return shown
    issuer = web.runtime().settings.issuer
    found = client_authentication.authenticate(
        shown, senders.connection(), provider().clients, issuer, issuer + ENDPOINTS["token_endpoint"], web.now()
    )
    if isinstance(found, Refused) or request.path not in senders.PATHS:
        return found
    # before anything is spent: after a nonce was asked for, the same assertion may come again
    by = senders.shown()
    return replace(by, client_id=found.client.client_id) if isinstance(by, Refused) else replace(found, sender=by)


def turned_away(no: Refused) -> Response:
    """The same answer whatever was wrong; the audit learns the reason, but cannot be flooded with it."""
    # RFC 9449 §8: the ordinary way to a nonce, no failure
    if no.error == dpop.USE_NONCE:
        return answers.refusal(no)
    # what could be no client's id does not belong into the audit
    claimed = no.client_id if no.client_id and CLIENT_ID.match(no.client_id) else None
    with transaction():
        return answers.refusal(counted(no, _counter(no.client_id), claimed, web.now(), web.caller_network()))


def _counter(client_id: str | None) -> str:
    return opaque_tokens.digest(f"{client_id} {web.caller_network()}")


def settled(by: Authenticated, plan: tokens.Plan | Refused) -> dict[str, Any] | Refused:
    """What came of a plan, once it is committed."""
    try:
        with transaction():
            return tokens.settle(by, plan, web.now(), _counter(by.client.client_id))
    except DBAPIError:
        # whether it was committed is unknown, so nothing leaves and nothing is made twice
        return Refused("temporarily_unavailable", "commit", 503)
