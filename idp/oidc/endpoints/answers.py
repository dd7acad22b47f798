"""How answers leave: to a client by redirect or form_post, to its server as JSON."""

import json
from typing import Any
from urllib.parse import urlencode

from flask import Response, make_response, redirect, render_template
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.oidc.checks import Fault, Subject
from idp.oidc.endpoints.blueprint import provider
from idp.oidc.refusal import Refused
from idp.oidc.registration import Registration

# JARM §2.1: at most ten minutes
ANSWER_SECONDS = 600


def to_client(subject: Subject, parameters: dict[str, str]) -> BaseResponse:
    """An authorization response, success or error, by the response mode asked for; always with `state` and `iss` (RFC 9207)."""
    request = subject.request
    state = {"state": request.get("state")} if request.get("state") else {}
    sent = {**parameters, **state, "iss": subject.issuer}
    if request.response_mode.endswith(".jwt"):
        sent = {"response": _signed(subject.known.registration, sent)}
    if request.response_mode.startswith("form_post"):
        return _private(make_response(_form_post(request.redirect_uri, sent)))
    joint = "&" if "?" in request.redirect_uri else "?"
    # 303: RFC 9700 §4.12, the browser never repeats a POST with credentials there
    return _private(redirect(f"{request.redirect_uri}{joint}{urlencode(sent)}", 303))


def _signed(own: Registration, parameters: dict[str, str]) -> str:
    """The whole answer as one JWT (JARM §2.1), for this client alone and as long as it may take on its way."""
    now = int(web.now().timestamp())
    about = {"aud": own.client_id, "iat": now, "exp": now + ANSWER_SECONDS}
    return provider().keys.latest().sign(parameters | about, own.authorization_signed_response_alg, "JWT")


def fault(subject: Subject, no: Fault) -> BaseResponse:
    """An error of the authorization endpoint, once client and redirect URI are proven."""
    return to_client(subject, {"error": no.error, "error_description": no.detail})


def _form_post(redirect_uri: str, fields: dict[str, str]) -> str:
    web.allow_form_action(redirect_uri)
    return render_template("oidc/form_post.html", action=redirect_uri, fields=fields)


def _private(response: BaseResponse) -> BaseResponse:
    """Codes leave no trace in caches or Referer headers."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def as_json(body: dict[str, Any], status: int = 200, **headers: str) -> Response:
    """JSON that nobody keeps (RFC 6749 §5.1)."""
    response = Response(json.dumps(body, ensure_ascii=False), status, content_type="application/json")
    response.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache", **headers})
    return response


def as_jwt(token: str, content_type: str = "application/jwt") -> Response:
    """A signed answer that nobody keeps."""
    return Response(token, 200, {"Cache-Control": "no-store", "Pragma": "no-cache"}, content_type=content_type)


def refusal(no: Refused) -> Response:
    """An error of the token side (RFC 6749 §5.2)."""
    # RFC 9110 §15.5.2, §15.5.6
    headers = {401: {"WWW-Authenticate": 'Basic realm="client"'}, 405: {"Allow": "POST"}}.get(no.status, {})
    if no.retry_after is not None:
        headers = {"Retry-After": str(no.retry_after)}
    return as_json({"error": no.error}, no.status, **headers)
