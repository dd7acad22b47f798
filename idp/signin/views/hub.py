"""What every page of the sign-in shares: find the transaction, lead to the next step, finish."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import opaque_tokens, web
from idp.accounts import lockout
from idp.db import transaction
from idp.sessions import cookie, lifecycle
from idp.sessions.models import Session
from idp.signin import browser, finish, flow, steps
from idp.signin.models import SignInTransaction

Page = Callable[[SignInTransaction], Any]


def caller() -> lockout.Caller:
    """Where this request comes from, for the counters."""
    return lockout.Caller(browser.device_digest(), web.caller_network())


def _device() -> str:
    return cookie.read(request, cookie.DEVICE, web.runtime().settings.https)


def unended() -> Session | None:
    """The session of this browser that nobody has ended, idle or not."""
    return lifecycle.unended(cookie.read(request, cookie.SESSION, web.runtime().settings.https))


def step_page(step: str) -> Callable[[Page], Callable[[str], Any]]:
    """Give a page its transaction, if this is the step it is at; anything else is led on, never into a dead end (R84)."""

    def decorate(page: Page) -> Callable[[str], Any]:
        @wraps(page)
        def view(transaction_id: str) -> Any:
            row, mine = flow.find(transaction_id, browser.secrets())
            if row is None or web.now() >= row.expires_at:
                return expired(row)
            if request.method == "POST" and request.form.get("action") == "deny" and row.cancel_to:
                return redirect(row.cancel_to, 303)
            over = not mine or row.completed_at is not None
            if over and not _proves_anew(row, step):
                return finished(row)
            away = None if over else _away(row, step)
            if away is not None:
                return away
            web.allow_form_action(*row.form_action)
            try:
                return page(_again(row) if over else row)
            except flow.Stale:
                return expired(row)

        return view

    return decorate


def _away(row: SignInTransaction, step: str) -> BaseResponse | tuple[str, int] | None:
    """Where else this sign-in is; None = at this step."""
    if "epoch" in row.facts and flow.account_as_proven(row, hold=False) is None:
        return expired(row)
    return lead_on(row) if _current(row) != step else None


def _current(row: SignInTransaction) -> str | None:
    step = flow.next_step(web.runtime().hooks.steps, row, web.now())
    return step.name if step else None


def expired(row: SignInTransaction | None) -> BaseResponse | tuple[str, int]:
    """登录页面已过期: back to where this sign-in came from, at once if somebody is signed in by now, else by 【重新登录】 (R84)."""
    if row is not None and web.principal() is not None:
        return redirect(row.return_to, 303)
    restart_url, cancel_to = (row.return_to, row.cancel_to) if row is not None else (url_for("signin.login"), "")
    return render_template("signin/expired.html", restart_url=restart_url, cancel_to=cancel_to), 410


def lead_on(row: SignInTransaction) -> BaseResponse | tuple[str, int]:
    """To the next step; when all are passed, sign in and go back to where the person came from."""
    if row.completed_at:
        return finished(row)
    step = _current(row)
    if step:
        return redirect(f"/signin/{row.id}/{step}", 303)
    return _finish(row)


def _finish(row: SignInTransaction) -> BaseResponse | tuple[str, int]:
    now, runtime = web.now(), web.runtime()
    if not _may_finish(row):
        return expired(row)
    # somebody may have planted a device cookie: one that has never signed in is not kept
    device = _device() if lockout.knows(browser.device_digest()) else opaque_tokens.make()
    present = unended()
    present_id = present.id if present is not None else None
    with transaction():
        outcome = finish.finish(row, runtime.hooks.steps, present_id, _life(), now, runtime.hooks.session_ended)
        if isinstance(outcome, finish.Signed):
            _remember(row, device)
    if outcome == "not_yet":
        return redirect(url_for("signin.continue_", transaction_id=row.id), 303)
    return _back(row, outcome.secret, device) if isinstance(outcome, finish.Signed) else expired(row)


def _life() -> lifecycle.Life:
    settings = web.runtime().settings
    return lifecycle.Life(settings.session_idle_seconds, settings.session_absolute_seconds)


def _may_finish(row: SignInTransaction) -> bool:
    """A step-up only ends in the session that it began in, while somebody is signed in by it."""
    present = web.principal()
    return "session" not in row.facts or (present is not None and present.session_id == row.facts["session"])


def _remember(row: SignInTransaction, device: str) -> None:
    """The device has signed in to the account."""
    if row.account_id is not None:
        lockout.forgive(row.account_id, lockout.Caller(opaque_tokens.digest(device), web.caller_network()), web.now())


def _back(row: SignInTransaction, secret: str, device: str) -> BaseResponse:
    answer, https = redirect(row.return_to, 303), web.runtime().settings.https
    cookie.write(answer, cookie.SESSION, secret, https)
    cookie.write(answer, cookie.DEVICE, device, https)
    return answer


def finished(row: SignInTransaction) -> BaseResponse | tuple[str, int]:
    """What was proven in it is not given a second time: on for who is signed in by it, else 【重新登录】 (R84; threats H, session fixation)."""
    if _signed_in(row):
        return redirect(row.return_to, 303)
    # a double click: the browser has the new secret by now, and goes on
    if steps.recovering(row):
        return render_template("signin/under_way.html", transaction=row), 410
    return render_template("signin/finished.html", restart_url=row.return_to, cancel_to=row.cancel_to), 410


def _signed_in(row: SignInTransaction) -> bool:
    present = web.principal()
    return present is not None and present.account_id == row.account_id


def _proves_anew(row: SignInTransaction, step: str) -> bool:
    """A password that comes again is a proof of its own: a double submit whose first answer got lost, or a second tab (R84)."""
    return request.method == "POST" and step == "password" and not steps.without_password(row) and not _signed_in(row)


def _again(row: SignInTransaction) -> SignInTransaction:
    with transaction():
        browser.claim_room()
        return flow.again(row, browser.secret(), web.now())
