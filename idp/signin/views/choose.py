"""The step that asks which account is meant, where one name and password fit several (D9)."""

from dataclasses import dataclass
from typing import Any

from flask import render_template, request
from sqlalchemy import select

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.signin import attempt
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub

LAST = 4


@dataclass(frozen=True)
class Choice:
    """One line: the account's id, the end of its key's serial, its enterprise."""

    value: int
    last4: str
    enterprise: str


def _choices(row: SignInTransaction) -> list[Choice]:
    ids = [int(id_) for id_ in row.facts.get("choices", {})]
    accounts = session.scalars(select(Account).where(Account.id.in_(ids)).order_by(Account.id))
    return [Choice(a.id, a.keys[0].serial[-LAST:] if a.keys else "", a.enterprise.name if a.enterprise else a.display_name) for a in accounts]


@bp.get("/signin/<transaction_id>/choose", endpoint="choose")
@web.access.anyone
@hub.step_page("choose")
def show(row: SignInTransaction) -> str:
    """「请选择要登录的电子钥匙」."""
    return render_template("signin/choose.html", transaction=row, choices=_choices(row), errors=[])


@bp.post("/signin/<transaction_id>/choose", endpoint="choose_post")
@web.access.anyone
@hub.step_page("choose")
def submit(row: SignInTransaction) -> Any:
    """Only an account that the password fitted can be chosen."""
    typed, runtime = request.form.get("choice", ""), web.runtime()
    with transaction():
        chosen = attempt.choose(row, typed, runtime.secret, runtime.settings, web.now())
    if chosen:
        return hub.lead_on(row)
    return render_template("signin/choose.html", transaction=row, choices=_choices(row), errors=[Refusal("choice_missing", "choice")]), 422
