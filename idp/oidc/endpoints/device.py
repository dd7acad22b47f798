"""POST /oauth2/device (RFC 8628 §3.1): a device without a browser asks for codes. Off by default."""

from flask import Response

from idp import web
from idp.oidc import devices
from idp.oidc.endpoints import answers, body, callers
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.metadata import DEVICE_PATH
from idp.oidc.refusal import Refused
from idp.oidc.registration import DEVICE_CODE


@blueprint.route(DEVICE_PATH, methods=body.ANY_METHOD)
@web.access.protocol
def device() -> Response:
    """Both codes, or an error of RFC 6749 §5.2; 404 while the grant is switched off."""
    if web.runtime().settings.device_grant == "off":
        return answers.refusal(Refused("invalid_request", "device_off", 404))
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = callers.caller(form)
    if isinstance(caller, Refused):
        return callers.turned_away(caller)
    held, client = web.runtime(), caller.client
    planned: devices.Start | Refused = Refused("unauthorized_client", "grant_type", client_id=client.client_id)
    if DEVICE_CODE in client.registration.grant_types:
        planned = devices.plan(form, client, held.settings.issuer, held.secret, web.caller_network())
    outcome = callers.settled(caller, planned)
    return answers.refusal(outcome) if isinstance(outcome, Refused) else answers.as_json(outcome)
