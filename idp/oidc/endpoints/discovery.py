"""GET /.well-known/openid-configuration (OIDC Discovery §4) and /.well-known/oauth-authorization-server (RFC 8414 §3)."""

from typing import Any

from sqlalchemy import select
from werkzeug.wrappers import Response

from idp import web
from idp.db import session
from idp.entitlements.models import BusinessSystem
from idp.oidc import certificates, metadata
from idp.oidc.endpoints import documents
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.provider import grants

MAX_AGE_SECONDS = 300


def _build() -> dict[str, Any]:
    systems = session.scalars(select(BusinessSystem.code).order_by(BusinessSystem.position)).all()
    settings = web.runtime().settings
    offered = grants(device=settings.device_grant == "on")
    told = metadata.document(settings.issuer, offered, systems, registration=settings.client_registration == "on", ekey=settings.ekey_on)
    methods = certificates.methods(settings)
    return metadata.with_certificates(told, methods, settings.mtls_base_url) if methods else told


@blueprint.get("/.well-known/openid-configuration")
@blueprint.get("/.well-known/oauth-authorization-server", endpoint="authorization_server")
@web.access.asset
def discovery() -> Response:
    """What this provider speaks. The issuer is the configured one, whatever Host the request names."""
    return documents.answer("metadata", _build, MAX_AGE_SECONDS)
