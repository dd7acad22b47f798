"""The pages of one business system, and how it signs a person in.

`/` shows who is signed in, or a button · `/login` starts at once (OIDC Core §4: also from the platform's hall, with `iss`) · `/callback` ends it ·
`/logout` (POST) signs out here and at the platform · `/signed-out` is where the platform sends the person afterwards ·
`/backchannel-logout` (POST) is where the platform itself says that a session is over, `/security-events` (POST) that an account joined another.
"""

import logging
import secrets
from pathlib import Path
from typing import Any

from authlib.integrations.base_client import MismatchingStateError, OAuthError
from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, session, url_for
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from requests import RequestException
from werkzeug.wrappers import Response as BaseResponse

from clients.relying_party import access_tokens, account_events, logout_tokens
from clients.relying_party.provider import SKEW_SECONDS, Distrusted, Provider, connect
from clients.relying_party.registration import Registration
from clients.relying_party.signed_in import MOST_EVENTS, MOST_SIGNED_IN, MOST_UNDER_WAY, Memory

# a business system asks again after this long, whatever the platform's session does
SIGNED_IN_SECONDS = 8 * 3600
# a sign-in that was under way when its session ended is over by then
ENDED_SECONDS = 15 * 60
log = logging.getLogger(__name__)
pages = Blueprint("pages", __name__)


def _system() -> Registration:
    found: Registration = current_app.extensions["registration"]
    return found


def _provider() -> Provider:
    found: Provider = current_app.extensions["provider"]
    return found


def _memory() -> Memory:
    found: Memory = current_app.extensions["memory"]
    return found


def _events() -> Memory:
    found: Memory = current_app.extensions["events"]
    return found


def _person() -> dict[str, Any] | None:
    found: dict[str, Any] | None = _memory().get(session.get("handle", ""))
    return found


@pages.get("/")
def home() -> str:
    """The system's page for whoever is signed in here, or the way in."""
    person = _person()
    return render_template("page.html", person=person) if person else render_template("welcome.html", signed_out=False)


@pages.get("/login")
def login() -> BaseResponse | tuple[str, int]:
    """Start the code flow with PKCE, state and nonce."""
    # OIDC Core §4: an initiator may only name the issuer that we know; where it wants to land afterwards is ours to say
    if request.args.get("iss", _provider().issuer) != _provider().issuer:
        return _failed("issuer", 400)
    hint = request.args.get("login_hint", "")[:200]
    try:
        answer: BaseResponse = _provider().authorize_redirect(url_for("pages.callback", _external=True), **({"login_hint": hint} if hint else {}))
    except (RequestException, ValueError, Distrusted):
        log.exception("%s: the platform does not answer", _system().system)
        return _failed("platform", 502)
    return answer


@pages.get("/callback")
def callback() -> BaseResponse | tuple[str, int]:
    """Check what came back, take the tokens, remember the person."""
    # RFC 9207 §2.4: an answer of another issuer goes nowhere, error or not
    if request.args.get("iss") != _provider().issuer:
        return _failed("issuer", 400)
    state = _provider().framework.get_state_data(session, request.args.get("state", ""))
    # RFC 6749 §10.12: an answer that nobody here asked for
    if state is None:
        return _failed("state", 400)
    if request.args.get("error"):
        return _answered_no(request.args["error"])
    try:
        person = _received()
    except (OAuthError, MismatchingStateError, JoseError, RequestException, ValueError, KeyError, Distrusted):
        log.exception("%s: sign-in refused", _system().system)
        return _failed("token", 400)
    # the sign-out overtook the sign-in
    if _memory().get(f"ended {person['claims'].get('sid')}"):
        return _failed("token", 400)
    if _system().licence_scope not in person["scopes"]:
        return render_template("refused.html"), 403
    _memory().delete(session.get("handle", ""))
    session.clear()
    session["handle"] = _memory().keep(person, SIGNED_IN_SECONDS)
    return redirect(url_for("pages.home"), 303)


def _received() -> dict[str, Any]:
    """Tokens for the code, checked; claims of the ID token and of userinfo about the same person."""
    provider = _provider()
    token = provider.authorize_access_token(claims_options=provider.claims_options(), leeway=SKEW_SECONDS)
    claims = token["userinfo"]
    scopes = access_tokens.scopes(provider, token["access_token"], _system().resource)
    told = provider.userinfo(token=token)
    # OIDC Core §5.3.2: userinfo of somebody else must not be used
    if told["sub"] != claims["sub"]:
        raise Distrusted("userinfo is about another person")
    licences = sorted(scope.removeprefix("licence:") for scope in scopes if scope.startswith("licence:"))
    return {"claims": dict(claims), "told": dict(told), "scopes": sorted(scopes), "licences": licences, "id_token": token["id_token"]}


def _answered_no(error: str) -> tuple[str, int]:
    _provider().framework.clear_state_data(session, request.args.get("state", ""))
    if error == "access_denied":
        return render_template("refused.html"), 403
    return _failed("answer", 400)


@pages.post("/logout")
def logout() -> BaseResponse | tuple[str, int]:
    """Sign out here, then at the platform (OIDC RP-Initiated Logout)."""
    # the Lax cookie keeps foreign sites out; the Origin check keeps neighbours on other ports out
    if request.headers.get("Origin", _system().origin) != _system().origin:
        return _failed("origin", 403)
    person = _person()
    _memory().delete(session.get("handle", ""))
    session.clear()
    if person is None:
        return redirect(url_for("pages.home"), 303)
    try:
        back = url_for("pages.signed_out", _external=True)
        answer: BaseResponse = _provider().logout_redirect(back, id_token_hint=person["id_token"], client_id=_system().client_id)
    except (RequestException, ValueError, Distrusted):
        log.exception("%s: the platform does not answer", _system().system)
        return redirect(url_for("pages.signed_out"), 303)
    answer.status_code = 303
    return answer


@pages.post("/backchannel-logout")
def backchannel_logout() -> tuple[dict[str, str], int]:
    """End what the platform's logout token names (OIDC Back-Channel Logout §2.7): no cookie and no person stand behind this request."""
    try:
        ended = logout_tokens.judge(_provider(), _memory(), request.form.get("logout_token", ""))
    except (Distrusted, RequestException) as error:
        log.warning("%s: %s", _system().system, error)
        return {"error": "invalid_request"}, 400
    if ended.sid is not None:
        _memory().set(f"ended {ended.sid}", True, ENDED_SECONDS)
    _memory().delete_people(ended.sid, ended.sub)
    return {}, 200


@pages.post("/security-events")
def security_events() -> tuple[dict[str, str], int] | tuple[str, int]:
    """Take the platform's word that two of its accounts are one now, or are not any more (RFC 8935 §2.2, §2.3)."""
    try:
        event = _said()
    except account_events.Refused as refused:
        log.warning("%s: security event: %s", _system().system, refused.err)
        return {"err": refused.err, "description": "not taken"}, 400
    except (Distrusted, RequestException) as error:
        log.warning("%s: %s", _system().system, error)
        return {}, 503
    if event is not None:
        _follow(event)
    return "", 202


def _said() -> account_events.Event | None:
    # RFC 8935 §2.1
    if request.mimetype != "application/secevent+jwt":
        raise account_events.Refused("invalid_request")
    return account_events.judge(_provider(), _events(), request.get_data().decode("ascii", "replace"))


def _follow(event: account_events.Event) -> None:
    """What belongs to a person here goes along with the name; a real system keeps its records by it, this one only who is signed in."""
    if event.kind == account_events.JOINED:
        _memory().rename_people(event.old, event.new)
    else:
        # who of the two sits there, only a new sign-in tells
        for sub in filter(None, (event.old, event.new)):
            _memory().delete_people(None, sub)


@pages.get("/signed-out")
def signed_out() -> str:
    """The end of a sign-out."""
    return render_template("welcome.html", signed_out=True)


def _failed(code: str, status: int) -> tuple[str, int]:
    return render_template("failed.html", code=code), status


def _headers(response: Response) -> Response:
    issuer: str = current_app.extensions["provider"].issuer
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {issuer}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    # not no-referrer: browsers would then send `Origin: null` with our own forms
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def create_app(registration: Registration, issuer: str, *, secret: str | None = None, key: ECKey | None = None) -> Flask:
    """The Flask app of one business system; `secret` or `key` as its registration's token_endpoint_auth_method says."""
    app = Flask("clients.relying_party", root_path=str(Path(__file__).parent))
    https = registration.origin.startswith("https:")
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        # cookies are shared over ports: each system has a name of its own
        SESSION_COOKIE_NAME=f"{'__Host-' if https else ''}{registration.system}",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SERVER_NAME=registration.origin.partition("://")[2],
        PREFERRED_URL_SCHEME=registration.origin.partition("://")[0],
        MAX_CONTENT_LENGTH=16 * 1024,
    )
    app.extensions.update(registration=registration, memory=Memory(MOST_SIGNED_IN), events=Memory(MOST_EVENTS))
    app.extensions["provider"] = connect(app, registration, issuer, secret, key, Memory(MOST_UNDER_WAY))
    app.register_blueprint(pages)
    app.after_request(_headers)
    app.context_processor(lambda: {"system": registration, "page": registration.page, "platform": issuer})
    return app
