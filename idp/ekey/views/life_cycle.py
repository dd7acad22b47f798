"""/account/keys, the public page /keys/report, and the receipts of both (R68).

A report is a sign-in that never ends: password, code and their throttles are the sign-in's own, and the step `report`, which stays needed, lets no
session start.
"""

from typing import Any

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.ekey import life_cycle, withdrawal
from idp.ekey.views import bp
from idp.errors import Refusal
from idp.key_register import reports
from idp.key_register.models import EKeyReport
from idp.signin import browser, flow, steps
from idp.signin.models import SignInTransaction
from idp.signin.views import hub

WORDS = ("lost", "damaged")
PUBLIC = "public"


def _person(account: Account) -> dict[str, str]:
    firm = account.enterprise
    return {"username": account.canonical_name, "enterprise": firm.name if firm else "", "enterprise_en": firm.name_en if firm else ""}


@bp.get("/account/keys")
@web.access.person
def account_keys() -> str:
    """Every key of the account, with 【挂失】 and 【损坏报修】."""
    account = session.get_one(Account, web.signed_in().account_id)
    return render_template("ekey/keys.html", person=_person(account), keys=life_cycle.of(account.id, web.today()))


@bp.get("/account/keys/receipts/<number>")
@web.access.person
def account_receipt(number: str) -> str:
    """One receipt, for its owner."""
    account = session.get_one(Account, web.signed_in().account_id)
    found = life_cycle.receipt(account.id, number) if number.isascii() and number.isprintable() else None
    return _receipt(account, found or abort(404), "/account/keys")


@bp.post("/account/keys/report")
@web.access.person
def begin_here() -> BaseResponse:
    """The password again, and a code if there is a contact; then the report."""
    present, serial, word = web.signed_in(), request.form.get("serial", ""), request.form.get("word", "")
    known = {key.serial for key in life_cycle.of(present.account_id, web.today())}
    if serial not in known or word not in WORDS:
        return redirect(url_for("ekey.account_keys"), 303)
    name = session.get_one(Account, present.account_id).canonical_name
    return _begin(flow.Caller(return_to="/account/keys", login_hint=name), f"{present.session_id}:{word}:{serial}")


@bp.get("/keys/report")
@web.access.anyone
def begin_anywhere() -> BaseResponse:
    """Name, password and code; who is signed in finds the same on the account's page."""
    if web.principal() is not None:
        return redirect(url_for("ekey.account_keys"), 303)
    return _begin(flow.Caller(return_to="/keys/report"), PUBLIC)


def _begin(caller: flow.Caller, report: str) -> BaseResponse:
    with transaction():
        over = browser.claim_room(sign_in=True)
        number = flow.begin(browser.secret(), caller, web.now(), web.runtime().settings.signin_seconds, over, {"report": report})
    return redirect(url_for("signin.continue_", transaction_id=number), 303)


def _own_session(row: SignInTransaction) -> int | None:
    """The session that reports, if it began this and still is the account's."""
    present, began = web.principal(), row.facts["report"].partition(":")[0]
    own = present is not None and present.account_id == row.account_id and began == str(present.session_id)
    return present.session_id if own and present is not None else None


def _proven(row: SignInTransaction) -> bool:
    """R68: a damage is reported on a proven contact or TOTP, or in the account's own session."""
    return row.facts.get("code_by") == "proven" or "totp_at" in row.facts or _own_session(row) is not None


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    keys = [key for key in life_cycle.of(row.account_id or 0, web.today()) if key.may_report]
    chosen = [*row.facts["report"].split(":"), "", ""][1:3]
    form = {"word": request.form.get("word", chosen[0]), "serial": request.form.get("serial", chosen[1])}
    days = web.runtime().settings.ekey_damaged_days
    return render_template("ekey/report.html", transaction=row, keys=keys, form=form, days=days, may_damage=_proven(row), errors=errors), status


@bp.get("/signin/<transaction_id>/report")
@web.access.anyone
@hub.step_page("report")
def report_page(row: SignInTransaction) -> Any:
    """Which key, lost or damaged; after that the receipt."""
    done = session.get(EKeyReport, row.facts.get("receipt", ""))
    return _page(row, []) if done is None else _receipt(session.get_one(Account, row.account_id), done, row.return_to)


@bp.post("/signin/<transaction_id>/report")
@web.access.anyone
@hub.step_page("report")
def report(row: SignInTransaction) -> Any:
    """Say it of the key, once."""
    serial, word = request.form.get("serial", ""), request.form.get("word", "")
    open_to = {key.serial: key.may_report for key in life_cycle.of(row.account_id or 0, web.today())}
    if serial not in open_to or not open_to[serial]:
        return _page(row, [Refusal("ekey_report_key", "serial")], 422)
    if word not in open_to[serial] or (word == reports.DAMAGED and not _proven(row)):
        return _page(row, [Refusal("ekey_report_word", "word")], 422)
    _report(row, serial, word)
    return redirect(url_for("ekey.report_page", transaction_id=row.id), 303)


def _report(row: SignInTransaction, serial: str, word: str) -> None:
    hooks, days, own = web.runtime().hooks, web.runtime().settings.ekey_damaged_days, _own_session(row)
    follow = withdrawal.Follow(hooks.key_lost, hooks.session_ended)
    with transaction():
        # a double click: the first one's receipt is shown
        if flow.hold_account(row, steps.report_needed, web.now()) is None or "receipt" in row.facts:
            return
        how = "account" if own is not None else PUBLIC
        done = withdrawal.report(serial, word, how, days, follow, web.now(), web.today(), keep=own)
        flow.record(row, receipt=done.number)


def _receipt(account: Account, found: EKeyReport, back: str) -> str:
    return render_template("ekey/receipt.html", receipt=found, back=back, person=_person(account))
