"""Who may read our answers in a browser, in one place: a table of endpoints (Fetch Standard, CORS protocol). Never with credentials.

Public documents: everybody. Endpoints that a client's own page calls: the origins of registered redirect URIs, on refusals too. All others,
authorize and every page above all: nobody.
"""

from flask import Response, request
from sqlalchemy import bindparam, select

from idp.db import session
from idp.oidc.client_models import ClientOrigin
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.models import ClientRecord

PUBLIC = frozenset({"oidc.discovery", "oidc.authorization_server", "oidc.jwks"})
BY_ORIGIN = frozenset({"oidc.token", "oidc.userinfo", "oidc.revoke", "oidc.par"})
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, DPoP, Content-Type",
    "Access-Control-Max-Age": "600",
}
MAX_ORIGIN_CHARACTERS = 300
_REGISTERED = (
    select(ClientOrigin.client_id)
    .join(ClientRecord, ClientRecord.client_id == ClientOrigin.client_id)
    .where(ClientOrigin.origin == bindparam("origin"), ClientRecord.disabled_at.is_(None))
    .limit(1)
)


def _registered(origin: str) -> bool:
    if not origin.isascii() or not origin.isprintable() or len(origin) > MAX_ORIGIN_CHARACTERS:
        return False
    return session.connection().execute(_REGISTERED, {"origin": origin}).one_or_none() is not None


@blueprint.after_request
def _cors(response: Response) -> Response:
    origin = request.headers.get("Origin")
    if request.endpoint in PUBLIC:
        response.headers["Access-Control-Allow-Origin"] = "*"
    elif request.endpoint in BY_ORIGIN:
        response.vary.add("Origin")
        # a 5xx comes of a database that may not answer again
        if origin is None or response.status_code >= 500 or not _registered(origin):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "DPoP-Nonce, WWW-Authenticate"
    else:
        return response
    if request.method == "OPTIONS":
        response.headers.update(PREFLIGHT)
    return response
