"""What a request shows that tokens are bound to, and the nonce that its next proof needs (RFC 9449 §8)."""

from flask import Response, request

from idp import web
from idp.oidc import dpop
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.refusal import Refused
from idp.oidc.sender import NOBODY, Sender

# Elsewhere a proof means nothing and is not looked at.
PATHS = frozenset({"/oauth2/token", "/oauth2/par", "/oauth2/userinfo"})


def shown(access_token: str | None = None) -> Sender | Refused:
    """The sender of this request, as far as its tokens are or will be bound to it; `access_token` is the one that a DPoP proof came with."""
    # a header sent twice arrives as one with a comma, which no proof has
    proof = request.headers.get("DPoP")
    if proof is None:
        return without_proof()
    return dpop.judge(proof, dpop.Asked(request.method, _urls(), access_token, web.now(), web.runtime().secret))


def without_proof() -> Sender:
    """The sender where no DPoP proof counts: what the connection itself shows."""
    return NOBODY


def _urls() -> tuple[str, ...]:
    """What this place is called: by configuration, whatever Host the request names."""
    return (web.runtime().settings.issuer + request.path,)


@blueprint.after_request
def _nonce(response: Response) -> Response:
    """§8.2: whoever shows a proof, a good one or not, learns what the next one needs."""
    if request.path in PATHS and "DPoP" in request.headers and response.status_code < 500:
        response.headers["DPoP-Nonce"] = dpop.nonce(web.runtime().secret, web.now())
    return response
