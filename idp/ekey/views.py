"""The page of the e-key, between the right password and the end of the sign-in, and the page at which the agent's form road comes back."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from idp import web
from idp.db import transaction
from idp.ekey import chain, challenges, step, verification
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.ekey.revocation_cache import Stored
from idp.ekey.verification import Rules
from idp.errors import Refusal
from idp.signin.models import SignInTransaction
from idp.signin.views import hub

bp = Blueprint("ekey", __name__)
# what the agent may say, and what the page's script finds out itself: each has a text of its own (R67)
FAULTS = (
    *("ekey_no_agent", "ekey_blocked", "ekey_no_reader", "ekey_no_card", "ekey_several_cards", "ekey_pin_wrong", "ekey_pin_blocked"),
    *("ekey_cancelled", "ekey_card_removed", "ekey_not_piv", "ekey_pcsc", "ekey_busy", "ekey_other"),
)
MOST_TRIES = 15  # a PIN's counter on a PIV card (SP 800-73-4)


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    web.open_to_agent()
    return render_template("ekey/step.html", transaction=row, errors=errors, may_skip=step.may_skip(row)), status


def _told() -> list[Refusal]:
    """The fault that the form road came back with."""
    if "fault" not in request.args:
        return []
    code, tries = f"ekey_{request.args['fault']}", request.args.get("tries", "")
    if code not in FAULTS:
        return [Refusal("ekey_other")]
    number = int(tries) if tries.isascii() and tries.isdigit() and len(tries) <= len(str(MOST_TRIES)) else 0
    return [Refusal(code, args={"tries": number})]


@bp.get("/signin/<transaction_id>/ekey")
@web.access.anyone
@hub.step_page("ekey")
def show(row: SignInTransaction) -> tuple[str, int]:
    """「请插入电子钥匙并输入 PIN 码」; after the form road also what went wrong."""
    return _page(row, _told())


@bp.post("/signin/<transaction_id>/ekey/challenge")
@web.access.anyone
@hub.step_page("ekey")
def challenge(row: SignInTransaction) -> Any:
    """A fresh challenge, asked for by the page's script when the person presses the button."""
    with transaction():
        nonce = step.challenge(row, web.now(), web.runtime().settings.ekey_challenge_seconds)
    return {"nonce": nonce} if nonce is not None else ({"error": "too_many"}, 429)


@bp.post("/signin/<transaction_id>/ekey")
@web.access.anyone
@hub.step_page("ekey")
def submit(row: SignInTransaction) -> Any:
    """What the card signed, or 【跳过】."""
    if request.form.get("action") == "skip":
        with transaction():
            skipped = step.skip(row, web.now())
        return hub.lead_on(row) if skipped else _page(row, [Refusal("ekey_demanded")], 422)
    # the button was pressed without the script, which would have asked the driver
    if not request.form.get("token"):
        return _page(row, [Refusal("ekey_script")], 422)
    refusal = _judge(row, request.form.get("nonce", ""), request.form.get("token", ""))
    return _page(row, [refusal], 422) if refusal is not None else hub.lead_on(row)


def _judge(row: SignInTransaction, nonce: str, text: str) -> Refusal | None:
    # 0, committed whatever follows
    with transaction():
        spent = challenges.spend(nonce, row, web.now())
    source = _source()
    found = _proven(text, nonce, source) if spent else Refused(0, "challenge")
    # 7
    with transaction():
        source.keep()
        return step.settle(row, found, web.now(), web.today())


def _source() -> Stored:
    settings = web.runtime().settings
    return Stored(web.runtime().adapters.outbound, settings.ekey_crl_urls, settings.ekey_ocsp_urls)


def _proven(text: str, nonce: str, source: Stored) -> Identity | Refused:
    """Steps 1–6, outside any transaction: signatures take their time, and an OCSP responder may be asked."""
    token = verification.read(text)
    if isinstance(token, Refused):
        return token
    settings = web.runtime().settings
    trust = chain.load(settings.ekey_roots_file, settings.ekey_intermediates_file)
    rules = Rules(settings.issuer, trust, settings.ekey_name_rule, settings.ekey_policy_oid)
    return verification.prove(token, nonce, rules, source, web.now())


@bp.get("/ekey/return")
@web.access.anyone
def come_back() -> Any:
    """Where the agent's form road ends: token and state stand in the fragment, which only this page's script sees; it posts them on."""
    if not web.runtime().settings.ekey_on:
        return redirect(url_for("signin.login"), 303)
    return render_template("ekey/return.html", errors=[])
