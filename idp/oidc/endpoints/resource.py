"""The access token that a request to a protected resource shows, and how one is turned away (RFC 6750, RFC 9449 §7)."""

from dataclasses import dataclass, replace

from flask import Response, request
from sqlalchemy.exc import DBAPIError

from idp import web
from idp.db import transaction
from idp.oidc import access_tokens, jti, profiles, sender
from idp.oidc.endpoints import answers, body, senders
from idp.oidc.endpoints.blueprint import moment, provider
from idp.oidc.jti import Jti
from idp.oidc.refusal import Refused
from idp.oidc.sender import Sender

DPOP, BEARER = "DPoP", "Bearer"


@dataclass(frozen=True)
class Shown:
    """An access token, the scheme it came by, and who sent it as far as that is known."""

    token: str
    scheme: str
    by: Sender


def challenge(no: Refused, realm: str = "userinfo") -> Response:
    """The answer that turns a request away, with the schemes that it could have used."""
    # RFC 6750 §3.1: who shows nothing is told nothing but the schemes
    error = f', error="{no.error}"' if no.error else ""
    bearer, proven = f'{BEARER} realm="{realm}"', f'{DPOP} algs="{" ".join(profiles.ALGORITHMS)}"'
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


def shown() -> Shown | Refused:
    """The token, by the scheme that it came by, and who sent it."""
    found = _token()
    if isinstance(found, Refused):
        return found
    scheme, token = found
    if scheme == DPOP and "DPoP" not in request.headers:
        return Refused("invalid_dpop_proof", "dpop_missing", 401)
    by = senders.shown(token) if scheme == DPOP else senders.without_proof()
    # RFC 9449 §7.1
    return replace(by, status=401) if isinstance(by, Refused) else Shown(token, scheme, by)


def spent(proof: Jti) -> Refused | None:
    """Use the proof up, for good; the refusal if that was done before."""
    try:
        with transaction():
            return None if jti.spend(proof) else Refused("invalid_dpop_proof", "dpop_replayed", 401)
    except DBAPIError:
        # whether it was committed is unknown, so nothing leaves
        return Refused("temporarily_unavailable", "commit", 503)


def own_client(scope: str) -> str | Response:
    """The client that calls in its own name with an access token of this scope; or the answer that turns it away (web.Hooks.own_client)."""
    found = shown()
    told = found if isinstance(found, Refused) else _judged(found, scope)
    return challenge(told, "platform") if isinstance(told, Refused) else told


def _judged(found: Shown, scope: str) -> str | Refused:
    token = access_tokens.judge(found.token, moment(), provider().clients)
    # a person's token says what the person may do, never what the client may
    if token is None or token.grant is not None or web.runtime().settings.issuer not in token.audience:
        return Refused("invalid_token", "token", 401)
    foreign = sender.fault(token.cnf, found.scheme, found.by)
    if foreign is not None:
        return Refused("invalid_token", foreign, 401)
    # what the client may no longer ask for it may no longer use
    if scope not in token.scopes or scope not in token.client.registration.scopes:
        return Refused("insufficient_scope", scope, 403)
    return (spent(found.by.jti) if found.by.jti is not None else None) or token.client.client_id
