"""/recover and the pages of a recovery (R30, R50, R58, R59)."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import i18n, pacing, web
from idp.accounts.channels import Way
from idp.captcha import rules as captcha
from idp.db import transaction
from idp.errors import Refusal
from idp.one_time_codes import codes
from idp.recovery import contact_road, steps
from idp.recovery.contact_road import Sending, Typed
from idp.signin import browser, flow
from idp.signin.models import SignInTransaction
from idp.signin.views import hub

pages = Blueprint("recovery", __name__)


@dataclass(frozen=True)
class Pending:
    """A code that may be typed: where it went, masked, and in how many seconds another may be sent."""

    channel: str
    masked: str
    seconds: int


def _sending() -> Sending:
    return Sending(web.runtime().settings, web.runtime().secret, i18n.choose())


@pages.get("/recover")
@web.access.anyone
def begin() -> BaseResponse:
    """【忘记密码】: a transaction of its own, which leads back to where the sign-in came from."""
    caller = contact_road.begun_like(request.args.get("signin", ""), browser.secrets())
    with transaction():
        over = browser.claim_room(sign_in=True)
        life = web.runtime().settings.signin_seconds
        number = flow.begin(browser.secret(), caller, web.now(), life, over, {"recover": "must"})
    return redirect(url_for("signin.continue_", transaction_id=number), 303)


# --- name and contact -----------------------------------------------------------------------------------------------------------------------


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    runtime = web.runtime()
    with transaction():
        asked = captcha.new(row.id, runtime.secret, web.now(), runtime.settings.captcha_seconds)
    form = {"username": request.form.get("username", row.login_hint), "contact": request.form.get("contact", "")}
    mail_only = "mobile" not in runtime.settings.code_channels
    return render_template("recovery/recover.html", transaction=row, form=form, captcha_id=asked, mail_only=mail_only, errors=errors), status


@pages.get("/signin/<transaction_id>/recover")
@web.access.anyone
@hub.step_page("recover")
def recover(row: SignInTransaction) -> tuple[str, int]:
    """The form."""
    return _page(row, [])


@pages.post("/signin/<transaction_id>/recover")
@web.access.anyone
@hub.step_page("recover")
@pacing.answers
def submit(row: SignInTransaction) -> Any:
    """The same answer whoever was named; or to the e-key."""
    form = request.form
    if form.get("action") == "refresh_captcha":
        return _page(row, [])
    if form.get("action") == "ekey":
        return _to_ekey(row)
    typed = Typed(form.get("username", ""), form.get("contact", ""), form.get("captcha_id", ""), form.get("captcha", ""))
    with transaction():
        refusal = contact_road.ask(row, typed, hub.caller(), _sending(), web.now())
    # a code that cannot leave now is said on its own page, of every contact alike
    if refusal is not None and refusal.field == "code":
        return _code_page(row, [refusal], 429)
    return _page(row, [refusal], 429 if refusal.code == "too_many" else 422) if refusal else hub.lead_on(row)


def _to_ekey(row: SignInTransaction) -> Any:
    with transaction():
        if web.runtime().settings.ekey_on and flow.hold(row, steps.recovered_needed, web.now()):
            flow.record(row, ekey_wanted=True)
    return hub.lead_on(row)


# --- the code -------------------------------------------------------------------------------------------------------------------------------


def _pending(purpose_subject: tuple[str, str], channel: str, recipient: str, masked: str) -> Pending | None:
    now = web.now()
    sent = codes.pending(*purpose_subject, recipient, now, secret=web.runtime().secret, channel=channel)  # type: ignore[arg-type]  # mobile or email
    return Pending(channel, masked, max(ceil((sent.again_at - now).total_seconds()), 0)) if sent is not None else None


def _code_page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> Any:
    to = contact_road.to(row)
    if to is None:
        return hub.lead_on(row)
    shown = {"channel": to.channel, "masked": to.masked, "pending": _pending((contact_road.PURPOSE, f"recovery:{row.id}"), *_parts(to))}
    return render_template("recovery/code.html", transaction=row, errors=errors, **shown), status


def _parts(to: contact_road.To | Way) -> tuple[str, str, str]:
    return to.channel, to.recipient, to.masked


@pages.get("/signin/<transaction_id>/recover-code")
@web.access.anyone
@hub.step_page("recover-code")
def code(row: SignInTransaction) -> Any:
    """「如用户名与所填手机号码（邮箱）一致，短信验证码将很快送达」."""
    return _code_page(row, [])


@pages.post("/signin/<transaction_id>/recover-code")
@web.access.anyone
@hub.step_page("recover-code")
def confirm(row: SignInTransaction) -> Any:
    """The code; another one; another contact; or the e-key."""
    action = request.form.get("action")
    if action == "ekey":
        return _to_ekey(row)
    if action == "anew":
        with transaction():
            contact_road.anew(row, web.now())
        return hub.lead_on(row)
    if action == "send":
        with transaction():
            refusal = contact_road.again(row, _sending(), web.now())
        return _code_page(row, [refusal], 429) if refusal else _code_page(row, [])
    if not request.form.get("code", "").strip():
        return _code_page(row, [Refusal("code_missing", "code")], 422)
    with transaction():
        outcome = contact_road.prove(row, request.form["code"], _sending(), web.now())
        if outcome is True:
            # threats H: whoever knew the browser's secret before has nothing of what was proven
            flow.hand_over(row, browser.renew())
    return _code_page(row, [outcome], 422) if isinstance(outcome, Refusal) else hub.lead_on(row)


# --- a second proof -------------------------------------------------------------------------------------------------------------------------


def _second_page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    ways = [way for way in contact_road.others(row) if way.channel in web.runtime().settings.code_channels]
    channel, recipient = row.facts.get("second_to") or ("", "")
    chosen = next((way for way in ways if (way.channel, way.recipient) == (channel, recipient)), None)
    pending = _pending((contact_road.PURPOSE, f"recovery:{row.id}:2"), *_parts(chosen)) if chosen is not None else None
    return render_template("recovery/second.html", transaction=row, ways=ways, chosen=chosen, pending=pending, errors=errors), status


@pages.get("/signin/<transaction_id>/recover-second")
@web.access.anyone
@hub.step_page("recover-second")
def second(row: SignInTransaction) -> tuple[str, int]:
    """R59: the e-key, or a code to another contact that an old system had."""
    return _second_page(row, [])


@pages.post("/signin/<transaction_id>/recover-second")
@web.access.anyone
@hub.step_page("recover-second")
def confirm_second(row: SignInTransaction) -> Any:
    """Either of them."""
    if request.form.get("action") == "ekey":
        return _to_ekey(row)
    if request.form.get("action") == "send":
        with transaction():
            refusal = contact_road.send_second(row, request.form.get("contact", ""), _sending(), web.now())
        return _second_page(row, [refusal], 422) if refusal else _second_page(row, [])
    if not request.form.get("code", "").strip():
        return _second_page(row, [Refusal("code_missing", "code")], 422)
    with transaction():
        refusal = contact_road.prove_second(row, request.form["code"], _sending(), web.now())
    return _second_page(row, [refusal], 422) if refusal else hub.lead_on(row)


@pages.get("/signin/<transaction_id>/recovered")
@web.access.anyone
@hub.step_page("recovered")
def recovered(row: SignInTransaction) -> str:
    """The new password is set; it is typed at a sign-in of its own (threats G: no automatic sign-in)."""
    return render_template("recovery/recovered.html", transaction=row, username=contact_road.name_of(row.account_id))
