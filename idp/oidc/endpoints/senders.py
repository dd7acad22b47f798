"""What a request shows that tokens are bound to, and the nonce that its next proof needs (RFC 9449 §8)."""

from dataclasses import replace

from flask import Response, request

from idp import proxy, web
from idp.oidc import certificates, dpop
from idp.oidc.certificates import Connection
from idp.oidc.endpoints import mtls
from idp.oidc.endpoints.blueprint import blueprint, provider
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
    proven = dpop.judge(proof, dpop.Asked(request.method, _urls(), access_token, web.now(), web.runtime().secret))
    return proven if isinstance(proven, Refused) else replace(proven, x5t=without_proof().x5t)


def without_proof() -> Sender:
    """The sender where no DPoP proof counts: what the connection itself shows."""
    certificate = connection().certificate
    return Sender(x5t=certificate.x5t) if certificate is not None else NOBODY


def connection() -> Connection:
    """The client's certificate, as the trusted proxy hands it on (RFC 8705); it counts only at the host that asks for one."""
    settings = web.runtime().settings
    if not settings.client_cert_header or (settings.mtls_base_url and not mtls.here()):
        return Connection()
    # a header sent twice arrives as one with a comma, which no certificate has
    sent = request.headers.get(settings.client_cert_header)
    certificate = proxy.handed_on(sent, settings.client_cert_secret.get_secret_value())
    return Connection(certificates.read(certificate, settings.client_cert_format, web.now()), provider().roots)


def _urls() -> tuple[str, ...]:
    """What this place is called: by configuration, whatever Host the request names."""
    settings = web.runtime().settings
    return tuple(base + request.path for base in (settings.issuer, settings.mtls_base_url) if base)


@blueprint.after_request
def _nonce(response: Response) -> Response:
    """§8.2: whoever shows a proof, a good one or not, learns what the next one needs."""
    if request.path in PATHS and "DPoP" in request.headers and response.status_code < 500:
        response.headers["DPoP-Nonce"] = dpop.nonce(web.runtime().secret, web.now())
    return response
