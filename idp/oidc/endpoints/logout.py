"""GET, POST /oauth2/logout (OIDC RP-Initiated Logout): sign out, and back to the client only where everything is proven."""

from dataclasses import dataclass
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

# `logout_hint` is left to the session that is there
KNOWN = {"id_token_hint": 8192, "post_logout_redirect_uri": 2000, "client_id": 128, "state": 2000, "ui_locales": 200}


@dataclass(frozen=True)
class Proven:
    """A sign-out request whose hint is ours: whom it is about, and where to go on ("" = nowhere: then a question is asked)."""

    client: Client
    sub: str
    uri: str
    state: str


def _read(raw: bytes) -> dict[str, str]:
    """The parameters we know; what is repeated or too long counts as not sent, and then a question is asked."""
    form = forms.parse(raw) or {}
    return {name: form[name][0] for name, most in KNOWN.items() if len(form.get(name, ())) == 1 and len(form[name][0]) <= most}


@blueprint.post("/oauth2/logout")
@web.access.protocol
def logout_post() -> BaseResponse:
    """A cross-site POST brings no Lax cookie: keep it, and go on by our own GET."""
    if request.mimetype != body.FORM or (request.content_length or 0) > body.MAX_BODY_BYTES:
        raise RequestBroken("oidc_request")
    asked = _read(request.get_data(cache=False))
    with transaction():
        request_id = pending.store_logout(asked, web.now())
    return redirect(url_for("oidc.logout", request=request_id, ui_locales=asked.get("ui_locales")), 303)


@blueprint.get("/oauth2/logout")
@web.access.protocol
def logout() -> BaseResponse | str:
    """At once for a proven request about this very person, otherwise after a question."""
    stored = request.args.get("request", "")
    asked = pending.find_logout(stored, web.now()) if stored else _read(request.query_string)
    proven, present = _proven(asked), _present()
    if not isinstance(proven, Proven) or not proven.uri or (present is not None and _sub_of(present, proven.client) != proven.sub):
        return render_template("oidc/logout.html" if present else "signin/signed_out.html", faulty=proven == "faulty")
    state = {"state": proven.state} if proven.state else {}
    joint = "&" if "?" in proven.uri else "?"
    return _end(redirect(proven.uri + (joint + urlencode(state) if state else ""), 303))


def _present() -> Session | None:
    """The session of this browser; an idle one counts too, for its grants still live."""
    return lifecycle.unended(cookie.read(request, cookie.SESSION, web.runtime().settings.https))


def _sub_of(present: Session, client: Client) -> str:
    return subjects.known(present.account_id, session.get_one(Account, present.account_id).sub, client.registration)


def _proven(asked: dict[str, str]) -> Proven | Literal["nothing", "faulty"]:
    """What a hint proves that one of our keys signed (expired is fine), for a client that registered this very address."""
    hint, uri = asked.get("id_token_hint"), asked.get("post_logout_redirect_uri", "")
    if not hint:
        # an address without a hint proves nothing: it is not gone to, and that is said
        return "faulty" if uri else "nothing"
    claims = hints.claims(hint, provider().keys.latest(), web.runtime().settings.issuer, web.now())
    if claims is None or asked.get("client_id", claims["aud"]) != claims["aud"]:
        return "faulty"
    client = provider().clients.find(claims["aud"])
    if client is None or (uri and uri not in client.registration.post_logout_redirect_uris):
        return "faulty"
    return Proven(client, claims["sub"], uri, asked.get("state", ""))


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
