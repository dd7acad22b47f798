"""The step of user name, password and captcha."""

from dataclasses import dataclass
from typing import Any

from flask import render_template, request

from idp import pacing, web
from idp.accounts import argon2id, credentials, directory
from idp.accounts.credentials import Proof
from idp.captcha import rules as captcha
from idp.db import transaction
from idp.errors import Refusal
from idp.signin import attempt, browser, flow, steps
from idp.signin.attempt import Admitted, Typed
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub


@dataclass(frozen=True)
class Shown:
    """The captcha on the page."""

    id: str


def hasher() -> argon2id.Hasher:
    """The process's hasher under the settings in force."""
    settings = web.runtime().settings
    return argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency)


def _code_form_failed(name: str, errors: list[Refusal]) -> bool:
    """R65: who typed code and name and was refused reads the control application's hint, whoever they are; the name is not looked up for it."""
    return any(error.code == "credentials" for error in errors) and directory.is_code_form(name)


def _page(row: SignInTransaction, name: str, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    runtime, now = web.runtime(), web.now()
    shown = None
    if attempt.asks_captcha(row, web.caller_network(), runtime.settings, now) or any(error.field == "captcha" for error in errors):
        with transaction():
            shown = Shown(captcha.new(row.id, runtime.secret, now, runtime.settings.captcha_seconds))
    if runtime.settings.ekey_on:
        web.open_to_agent()
    form = {"username": name, "ekey": request.form.get("ekey") if request.method == "POST" else row.facts.get("ekey")}
    hint = _code_form_failed(name, errors)
    return render_template("signin/password.html", transaction=row, form=form, errors=errors, captcha=shown, control_hint=hint), status


def _typed() -> Typed:
    form = request.form
    return Typed(form.get("username", ""), form.get("password", ""), form.get("captcha_id", ""), form.get("captcha", ""))


@bp.get("/signin/<transaction_id>/password", endpoint="password")
@web.access.anyone
@hub.step_page("password")
def show(row: SignInTransaction) -> tuple[str, int]:
    """The form; `login_hint` fills the name."""
    return _page(row, row.login_hint, [])


@bp.post("/signin/<transaction_id>/password", endpoint="password_post")
@web.access.anyone
@hub.step_page("password")
@pacing.refusals
def submit(row: SignInTransaction) -> Any:
    """Admit the try, look at the password, remember the result, back to the hub."""
    typed = _typed()
    if request.form.get("action") == "refresh_captcha":
        return _page(row, typed.name, [])
    runtime = web.runtime()
    with transaction():
        admitted = attempt.admit(row, typed, hub.caller(), runtime.settings, runtime.secret, web.now())
    if isinstance(admitted, Refusal):
        return _refused(row, typed.name, admitted)
    proofs = credentials.prove(admitted.candidates, typed.password, runtime.secret, hasher())
    row, refusal = _record(row, admitted, proofs, typed)
    return _refused(row, typed.name, refusal) if refusal else hub.lead_on(row)


def _record(row: SignInTransaction, admitted: Admitted, proofs: list[Proof], typed: Typed) -> tuple[SignInTransaction, Refusal | None]:
    """What came of it, and the transaction it was recorded in."""
    settings, caller = web.runtime().settings, hub.caller()
    new_hash = hasher().hash(typed.password) if attempt.needs_hash(proofs, typed.password, settings) else None
    with transaction():
        if not proofs:
            return row, attempt.refused(row, admitted, caller, settings, web.now())
        # another request was first, perhaps another person's: what it has proven is not ours, and what we have proven not its
        if not flow.hold(row, steps.password_needed, web.now()):
            row = flow.again(row, browser.secret(), web.now())
        right = attempt.Right(proofs, typed.password, new_hash, web.runtime().secret)
        refusal = attempt.passed(row, admitted, caller, right, settings, web.now())
        if refusal is None:
            # R18: whoever read or ticked the e-key proves it next
            flow.record(row, ekey_wanted=settings.ekey_on and request.form.get("ekey") == "use" and not row.facts.get("report"))
            flow.hand_over(row, browser.renew())
    return row, refusal


def _refused(row: SignInTransaction, name: str, refusal: Refusal) -> tuple[str, int]:
    # D15: only after the right password, and no session
    if refusal.code in ("account_disabled", "enterprise_cancelled"):
        return render_template("signin/told.html", code=refusal.code), 403
    return _page(row, name, [refusal], 429 if refusal.code == "too_many" else 422)
