"""The protocol endpoints, one file each: they read the request, ask the rules, and write the answer."""

from idp.oidc.endpoints import authorize, consent, discovery, jwks, logout, token, userinfo  # noqa: F401  # they register their routes
from idp.oidc.endpoints.blueprint import blueprint

__all__ = ["blueprint"]
