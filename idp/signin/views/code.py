"""The page of the one-time code beside the password (R68)."""

from typing import Any

from flask import render_template, request

from idp import web
from idp.db import transaction
from idp.errors import Refusal
from idp.signin import code_step
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    ways = code_step.ways(row)
    sent = next((way for way in ways if way.channel == row.facts.get("code_channel")), None)
    mail_only = "mobile" not in web.runtime().settings.code_channels
    return render_template("signin/code.html", transaction=row, ways=ways, sent=sent, mail_only=mail_only, errors=errors), status


@bp.get("/signin/<transaction_id>/code", endpoint="code")
@web.access.anyone
@hub.step_page("code")
def show(row: SignInTransaction) -> tuple[str, int]:
    """Where the code may go; after it was sent, the field for it."""
    return _page(row, [])


@bp.post("/signin/<transaction_id>/code", endpoint="code_post")
@web.access.anyone
@hub.step_page("code")
def submit(row: SignInTransaction) -> Any:
    """Send a code, or judge what was typed."""
    secret, now = web.runtime().secret, web.now()
    if request.form.get("action") == "send":
        with transaction():
            refusal = code_step.send(row, request.form.get("channel", ""), secret, now)
        return _page(row, [refusal], 422) if refusal else _page(row, [])
    if not request.form.get("code", "").strip():
        return _page(row, [Refusal("code_missing", "code")], 422)
    with transaction():
        refusal = code_step.prove(row, request.form["code"], secret, now)
    return _page(row, [refusal], 422) if refusal else hub.lead_on(row)
