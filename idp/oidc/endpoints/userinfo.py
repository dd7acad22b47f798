"""GET, POST /oauth2/userinfo (OIDC Core §5.3): claims about the person, for an access token that still lives, shown by whom it is bound to."""

from flask import Response, request

from idp import web
from idp.oidc import access_tokens, claims, sender
from idp.oidc.access_tokens import AccessToken
from idp.oidc.endpoints import answers, body, resource
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.refusal import Refused
from idp.oidc.tokens import Moment


@blueprint.route("/oauth2/userinfo", methods=body.ANY_METHOD)
@web.access.protocol
def userinfo() -> Response:
    """The claims that the token's scopes release now, or an error of RFC 6750 §3 and RFC 9449 §7.1."""
    if request.method not in ("GET", "HEAD", "POST"):
        return answers.as_json({"error": "invalid_request"}, 405, Allow="GET, HEAD, POST")
    shown = resource.shown()
    told = shown if isinstance(shown, Refused) else _told(shown)
    return resource.challenge(told) if isinstance(told, Refused) else told


def _told(shown: resource.Shown) -> Response | Refused:
    at = moment()
    found = access_tokens.judge(shown.token, at, provider().clients)
    # a client's own token is about no person
    if found is None or found.grant is None or web.runtime().settings.issuer not in found.audience:
        return Refused("invalid_token", "token", 401)
    foreign = sender.fault(found.cnf, shown.scheme, shown.by)
    if foreign is not None:
        return Refused("invalid_token", foreign, 401)
    if "openid" not in found.scopes:
        return Refused("insufficient_scope", "openid", 403)
    answer = _answer(found, at)
    # RFC 9449 §11.1: last, when all else is right and the answer is ready
    return (resource.spent(shown.by.jti) if shown.by.jti is not None else None) or answer


def _answer(found: AccessToken, at: Moment) -> Response:
    own, grant = found.client.registration, found.grant
    named = claims.allowed(grant.claims.get("userinfo", ()), own.scopes)
    told = claims.userinfo(grant.account_id, grant.sub, found.scopes, own.system, named) | claims.entry(grant.entry_remaining)
    if own.userinfo_signed_response_alg is None:
        return answers.as_json(told)
    # OIDC Core §5.3.2: signed for this client; protocol claims are laid over
    whole = {**told, "iss": at.issuer, "aud": found.client.client_id}
    return answers.as_jwt(at.keys.latest().sign(whole, own.userinfo_signed_response_alg, "JWT"))
