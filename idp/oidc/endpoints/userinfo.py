"""GET, POST /oauth2/userinfo (OIDC Core §5.3): claims about the person, for a Bearer access token that still lives."""

from flask import Response, request

from idp import web
from idp.oidc import access_tokens, claims
from idp.oidc.endpoints import answers, body
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.refusal import Refused


@blueprint.route("/oauth2/userinfo", methods=body.ANY_METHOD)
@web.access.protocol
def userinfo() -> Response:
    """The claims that the token's scopes release now, or an error of RFC 6750 §3."""
    if request.method not in ("GET", "HEAD", "POST"):
        return answers.as_json({"error": "invalid_request"}, 405, Allow="GET, HEAD, POST")
    shown = _token()
    if isinstance(shown, Refused):
        return _challenge(shown)
    told = _told(shown)
    return _challenge(told) if isinstance(told, Refused) else told


def _challenge(no: Refused) -> Response:
    # RFC 6750 §3.1: who shows nothing is told nothing but the scheme
    error = f', error="{no.error}"' if no.error else ""
    body_ = {"error": no.error} if no.error else {}
    return answers.as_json(body_, no.status, **{"WWW-Authenticate": f'Bearer realm="userinfo"{error}'})


def _token() -> str | Refused:
    """The access token from the one place where it was sent: the header, or a POST form (RFC 6750 §2.1, §2.2); never the query."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if "access_token" in request.args:
        return Refused("invalid_request", "query")
    in_form = ""
    if request.method == "POST" and request.mimetype == body.FORM:
        form = body.form()
        if isinstance(form, Refused):
            return form
        in_form = form.get("access_token", "")
    if scheme and in_form:
        return Refused("invalid_request", "two_tokens")
    if in_form:
        return in_form
    return token.strip() if scheme.lower() == "bearer" and token.strip() else Refused("", "no_token", 401)


def _told(token: str) -> Response | Refused:
    at = moment()
    found = access_tokens.judge(token, at, provider().clients)
    # a client's own token is about no person
    if found is None or found.grant is None or web.runtime().settings.issuer not in found.audience:
        return Refused("invalid_token", "token", 401)
    if "openid" not in found.scopes:
        return Refused("insufficient_scope", "openid", 403)
    own, grant = found.client.registration, found.grant
    named = claims.allowed(grant.claims.get("userinfo", ()), own.scopes)
    told = claims.userinfo(grant.account_id, grant.sub, found.scopes, own.system, named)
    if own.userinfo_signed_response_alg is None:
        return answers.as_json(told)
    # OIDC Core §5.3.2: signed for this client; protocol claims are laid over
    whole = {**told, "iss": at.issuer, "aud": found.client.client_id}
    return answers.as_jwt(at.keys.latest().sign(whole, own.userinfo_signed_response_alg, "JWT"))
