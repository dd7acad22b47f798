"""GET, POST /oauth2/logout (OIDC RP-Initiated Logout): sign out, and back to the client only where everything is proven."""

from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlencode

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import RequestBroken
from idp.oidc import forms, hints, pending, subjects
from idp.oidc.clients import Client
from idp.oidc.endpoints import body
from idp.oidc.endpoints.blueprint import blueprint, provider
from idp.oidc.revocation import on_session_end
from idp.sessions import cookie, lifecycle
from idp.sessions.models import Session
from idp.signin import browser

# `logout_hint` is left to the session that is there
KNOWN = {"id_token_hint": 8192, "post_logout_redirect_uri": 2000, "client_id": 128, "state": 2000, "ui_locales": 200}


# what a posted request that proves nothing is called at its own GET
UNPROVEN = "unproven"


@dataclass(frozen=True)
class Proven:
    """A sign-out request whose hint is ours: whom it is about, and where to go on ("" = nowhere: then a question is asked)."""

    client_id: str
    sub: str
    uri: str
    state: str


Judged = Proven | Literal["nothing", "faulty"]


def _read(raw: bytes) -> dict[str, str] | Literal["faulty"]:
    """The parameters we know; a request with one repeated or too long is faulty: going back without it would not be what was asked for."""
    form = forms.parse(raw) or {}
    if any(len(form[name]) > 1 or len(form[name][0]) > most for name, most in KNOWN.items() if name in form):
        return "faulty"
    return {name: form[name][0] for name in KNOWN if name in form}


@blueprint.post("/oauth2/logout")
@web.access.protocol
def logout_post() -> BaseResponse:
    """A cross-site POST brings no Lax cookie: keep what it proves, and go on by our own GET."""
    asked = _read(_body())
    judged = asked if asked == "faulty" else _judged(asked)
    wish = None if asked == "faulty" else asked.get("ui_locales")
    return redirect(url_for("oidc.logout", request=_kept(judged), ui_locales=wish), 303)


def _body() -> bytes:
    # every parameter is optional, so there may be no form at all
    if not request.mimetype and not request.content_length:
        return b""
    sent = body.raw(body.MAX_BODY_BYTES) if request.mimetype == body.FORM else None
    if sent is None:
        raise RequestBroken("oidc_request")
    return sent


def _kept(judged: Judged) -> str | None:
    """The name under which its own GET finds it. A stranger has nothing stored, and who holds a hint of ours only so much."""
    if not isinstance(judged, Proven):
        return UNPROVEN if judged == "faulty" else None
    with transaction():
        browser.claim_room()
        return pending.store_logout(asdict(judged), web.now())


@blueprint.get("/oauth2/logout")
@web.access.protocol
def logout() -> BaseResponse | str:
    """At once for a proven request about this very person, otherwise after a question."""
    stored = request.args.get("request", "")
    proven, present = _found(stored) if stored else _judged(_read(request.query_string)), _present()
    client = provider().clients.find(proven.client_id) if isinstance(proven, Proven) else None
    if not isinstance(proven, Proven) or client is None or not proven.uri or (present is not None and _sub_of(present, client) != proven.sub):
        return render_template("oidc/logout.html" if present else "signin/signed_out.html", faulty=proven == "faulty")
    state = {"state": proven.state} if proven.state else {}
    joint = "&" if "?" in proven.uri else "?"
    return _end(redirect(proven.uri + (joint + urlencode(state) if state else ""), 303))


def _present() -> Session | None:
    """The session of this browser; an idle one counts too, for its grants still live."""
    return lifecycle.unended(cookie.read(request, cookie.SESSION, web.runtime().settings.https))


def _sub_of(present: Session, client: Client) -> str:
    return subjects.known(present.account_id, session.get_one(Account, present.account_id).sub, client.registration)


def _found(request_id: str) -> Judged:
    """A posted request, judged again by what its client is now."""
    kept = pending.find_logout(request_id, web.now())
    return _addressed(Proven(**kept)) if kept is not None else "faulty"


def _judged(asked: dict[str, str] | Literal["faulty"]) -> Judged:
    """What a hint proves that one of our keys signed (expired is fine), for a client that registered this very address."""
    if asked == "faulty":
        return "faulty"
    hint, uri = asked.get("id_token_hint"), asked.get("post_logout_redirect_uri", "")
    if not hint:
        # an address without a hint proves nothing: it is not gone to, and that is said
        return "faulty" if uri else "nothing"
    claims = hints.claims(hint, provider().keys.latest(), web.runtime().settings.issuer, web.now())
    if claims is None or asked.get("client_id", claims["aud"]) != claims["aud"]:
        return "faulty"
    return _addressed(Proven(claims["aud"], claims["sub"], uri, asked.get("state", "")))


def _addressed(proven: Proven) -> Proven | Literal["faulty"]:
    client = provider().clients.find(proven.client_id)
    return "faulty" if client is None or (proven.uri and proven.uri not in client.registration.post_logout_redirect_uris) else proven


@blueprint.post("/oauth2/logout/confirm")
@web.access.anyone
def logout_confirmed() -> BaseResponse:
    """The person said yes on our own page: sign out, and stay."""
    return _end(redirect(url_for("signin.signed_out"), 303))


def _end(answer: BaseResponse) -> BaseResponse:
    """End this browser's session, if there is one, with all its grants."""
    present = _present()
    if present is not None:
        with transaction():
            lifecycle.end(present, "signed_out", web.now(), on_session_end)
    cookie.clear(answer, cookie.SESSION, web.runtime().settings.https)
    return answer
