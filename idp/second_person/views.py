"""/officers/requests: what waits for a second officer, and the page of one request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_babel import gettext

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.second_person import rules
from idp.second_person.models import SecondPersonRequest

bp = Blueprint("second_person", __name__)
NUMBER = "<int(max=2147483647):number>"


@dataclass(frozen=True)
class Shown:
    """One request as the pages show it; `may_confirm` and `may_refuse` of whoever looks."""

    number: int
    kind: str
    subject: str
    details: dict[str, Any]
    reason: str
    filed_by: str
    filed_at: datetime
    expires_at: datetime
    state: str
    decided_by: str
    decided_at: datetime | None
    answer: str
    may_confirm: bool
    may_refuse: bool


def _shown(row: SecondPersonRequest) -> Shown:
    mine, acts = row.filed_by == web.signed_in().account_id, web.runtime().hooks.acts
    can = rules.may_decide(row, web.signed_in().account_id, acts)
    is_open = row.state == "open" and web.now() < row.expires_at
    decided_by = _name(row.decided_by) if row.decided_by is not None else ""
    return Shown(
        *(row.id, row.kind, row.subject, row.details, row.reason, _filer(row), row.filed_at, row.expires_at),
        *("expired" if row.state == "open" and not is_open else row.state, decided_by, row.decided_at, row.answer),
        may_confirm=is_open and can and not mine,
        may_refuse=is_open and (can or mine),
    )


def _filer(row: SecondPersonRequest) -> str:
    return _name(row.filed_by) if row.filed_by is not None else str(gettext("request.operator", name=row.operator))


def _name(account_id: int) -> str:
    account = session.get_one(Account, account_id)
    return account.display_name or account.canonical_name


@bp.get("/officers/requests")
@web.access.officer()
def listing() -> str:
    """What waits, and what was decided."""
    by, held, acts = web.signed_in().account_id, web.officer_roles(), web.runtime().hooks.acts
    rows = [_shown(row) for opened in (True, False) for row in rules.listing(by, held, acts, opened=opened)]
    waiting = [row for row in rows if row.state == "open"]
    return render_template("second_person/requests.html", waiting=waiting, decided=[row for row in rows if row.state != "open"])


def _page(number: int, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    row = rules.find(number, web.signed_in().account_id, web.officer_roles(), web.runtime().hooks.acts) or abort(404)
    return render_template("second_person/request.html", one=_shown(row), reason=request.form.get("reason", ""), errors=errors), status


@bp.get(f"/officers/requests/{NUMBER}")
@web.access.officer()
def show(number: int) -> tuple[str, int]:
    """One request, with what may be done about it; 404 for what is not this officer's."""
    return _page(number, [])


@bp.post(f"/officers/requests/{NUMBER}")
@web.access.officer()
def decide(number: int) -> Any:
    """Confirm or refuse it; what is over meanwhile is told."""
    by, acts = web.signed_in().account_id, web.runtime().hooks.acts
    if rules.find(number, by, web.officer_roles(), acts) is None:
        abort(404)
    with transaction():
        if request.form.get("action") == "confirm":
            refusal = rules.confirm(number, by, acts, web.now())
        else:
            refusal = rules.refuse(number, by, request.form.get("reason", ""), acts, web.now())
    return _page(number, [refusal], 422) if refusal is not None else redirect(url_for("second_person.show", number=number), 303)
