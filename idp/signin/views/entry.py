"""Where a sign-in begins and ends: /login, the old address, the hub, sign-out."""

from collections.abc import Mapping

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.db import session, transaction
from idp.sessions import cookie, lifecycle
from idp.sessions.models import Session
from idp.signin import browser, flow
from idp.signin.views import bp, hub

# D12: IE and IE mode cannot render the pages; they get one that says what to do
OLD_BROWSERS = ("MSIE ", "Trident/")


def begin(return_to: str, login_hint: str = "", asked: Mapping[str, str] = flow.NOTHING_ASKED) -> str:
    """Open a sign-in for this browser that comes back to `return_to` (a local path of ours); the path to send it to. `asked`: flow.ASKED."""
    with transaction():
        over = browser.claim_room(sign_in=True)
        life = web.runtime().settings.signin_seconds
        transaction_id = flow.begin(browser.secret(), flow.Caller(return_to=return_to, login_hint=login_hint), web.now(), life, over, asked)
    return url_for("signin.continue_", transaction_id=transaction_id)


def step_up(present: web.Principal, return_to: str, factor: str = "") -> str:
    """Open the proof of a second factor, TOTP or e-key, for who is signed in; it comes back to `return_to`. The path to send the person to.

    `factor`: that one and no other (flow.ASKED).
    """
    found = session.get_one(Session, present.session_id)
    who = flow.SignedIn(found.account_id, found.epoch, found.id, found.password_at or found.started_at)
    asked = {factor or ("second" if web.runtime().settings.ekey_on else "totp"): "must"}
    with transaction():
        over = browser.claim_room(sign_in=True)
        life = web.runtime().settings.signin_seconds
        transaction_id = flow.begin_step_up(browser.secret(), flow.Caller(return_to=return_to), who, web.now(), life, over, asked)
    return url_for("signin.continue_", transaction_id=transaction_id)


@bp.before_app_request
def old_browser() -> str | None:
    """D12: plain HTML for IE, on pages only."""
    kind = web.declared_here()
    if kind in ("anyone", "person", "officer") and any(mark in request.user_agent.string for mark in OLD_BROWSERS):
        return render_template("old_browser.html")
    return None


@bp.get("/login")
@bp.get("/loginCorp.html", endpoint="login_corp")
@web.access.anyone
def login() -> BaseResponse:
    """R4, R83: the address of the manual and its old spelling. Who is signed in already stands in the hall."""
    if web.principal() is not None:
        return redirect("/hall", 303)
    return redirect(begin("/hall"), 303)


@bp.get("/signin/<transaction_id>")
@web.access.anyone
def continue_(transaction_id: str) -> BaseResponse | tuple[str, int]:
    """The hub: on to the step that is next."""
    row, mine = flow.find(transaction_id, browser.secrets())
    if row is None or web.now() >= row.expires_at:
        return hub.expired(row)
    return hub.lead_on(row) if mine else hub.finished(row)


@bp.get("/signout")
@web.access.anyone
def ask_signout() -> str:
    """Ask before signing out; a link alone signs nobody out."""
    return render_template("signin/signout.html" if web.present() else "signin/signed_out.html")


@bp.post("/signout")
@web.access.anyone
def signout() -> BaseResponse:
    """End this browser's session and show that it is over."""
    present = hub.unended()
    if present is not None:
        with transaction():
            lifecycle.end(present, "signed_out", web.now(), web.runtime().hooks.session_ended)
    answer = redirect(url_for("signin.signed_out"), 303)
    cookie.clear(answer, cookie.SESSION, web.runtime().settings.https)
    return answer


@bp.get("/signed-out")
@web.access.anyone
def signed_out() -> str:
    """The literal words "signed out" stand on this page in English."""
    return render_template("signin/signed_out.html")
