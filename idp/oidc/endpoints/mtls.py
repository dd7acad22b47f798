"""The host that asks clients for certificates (RFC 8705 §5): only what clients call there themselves is answered, and nothing for browsers."""

from urllib.parse import urlsplit

from flask import abort, request

from idp import web
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.metadata import ALIASED_PATHS

_PORTS = {"https": 443, "http": 80}


def here() -> bool:
    """Whether this request came to that host, as the proxy says: by its name, and by its port only where the names are one."""
    settings = web.runtime().settings
    if not settings.mtls_base_url:
        return False
    came, own = _place(request.host_url), _place(settings.mtls_base_url)
    # a proxy may leave the port out, or name its inner one
    return came == own if own[0] == settings.issuer_host else came[0] == own[0]


def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or _PORTS.get(parts.scheme)


@blueprint.before_app_request
def _only_for_clients() -> None:
    # a page there would ask people for certificates, and show them another address than the one they know
    if here() and request.path not in ALIASED_PATHS:
        abort(404)
