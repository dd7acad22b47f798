"""The step of the forced change of password (R12, R26–R28, R54)."""

from datetime import datetime, timedelta
from typing import Any

from flask import render_template, request

from idp import web
from idp.accounts import credentials
from idp.db import session, transaction
from idp.errors import Refusal
from idp.signin import attempt, change, flow, steps
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub
from idp.signin.views.password import hasher

# pages.md: the old password is not asked for again if it was typed just now
JUST_TYPED = timedelta(minutes=5)
# what becomes of the passwords that the person may still know, by class (R17); the control application stays outside (D1)
OLD = {1: "systems", 2: "control", 4: "letter"}


def _needs_old(row: SignInTransaction) -> bool:
    # R58: who has forgotten it has proven something else
    return not steps.recovering(row) and web.now() - datetime.fromisoformat(row.facts["password_at"]) > JUST_TYPED


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    settings, account = web.runtime().settings, flow.account_of(row)
    rules = {"min": settings.password_min_characters, "max": settings.password_max_characters}
    page = render_template(
        "signin/change.html",
        transaction=row,
        username=account.canonical_name,
        needs_old=_needs_old(row),
        reason=row.facts["change_due"],
        old=OLD.get(account.user_class, "own") if account.password_hash is None else "own",
        rules=rules,
        errors=errors,
    )
    return page, status


@bp.get("/signin/<transaction_id>/change", endpoint="change")
@web.access.anyone
@hub.step_page("change")
def show(row: SignInTransaction) -> tuple[str, int]:
    """The form, with the rules as text before the field."""
    return _page(row, [])


@bp.post("/signin/<transaction_id>/change", endpoint="change_post")
@web.access.anyone
@hub.step_page("change")
def submit(row: SignInTransaction) -> Any:
    """Judge (hashes, outside any transaction), then one commit: new password, old hashes gone, other sessions over."""
    runtime, account = web.runtime(), flow.account_of(row)
    new, confirm = request.form.get("new_password", ""), request.form.get("confirm_password", "")
    who = change.subject(account, runtime.settings)
    session.rollback()
    errors = _old_errors(row, who) or change.judge(who, new, confirm, runtime.settings, runtime.secret, hasher())
    if errors:
        return _page(row, errors, 422)
    new_hash = hasher().hash(new)
    with transaction():
        change.commit(row, new_hash, runtime.secret, web.now(), runtime.hooks.session_ended)
    return hub.lead_on(row)


def _old_errors(row: SignInTransaction, who: change.Subject) -> list[Refusal]:
    """The old password again, counted like any other try, where it was not typed just now."""
    if not _needs_old(row):
        return []
    runtime, typed = web.runtime(), request.form.get("password", "")
    subjects, caller = [f"account:{who.candidate.account_id}"], hub.caller()
    with transaction():
        admitted = attempt.admit_old(subjects, typed, who.candidate, caller, runtime.settings, web.now())
    if isinstance(admitted, Refusal):
        return [admitted]
    proofs = credentials.prove(admitted.candidates, typed, runtime.secret, hasher())
    with transaction():
        refusal = attempt.settle_old(row, admitted, bool(proofs), caller, runtime.settings, web.now())
    return [refusal] if refusal else []
