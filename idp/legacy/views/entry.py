"""/legacy/<system>: the legacy entry, where the old name and the old password open that one system (R2, R54, R64)."""

import re
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for

from idp import opaque_tokens, pacing, web
from idp.captcha import rules as captcha
from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem
from idp.errors import Refusal
from idp.legacy import entry, entry_attempt, naming
from idp.legacy.entry_attempt import Answer, Closed, Door, Passed, Typed
from idp.sessions import cookie, lifecycle
from idp.sessions.models import Session
from idp.signin import browser
from idp.signin.views import hub
from idp.signin.views.password import hasher

pages = Blueprint("legacy_entry", __name__)
CODE = re.compile(r"[a-z0-9_]{1,40}")
NOTHING = Typed("", "", "")
# how long a double submit may come after the first
REPEAT = timedelta(seconds=60)


def known(code: str) -> BusinessSystem:
    """The business system of this code; 404 where there is none."""
    found = session.get(BusinessSystem, code) if CODE.fullmatch(code) else None
    if found is None:
        abort(404)
    return found


def _door(system: str) -> Door:
    runtime = web.runtime()
    return Door(system, entry_attempt.PAGE, hub.caller(), runtime.settings, runtime.secret, request.form.get("form_id", ""))


def _place(system: str) -> str:
    """What a captcha of this page belongs to: the system, and the browser that was shown it."""
    return opaque_tokens.keyed_digest(web.runtime().secret, "legacy-entry", f"{browser.secret()}:{system}")


def _page(system: BusinessSystem, typed: Typed, errors: list[Refusal], status: int = 200) -> Any:
    runtime, now, asked = web.runtime(), web.now(), None
    if entry_attempt.asks_captcha(_door(system.code), typed, now) or any(error.field == "captcha" for error in errors):
        with transaction():
            browser.claim_room()
            asked = captcha.new(_place(system.code), runtime.secret, now, runtime.settings.captcha_seconds)
    form = {"username": typed.name, "enterprise_code": typed.code, "form_id": opaque_tokens.make()}
    by_code = not naming.unique_in_system(system.code)
    return render_template("legacy/entry.html", system=system, form=form, by_code=by_code, captcha_id=asked, errors=errors), status


def _closed_page(system: BusinessSystem, closed: Closed) -> Any:
    if closed.reason in ("account_disabled", "enterprise_cancelled"):
        return render_template("signin/told.html", code=closed.reason), 403
    return render_template("legacy/closed.html", system=system, reason=closed.reason, right=closed.right), 403


@pages.get("/legacy/<system>")
@web.access.anyone
def show(system: str) -> Any:
    """The form; where the entry is over for everybody, the way to the platform."""
    found = known(system)
    if entry.over(system, entry.terms(web.runtime().settings), web.now()):
        return _closed_page(found, Closed(entry.ENDED))
    return _page(found, NOTHING, [])


@pages.post("/legacy/<system>")
@web.access.anyone
@pacing.refusals
def submit(system: str) -> Any:
    """Look at the old password; right, a session of this one system starts, in the commit that counts the log-in."""
    found, form, runtime = known(system), request.form, web.runtime()
    typed = Typed(form.get("username", ""), form.get("password", ""), form.get("enterprise_code", ""))
    if entry.over(system, entry.terms(runtime.settings), web.now()):
        return _closed_page(found, Closed(entry.ENDED))
    if form.get("action") == "refresh_captcha":
        return _page(found, typed, [])
    door, answer = _door(system), Answer(_place(system), form.get("captcha_id", ""), form.get("captcha", ""))
    with transaction():
        admitted = entry_attempt.admit(door, typed, answer, web.now())
    if isinstance(admitted, Refusal) and admitted.code == "captcha_wrong" and _just_entered(system):
        return redirect(url_for("legacy_entry.entered", system=system), 303)
    if isinstance(admitted, Refusal | Closed):
        return _turned_away(found, typed, admitted)
    fitting = entry_attempt.prove(admitted, typed, runtime.secret, hasher())
    present = hub.unended()
    with transaction():
        outcome = entry_attempt.settle(door, admitted, fitting, web.now())
        secret = _start(system, outcome, present) if isinstance(outcome, Passed) else ""
    return _enter(system, secret) if isinstance(outcome, Passed) else _turned_away(found, typed, outcome)


def _turned_away(system: BusinessSystem, typed: Typed, why: Refusal | Closed) -> Any:
    if isinstance(why, Closed):
        return _closed_page(system, why)
    return _page(system, typed, [why], 429 if why.code in ("too_many", "legacy_busy") else 422)


def _start(system: str, passed: Passed, present: Session | None) -> str:
    """The session of this system alone (R54); whatever session stood in this browser is over. Returns the cookie's secret."""
    now, runtime = web.now(), web.runtime()
    if present is not None:
        lifecycle.end(present, "legacy_entry", now, runtime.hooks.session_ended)
    only = {"only_system": system, "entry_remaining": passed.remaining}
    life = runtime.settings.session_absolute_seconds
    return lifecycle.start(passed.account_id, passed.epoch, {"password": now}, now, life, **only)[1]  # type: ignore[arg-type]  # two keywords of two types


def _enter(system: str, secret: str) -> Any:
    answer = redirect(url_for("legacy_entry.entered", system=system), 303)
    cookie.write(answer, cookie.SESSION, secret, web.runtime().settings.https)
    return answer


def _limited(system: str) -> Session | None:
    """The session of this browser, if it came by this very entry."""
    present = web.present()
    return session.get(Session, present.session_id) if present is not None and present.only_system == system else None


def _just_entered(system: str) -> bool:
    """R84: the captcha of a double submit is spent; its first half has passed already, and is not counted twice."""
    found = _limited(system)
    return found is not None and web.now() - found.started_at < REPEAT


@pages.get("/legacy/<system>/entered")
@web.access.anyone
def entered(system: str) -> Any:
    """How many log-ins are left, and 【进入应用】 (R64)."""
    found, row = known(system), _limited(system)
    if row is None:
        return redirect(url_for("legacy_entry.show", system=system), 303)
    return render_template("legacy/entered.html", system=found, remaining=row.entry_remaining)
