"""/drivers: the page of e-key drivers, and the files that it offers (R19)."""

from flask import Response, abort, make_response, render_template, request, send_file

from idp import web
from idp.ekey import driver_files
from idp.ekey.driver_files import Drivers
from idp.ekey.views import bp

MAX_AGE_SECONDS = 300


def _drivers() -> Drivers:
    settings = web.runtime().settings
    return driver_files.load(settings.ekey_drivers_file, settings.ekey_drivers_folder)


@bp.get("/drivers")
@web.access.anyone
def drivers() -> str:
    """The visitor's system first, then all others; 404 where the operator offers none."""
    found = _drivers()
    if not found.all:
        abort(404)
    web.open_to_agent()
    mine, others = found.first_for(request.headers.get("User-Agent", ""))
    return render_template("ekey/drivers.html", mine=mine, others=others)


@bp.get("/drivers/<name>")
@web.access.asset
def driver(name: str) -> Response:
    """One listed file, to be kept and not opened."""
    found = _drivers().path(name)
    if found is None:
        nothing = make_response(web.error_page("http_404", 404))
        nothing.headers["Cache-Control"] = "no-store"
        return nothing
    path, listed = found
    answer = send_file(path, listed.media_type, as_attachment=True, download_name=listed.file, conditional=False, etag=False)
    answer.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer
