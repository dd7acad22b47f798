"""POST /oauth2/revoke (RFC 7009): a client takes its own token back."""

from flask import Response

from idp import web
from idp.oidc import token_revocation
from idp.oidc.endpoints import answers, body, callers
from idp.oidc.endpoints.blueprint import blueprint, moment
from idp.oidc.refusal import Refused


@blueprint.route("/oauth2/revoke", methods=body.ANY_METHOD)
@web.access.protocol
def revoke() -> Response:
    """200 whatever the token was (RFC 7009 §2.2). A public client may do it by its name alone: holding the token is the proof (§2.1)."""
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = callers.caller(form)
    if isinstance(caller, Refused):
        return callers.turned_away(caller)
    outcome = callers.settled(caller, token_revocation.plan(form, caller.client, moment()))
    return answers.refusal(outcome) if isinstance(outcome, Refused) else answers.as_json(outcome)
