"""POST /oauth2/introspect (RFC 7662), JSON or signed (RFC 9701): a resource asks what a token is worth now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request

from idp import web
from idp.oidc import introspection
from idp.oidc.client_authentication import refused
from idp.oidc.clients import Client
from idp.oidc.endpoints import answers, body, callers
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.refusal import Refused


@dataclass(frozen=True)
class Told:
    """An answer that writes nothing, but goes out only once the caller's assertion is spent."""

    answer: dict[str, Any]

    def commit(self, now: datetime) -> dict[str, Any]:
        """The answer."""
        return self.answer


@blueprint.route("/oauth2/introspect", methods=body.ANY_METHOD)
@web.access.protocol
def introspect() -> Response:
    """The state of a token, for its audience."""
    form = body.form()
    if isinstance(form, Refused):
        return answers.refusal(form)
    caller = callers.caller(form)
    if isinstance(caller, Refused):
        return callers.turned_away(caller)
    # §2.1: a client that cannot prove itself could try tokens out
    if caller.client.registration.public:
        return callers.turned_away(refused("public", caller.client.client_id))
    plan = _plan(form, caller.client)
    # nothing to write: no transaction
    outcome = plan.answer if isinstance(plan, Told) and not caller.spends else callers.settled(caller, plan)
    return answers.refusal(outcome) if isinstance(outcome, Refused) else _answer(outcome, caller.client)


def _answer(told: dict[str, Any], client: Client) -> Response:
    if _wants_jwt():
        # RFC 9701 §5: told to this caller alone; neither sub nor exp, so that nobody takes it for a token
        at = moment()
        whole = {"iss": at.issuer, "aud": client.client_id, "iat": int(at.now.timestamp()), "token_introspection": told}
        signed = at.keys.latest().sign(whole, client.registration.introspection_signed_response_alg, introspection.JWT_TYPE)
        response = answers.as_jwt(signed, f"application/{introspection.JWT_TYPE}")
    else:
        response = answers.as_json(told)
    response.vary.add("Accept")
    return response


def _wants_jwt() -> bool:
    """Whether the caller names the signed answer itself (RFC 9701 §4), and likes it no less than JSON (RFC 9110 §12.5.1)."""
    wanted, accepted = f"application/{introspection.JWT_TYPE}", request.accept_mimetypes
    named = any(kind.partition(";")[0].strip().lower() == wanted for kind in accepted.values())
    return named and accepted.best_match([wanted, "application/json"]) == wanted


def _plan(form: dict[str, str], client: Client) -> Told | Refused:
    if not form.get("token"):
        return Refused("invalid_request", "token_missing", client_id=client.client_id)
    return Told(introspection.told(form["token"], client, moment(), provider().clients))
