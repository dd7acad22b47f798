"""The step that asks which account is meant, where one name and password fit several (D9)."""

from collections.abc import Iterable
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
from idp.signin.views import bp, hub, system_names

LAST = 4


@dataclass(frozen=True)
class Choice:
    """One line: the account's id, the ends of its keys' serials, its enterprise, the old systems that its user names come from."""

    value: int
    last4: str
    enterprise: str
    systems: str


def tail(serial: str, others: Iterable[str]) -> str:
    """The end of a serial, as much of it as tells it from the others (LAST characters at least)."""
    rivals = [other for other in others if other != serial]
    enough = (n for n in range(LAST, len(serial)) if not any(other.endswith(serial[-n:]) for other in rivals))
    return serial[-next(enough, len(serial)) :]


def _choices(row: SignInTransaction) -> list[Choice]:
    ids = [int(id_) for id_ in row.facts.get("choices", {})]
    accounts = session.scalars(select(Account).where(Account.id.in_(ids)).order_by(Account.id)).all()
    serials = [key.serial for account in accounts for key in account.keys]
    return [_choice(account, serials) for account in accounts]


def _choice(account: Account, serials: list[str]) -> Choice:
    ends = [tail(key.serial, serials) for key in account.keys]
    firm = account.enterprise.name if account.enterprise else account.display_name
    # two users without a key may have the same name at the same enterprise, but not in the same old system
    return Choice(account.id, " / ".join(ends), firm, system_names.listed({name.system for name in account.names}))


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
