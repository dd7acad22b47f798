"""The host that asks clients for certificates (RFC 8705 §5): only what clients call there themselves is answered, and nothing for browsers."""

from flask import abort, request

from idp import proxy, web
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.metadata import ALIASED_PATHS


def here() -> bool:
    """Whether this request came to that host, as the proxy says."""
    settings = web.runtime().settings
    return proxy.came_to(request.host_url, settings.mtls_base_url, settings.issuer)


@blueprint.before_app_request
def _only_for_clients() -> None:
    # a page there would ask people for certificates, and show them another address than the one they know
    if here() and request.path not in ALIASED_PATHS:
        abort(404)
