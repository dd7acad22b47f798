"""POST /oauth2/token, in the order that nothing may leave the house before it is committed.

guard → authenticate the client → the grant's own checks → sign in memory → one short transaction → answer
"""

from flask import Response

from idp import web
from idp.oidc import tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.endpoints import answers, body, callers
from idp.oidc.endpoints.blueprint import blueprint, moment
from idp.oidc.provider import grants
from idp.oidc.refusal import Refused


@blueprint.route("/oauth2/token", methods=body.ANY_METHOD)
@web.access.protocol
def token() -> Response:
    """Tokens, or an error of RFC 6749 §5.2."""
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = callers.caller(form)
    if isinstance(caller, Refused):
        return callers.turned_away(caller)
    outcome = callers.settled(caller, _plan(form, caller))
    return answers.refusal(outcome) if isinstance(outcome, Refused) else answers.as_json(outcome)


def _plan(form: dict[str, str], caller: Authenticated) -> tokens.Plan | Refused:
    grant_type, client = form.get("grant_type"), caller.client
    if not grant_type:
        return Refused("invalid_request", "grant_type_missing", client_id=client.client_id)
    offered = grants(device=web.runtime().settings.device_grant == "on")
    if grant_type not in offered:
        return Refused("unsupported_grant_type", "grant_type", client_id=client.client_id)
    if grant_type not in client.registration.grant_types:
        return Refused("unauthorized_client", "grant_type", client_id=client.client_id)
    return offered[grant_type](form, caller, moment())
