"""What every request passes: trusted proxy, host check, access declaration, CSRF, headers, error pages.

A view declares who may come in (`@web.access.…`, see access.py); a view without a declaration answers 500 in tests and never ships
(tests/test_architecture.py walks the routes).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import quote, urlsplit

from flask import Flask, Response, current_app, g, redirect, render_template, request
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as BaseResponse

from idp import opaque_tokens
from idp.access import access as access
from idp.adapters import BEIJING, Adapters
from idp.errors import Refusal, RequestBroken
from idp.proxy import TrustedProxy, network_of
from idp.settings import Settings

MAX_BODY_BYTES = 256 * 1024
MAX_URL_CHARACTERS = 32 * 1024
MAX_RETURN_CHARACTERS = 500
csrf = CSRFProtect()


@dataclass(frozen=True)
class Hooks:
    """What app.py wires, so that lower packages reach higher ones without importing them.

    `load_principal` reads who is signed in · `signin_path(path)` opens a sign-in that comes back to `path` · `session_ended(session, now)` runs
    in the commit that ends a session · `key_lost(session_id, now)` runs in the commit that takes the e-key from a session · `steps` is the order of
    the sign-in · `officer_roles` reads which roles a person holds · `proven_twice` whether the session rests on more than a password ·
    `step_up(principal, path)` opens the proof of another factor that comes back to `path` · `acts` is what a second
    person confirms, by kind · `officer_nav` are the officers' pages ·
    `key_for_link(row, account_id, serial)`: a live e-key of that account was proven in a transaction that links; what the person is told against it,
    None = go on ·
    `own_client(scope)` reads which client calls in its own name with an access token of that scope, else gives the answer that turns it away.
    `accounts_joined(old account_id, new account_id, now)`: the old account is from now on the new one · `accounts_parted`, the same arguments: it
    is one of its own again · `accounts_taken_back(account_ids, now)`: they are no more. All three run in the commit that does it, while both accounts
    still stand there with their grants: the clients that know them will be told.
    """

    load_principal: Callable[[], "Principal | None"]
    signin_path: Callable[[str], str]
    session_ended: Callable[[Any, datetime], None]
    key_lost: Callable[[int, datetime], None]
    steps: tuple[Any, ...]
    officer_roles: Callable[["Principal"], frozenset[str]]
    proven_twice: Callable[["Principal"], bool]
    step_up: Callable[["Principal", str], str]
    acts: Mapping[str, Any]
    officer_nav: tuple[Any, ...]
    key_for_link: Callable[[Any, int, str], Refusal | None]
    own_client: Callable[[str], "str | Response"]
    accounts_joined: Callable[[int, int, datetime], None]
    accounts_parted: Callable[[int, int, datetime], None]
    accounts_taken_back: Callable[[Collection[int], datetime], None]


@dataclass(frozen=True)
class Runtime:
    """What one process holds: settings, the outside world, the master secret, the hooks."""

    settings: Settings
    adapters: Adapters
    secret: str
    hooks: Hooks


def runtime() -> Runtime:
    """The running app's Runtime."""
    return cast("Runtime", current_app.extensions["idp"])


def now() -> datetime:
    """The present moment by the process's clock; views pass it on to rules."""
    return runtime().adapters.clock.now()


def today() -> date:
    """The present day in China, by which licences and keys begin and end."""
    return now().astimezone(BEIJING).date()


# --- who comes in ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Principal:
    """Who a request comes from: ids only. `only_system`: who came by the legacy entry opens that one system alone (R54)."""

    account_id: int
    session_id: int
    only_system: str | None = None


def present() -> Principal | None:
    """Whose session this browser has, if anybody's, a limited one too; loaded once a request. Pages ask `principal()`."""
    if "principal" not in g:
        g.principal = runtime().hooks.load_principal()
    return cast("Principal | None", g.principal)


def principal() -> Principal | None:
    """Who is signed in, if anybody. R54: whoever came by the legacy entry is nobody here."""
    found = present()
    return found if found is not None and found.only_system is None else None


def signed_in() -> Principal:
    """The person of a view that declared `@access.person` or `@access.officer(…)`."""
    found = principal()
    if found is None:
        raise RequestBroken("signin_needed", 401)
    return found


def officer_roles() -> frozenset[str]:
    """The roles that whoever is signed in holds, as they are now; loaded once a request."""
    if "officer_roles" not in g:
        present = principal()
        g.officer_roles = runtime().hooks.officer_roles(present) if present is not None else frozenset()
    return cast("frozenset[str]", g.officer_roles)


def declared(app: Flask, endpoint: str | None) -> str | None:
    """The access kind of an endpoint; Flask's own static files count as assets."""
    if endpoint == "static":
        return "asset"
    return cast("str | None", getattr(app.view_functions.get(endpoint or ""), "access", None))


def declared_here() -> str | None:
    """The access kind of the present request."""
    return declared(current_app, request.endpoint)


def _guard() -> BaseResponse | None:
    """Length, CSRF and access, before any view runs."""
    if len(request.full_path) > MAX_URL_CHARACTERS:
        raise RequestBroken("too_long", 414)
    if request.endpoint is None:
        return None  # 404 and 405 speak for themselves
    kind = declared(current_app, request.endpoint)
    if kind is None:
        raise RuntimeError(f"{request.endpoint} declares no access")
    if kind in ("anyone", "person", "officer") and request.method not in ("GET", "HEAD", "OPTIONS"):
        _same_origin()
        csrf.protect()
    if kind in ("person", "officer") and principal() is None:
        return redirect(runtime().hooks.signin_path(_here() if request.method == "GET" else "/"), 303)
    return _guard_officers() if kind == "officer" else None


def _guard_officers() -> BaseResponse | None:
    """R90: the role first, so that nobody else learns of the page; then the second factor."""
    wanted: frozenset[str] = current_app.view_functions[request.endpoint or ""].__dict__["roles"]
    if not (officer_roles() & wanted if wanted else officer_roles()):
        raise NotFound
    hooks, present = runtime().hooks, signed_in()
    if hooks.proven_twice(present):
        return None
    return redirect(hooks.step_up(present, _here() if request.method == "GET" else "/officers"), 303)


def _here() -> str:
    """The page's own path and query as they may stand in a Location header; the start page if they are too long to keep."""
    query = request.query_string.decode("latin-1")
    path = quote(request.path, safe="/-._~") + (f"?{query}" if query.isascii() and query.isprintable() and query else "")
    return path if len(path) <= MAX_RETURN_CHARACTERS and not path.startswith("//") else "/"


def _same_origin() -> None:
    """A browser that names a foreign Origin is not on our page, whatever token it shows."""
    origin = request.headers.get("Origin")
    if origin and origin != runtime().settings.issuer:
        raise RequestBroken("csrf", 403)


# --- the network ----------------------------------------------------------------------------------------------------------------------------


def caller_network() -> str:
    """Keyed digest of the caller's network; what limits and audit may keep of an address."""
    return opaque_tokens.keyed_digest(runtime().secret, "network", network_of(request.remote_addr))[:32]


# --- headers --------------------------------------------------------------------------------------------------------------------------------


def origin_of(url: str) -> str:
    """scheme://host[:port] of a URL, for the CSP."""
    parts = urlsplit(url)
    # a private-use scheme (RFC 8252 §7.1) has no host: the CSP source is the scheme alone
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("https", "http") else f"{parts.scheme}:"


def allow_form_action(*urls: str) -> None:
    """Let this page's forms end, after redirects, at the origins of `urls` (pages.md rule 12)."""
    g.form_action = [*g.get("form_action", []), *(origin_of(url) for url in urls)]


def open_to_agent() -> None:
    """Let this page speak to the card agent of the person's own computer: fetch it, post a form to it, and tell it our origin.

    Without a Referrer-Policy that tells the origin, a form's `Origin` would be `null` (Fetch, "append a request Origin header").
    """
    g.agent = f"http://127.0.0.1:{runtime().settings.agent_port}"
    allow_form_action(g.agent)


def _csp() -> str:
    form_action = " ".join(["'self'", *dict.fromkeys(g.get("form_action", []))])
    connect = f"'self' {g.agent}" if "agent" in g else "'self'"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src {connect}; worker-src 'self'; "
        f"base-uri 'none'; frame-ancestors 'none'; form-action {form_action}"
    )


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _csp())
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Referrer-Policy", "origin" if "agent" in g else "same-origin")
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if runtime().settings.https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if declared_here() != "asset":
        response.headers.setdefault("Cache-Control", "no-store")
        response.vary.add("Cookie")
    return response


# --- errors ---------------------------------------------------------------------------------------------------------------------------------


def error_page(code: str, status: int) -> tuple[str, int]:
    """The page for `code`, with the 问题编号 of this request and a way on."""
    return render_template("error.html", code=code, status=status, request_id=g.get("request_id", "")), status


def _broken(error: RequestBroken) -> tuple[str, int, dict[str, str]]:
    later = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    return *error_page(error.code, error.status), later


def _http(error: HTTPException) -> tuple[str, int] | HTTPException:
    if error.response is not None or error.code is None or error.code < 400:
        return error
    return error_page(f"http_{error.code}", error.code)


def _csrf(_error: CSRFError) -> tuple[str, int]:
    return error_page("csrf", 403)


def _bug(error: Exception) -> tuple[str, int]:
    current_app.logger.error("request %s failed", g.get("request_id"), exc_info=error)
    return error_page("http_500", 500)


def init_app(app: Flask, settings: Settings, secret: str) -> None:
    """Wire all of it. The browser cookie (Flask's session) holds only the browser's id and its CSRF token."""
    prefix = "__Host-" if settings.https else ""
    app.config.update(
        SECRET_KEY=opaque_tokens.derived_key(secret, "browser-cookie"),
        SESSION_COOKIE_NAME=f"{prefix}browser",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        TRUSTED_HOSTS=settings.hosts,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # the Origin check above stands in for the Referer one
    )
    csrf.init_app(app)

    app.before_request(_guard)
    app.after_request(_headers)
    app.register_error_handler(RequestBroken, _broken)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _bug)
    app.wsgi_app = TrustedProxy(app.wsgi_app, settings.trusted_proxy, settings.client_cert_header)  # type: ignore[method-assign]  # Flask's documented way to wrap
