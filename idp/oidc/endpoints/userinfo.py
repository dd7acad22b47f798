"""GET, POST /oauth2/userinfo (OIDC Core §5.3): claims about the person, for an access token that still lives, shown by whom it is bound to."""

from dataclasses import dataclass, replace

from flask import Response, request
from sqlalchemy.exc import DBAPIError

from idp import web
from idp.db import transaction
from idp.oidc import access_tokens, claims, jti, profiles, sender
from idp.oidc.access_tokens import AccessToken
from idp.oidc.endpoints import answers, body, senders
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.jti import Jti
from idp.oidc.refusal import Refused
from idp.oidc.sender import Sender
from idp.oidc.tokens import Moment

DPOP, BEARER = "DPoP", "Bearer"


@dataclass(frozen=True)
class Shown:
    """An access token, the scheme it came by, and who sent it as far as that is known."""

    token: str
    scheme: str
    by: Sender


@blueprint.route("/oauth2/userinfo", methods=body.ANY_METHOD)
@web.access.protocol
def userinfo() -> Response:
    """The claims that the token's scopes release now, or an error of RFC 6750 §3 and RFC 9449 §7.1."""
    if request.method not in ("GET", "HEAD", "POST"):
        return answers.as_json({"error": "invalid_request"}, 405, Allow="GET, HEAD, POST")
    shown = _shown()
    told = shown if isinstance(shown, Refused) else _told(shown)
    return _challenge(told) if isinstance(told, Refused) else told


def _challenge(no: Refused) -> Response:
    # RFC 6750 §3.1: who shows nothing is told nothing but the schemes
    error = f', error="{no.error}"' if no.error else ""
    bearer, proven = f'{BEARER} realm="userinfo"', f'{DPOP} algs="{" ".join(profiles.ALGORITHMS)}"'
    challenge = f"{proven}{error}" if _header()[0] == DPOP else f"{bearer}{error}, {proven}"
    return answers.as_json({"error": no.error} if no.error else {}, no.status, **{"WWW-Authenticate": challenge})


def _header() -> tuple[str, str]:
    """Scheme and token of the Authorization header; schemes are the same in all cases (RFC 9110 §11.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return {"bearer": BEARER, "dpop": DPOP}.get(scheme.lower(), scheme), token.strip()


def _token() -> tuple[str, str] | Refused:
    """Scheme and access token from the one place where it was sent: the header, or a POST form (RFC 6750 §2.1, §2.2); never the query."""
    scheme, token = _header()
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
        return BEARER, in_form
    return (scheme, token) if scheme in (BEARER, DPOP) and token else Refused("", "no_token", 401)


def _shown() -> Shown | Refused:
    found = _token()
    if isinstance(found, Refused):
        return found
    scheme, token = found
    if scheme == DPOP and "DPoP" not in request.headers:
        return Refused("invalid_dpop_proof", "dpop_missing", 401)
    by = senders.shown(token) if scheme == DPOP else senders.without_proof()
    # RFC 9449 §7.1
    return replace(by, status=401) if isinstance(by, Refused) else Shown(token, scheme, by)


def _told(shown: Shown) -> Response | Refused:
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
    return (_spent(shown.by.jti) if shown.by.jti is not None else None) or answer


def _answer(found: AccessToken, at: Moment) -> Response:
    own, grant = found.client.registration, found.grant
    named = claims.allowed(grant.claims.get("userinfo", ()), own.scopes)
    told = claims.userinfo(grant.account_id, grant.sub, found.scopes, own.system, named)
    if own.userinfo_signed_response_alg is None:
        return answers.as_json(told)
    # OIDC Core §5.3.2: signed for this client; protocol claims are laid over
    whole = {**told, "iss": at.issuer, "aud": found.client.client_id}
    return answers.as_jwt(at.keys.latest().sign(whole, own.userinfo_signed_response_alg, "JWT"))


def _spent(proof: Jti) -> Refused | None:
    """Use the proof up, for good; the refusal if that was done before."""
    try:
        with transaction():
            return None if jti.spend(proof) else Refused("invalid_dpop_proof", "dpop_replayed", 401)
    except DBAPIError:
        # whether it was committed is unknown, so nothing leaves
        return Refused("temporarily_unavailable", "commit", 503)
