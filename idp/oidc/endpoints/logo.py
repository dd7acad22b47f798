"""GET /oauth2/clients/<client_id>/logo.png: a client's logo as we drew it, for our own pages."""

from flask import Response, make_response, request
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.oidc import logos
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.registration import CLIENT_ID

# a logo that changed or went is gone everywhere after this long; pages name the version besides
MAX_AGE_SECONDS = 300


@blueprint.get("/oauth2/clients/<client_id>/logo.png")
@web.access.asset
def logo(client_id: str) -> BaseResponse:
    """The PNG; 404 for a client without one, unknown or switched off, without telling which."""
    found = logos.png_of(client_id) if CLIENT_ID.match(client_id) else None
    if found is None:
        # it may be there in a second
        nothing = make_response(web.error_page("http_404", 404))
        nothing.headers["Cache-Control"] = "no-store"
        return nothing
    png, version = found
    response = Response(png, mimetype="image/png")
    response.set_etag(version)
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    # opened alone it is a picture and nothing else
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response.make_conditional(request)
