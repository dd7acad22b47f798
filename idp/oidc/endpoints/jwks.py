"""GET /oauth2/jwks: the public halves of the signing keys."""

from werkzeug.wrappers import Response

from idp import web
from idp.oidc.endpoints import documents
from idp.oidc.endpoints.blueprint import blueprint, provider

# a withdrawn key is gone everywhere after this long
MAX_AGE_SECONDS = 300


@blueprint.get("/oauth2/jwks")
@web.access.asset
def jwks() -> Response:
    """Next, current and just retired keys; public members only."""
    return documents.answer("jwks", lambda: {"keys": provider().keys.latest().published(web.now())}, MAX_AGE_SECONDS)
