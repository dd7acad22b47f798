"""The protocol endpoints, one file each: they read the request, ask the rules, and write the answer."""

from idp.oidc.endpoints import (  # noqa: F401  # they register their routes
    authorize,
    consent,
    consents,
    cors,
    device,
    device_page,
    discovery,
    introspect,
    jwks,
    logo,
    logout,
    pushed,
    register,
    revoke,
    token,
    userinfo,
)
from idp.oidc.endpoints.blueprint import blueprint

__all__ = ["blueprint"]
