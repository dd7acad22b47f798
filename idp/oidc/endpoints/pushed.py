"""POST /oauth2/par (RFC 9126): a client brings its authorization request itself, and gets a name for it."""

from flask import Response

from idp import web
from idp.oidc import pushed_requests
from idp.oidc.endpoints import answers, body, callers
from idp.oidc.endpoints.blueprint import blueprint, moment
from idp.oidc.refusal import Refused


@blueprint.route("/oauth2/par", methods=body.ANY_METHOD)
@web.access.protocol
def par() -> Response:
    """201 with the request_uri (§2.2), or an error of §2.3. A public client may do it by its name alone, as at the token endpoint."""
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = callers.caller(form)
    if isinstance(caller, Refused):
        return callers.turned_away(caller)
    outcome = callers.settled(caller, pushed_requests.plan(form, caller, moment(), web.caller_network()))
    return answers.refusal(outcome) if isinstance(outcome, Refused) else answers.as_json(outcome, 201)
