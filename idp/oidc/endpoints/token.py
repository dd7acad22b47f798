"""POST /oauth2/token, in the order that nothing may leave the house before it is committed.

guard → authenticate the client → the grant's own checks → sign in memory → one short transaction → answer
"""

from flask import Response, request
from sqlalchemy.exc import DBAPIError

from idp import opaque_tokens, web
from idp.audit import catalogue as audit
from idp.db import transaction
from idp.limits import Rule, take
from idp.oidc import client_authentication, tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.endpoints import answers, body
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.provider import GRANTS
from idp.oidc.refusal import Refused
from idp.oidc.registration import CLIENT_ID

# Counted by (client named, network), so that nobody can keep a real client out from elsewhere; a right proof always passes.
FAILURES = Rule("client_authentication", 30, 60)


@blueprint.route("/oauth2/token", methods=["GET", "POST"])
@web.access.protocol
def token() -> Response:
    """Tokens, or an error of RFC 6749 §5.2."""
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = _caller(form)
    if isinstance(caller, Refused):
        return _turned_away(caller)
    plan = _plan(form, caller)
    try:
        with transaction():
            outcome = tokens.settle(caller, plan, web.now())
    except DBAPIError:
        # whether it was committed is unknown, so nothing leaves and nothing is made twice
        return answers.as_json({"error": "temporarily_unavailable"}, 503)
    return answers.refusal(outcome) if isinstance(outcome, Refused) else answers.as_json(outcome)


def _caller(form: dict[str, str]) -> Authenticated | Refused:
    shown = client_authentication.credentials(request.headers.get("Authorization"), form)
    if isinstance(shown, Refused):
        return shown
    issuer = web.runtime().settings.issuer
    return client_authentication.authenticate(shown, provider().clients, issuer, f"{issuer}/oauth2/token", web.now())


def _turned_away(no: Refused) -> Response:
    """The same answer whatever was wrong; the audit learns the reason, but cannot be flooded with it."""
    key = opaque_tokens.digest(f"{no.client_id} {web.caller_network()}")
    # what could be no client's id does not belong into the audit
    claimed = no.client_id if no.client_id and CLIENT_ID.match(no.client_id) else None
    with transaction():
        taken = take(FAILURES, key, web.now())
        if taken.allowed:
            audit.client_refused(web.now(), client_id=claimed, reason=no.reason)
    if taken.allowed:
        return answers.refusal(no)
    seconds = max(1, int((taken.retry_at - web.now()).total_seconds()))
    return answers.as_json({"error": no.error}, 429, **{"Retry-After": str(seconds)})


def _plan(form: dict[str, str], caller: Authenticated) -> tokens.Redemption | Refused:
    grant_type, client = form.get("grant_type"), caller.client
    if not grant_type:
        return Refused("invalid_request", "grant_type_missing", client_id=client.client_id)
    if grant_type not in GRANTS:
        return Refused("unsupported_grant_type", "grant_type", client_id=client.client_id)
    if grant_type not in client.registration.grant_types:
        return Refused("unauthorized_client", "grant_type", client_id=client.client_id)
    return GRANTS[grant_type](form, client, moment())
