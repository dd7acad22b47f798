"""The step of the authenticator app (R75)."""

from typing import Any

from flask import render_template, request

from idp import web
from idp.accounts import totp
from idp.db import transaction
from idp.errors import Refusal
from idp.signin import flow, steps, totp_step
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    # demanded of somebody who has none: how to get one
    if row.account_id is None or not totp.is_on(row.account_id):
        return render_template("signin/totp_none.html", transaction=row), 403
    recovery = any(error.field == "recovery_code" for error in errors)
    instead = row.facts.get("totp") != "must" and "ekey_found" not in row.facts and not steps.recovering(row)
    by_ekey = web.runtime().settings.ekey_on and instead
    return render_template("signin/totp.html", transaction=row, errors=errors, recovery=recovery, by_ekey=by_ekey), status


@bp.get("/signin/<transaction_id>/totp", endpoint="totp")
@web.access.anyone
@hub.step_page("totp")
def show(row: SignInTransaction) -> tuple[str, int]:
    """The form: six digits, or below a recovery code."""
    return _page(row, [])


@bp.post("/signin/<transaction_id>/totp", endpoint="totp_post")
@web.access.anyone
@hub.step_page("totp")
def submit(row: SignInTransaction) -> Any:
    """Judge the code; or on to the e-key in its place."""
    if request.form.get("action") == "ekey" and web.runtime().settings.ekey_on:
        with transaction():
            if flow.hold_account(row, steps.totp_needed, web.now()) is not None:
                flow.record(row, ekey_wanted=True)
        return hub.lead_on(row)
    typed, recovery = request.form.get("code", ""), request.form.get("recovery_code", "")
    kind, what = ("recovery_code", recovery) if recovery.strip() and not typed.strip() else ("code", typed)
    if not what.strip():
        return _page(row, [Refusal("totp_missing", "code")], 422)
    with transaction():
        refusal = totp_step.settle(row, "recovery_code" if kind == "recovery_code" else "code", what, web.runtime().secret, web.now())
    if refusal is None or refusal.code == "totp_off":
        return hub.lead_on(row)
    return _page(row, [refusal], 429 if refusal.code == "totp_too_many" else 422)
