"""The step of the e-key, and the page at which the agent's form road comes back."""

from typing import Any

from flask import redirect, render_template, request, url_for

from idp import web
from idp.db import transaction
from idp.ekey import certificate_road, chain, challenges, step, verification
from idp.ekey.leaf import Identity
from idp.ekey.refusal import FAULTS, HOPELESS, START_ANEW, Refused
from idp.ekey.revocation_cache import Stored
from idp.ekey.verification import Rules
from idp.ekey.views import bp
from idp.errors import Refusal
from idp.signin import browser, flow, steps
from idp.signin.models import SignInTransaction
from idp.signin.views import hub

MOST_TRIES = 15  # a PIN's counter on a PIV card (SP 800-73-4)


@bp.app_context_processor
def _faults() -> dict[str, tuple[str, ...]]:
    """The one list of faults, for every page that may say them."""
    return {"ekey_faults": FAULTS, "ekey_hopeless": HOPELESS}


def page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    """The step's page, with what is wrong."""
    web.open_to_agent()
    if web.runtime().settings.ekey_mtls_base_url:
        web.allow_form_action(web.runtime().settings.ekey_mtls_base_url)
    instead = next((word for word in ("link", "recover") if row.facts.get(word)), "")
    shown = {"may_skip": step.may_skip(row), "owner": row.facts.get("ekey_owner"), "instead": instead}
    return render_template("ekey/step.html", transaction=row, errors=errors, **shown), status


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
    """「请插入电子钥匙并输入 PIN 码」; after the form road also what went wrong; or which key it was, where only the person can say so."""
    return _which(row, []) or page(row, _told())


def _which(row: SignInTransaction, errors: list[Refusal]) -> tuple[str, int] | None:
    if not row.facts.get("ekey_found"):
        return None
    with transaction():
        found = step.choices(row, web.now(), web.today())
    shown = render_template("ekey/which.html", transaction=row, serials=found, errors=errors, may_skip=step.may_skip(row)) if found else ""
    return (shown, 422 if errors else 200) if found else None


@bp.post("/signin/<transaction_id>/ekey/challenge")
@web.access.anyone
@hub.step_page("ekey")
def challenge(row: SignInTransaction) -> Any:
    """A fresh challenge, asked for by the page's script when the person presses the button."""
    with transaction():
        nonce = step.challenge(row, web.now(), web.runtime().settings.ekey_challenge_seconds)
    return {"nonce": nonce} if nonce is not None else ({"error": START_ANEW.removeprefix("ekey_")}, 429)


@bp.post("/signin/<transaction_id>/ekey")
@web.access.anyone
@hub.step_page("ekey")
def submit(row: SignInTransaction) -> Any:
    """What the card signed, or 【跳过】."""
    if request.form.get("action") == "skip":
        with transaction():
            skipped = step.skip(row, web.now())
        return hub.lead_on(row) if skipped else page(row, [Refusal("ekey_demanded")], 422)
    if request.form.get("action") == "choose":
        with transaction():
            told = step.choose(row, request.form.get("choice", ""), web.now(), web.today())
        return hub.lead_on(row) if told is None else _which(row, [told]) or page(row, [told], 422)
    if request.form.get("action") in LEAVES:
        return LEAVES[request.form["action"]](row)
    # the button was pressed without the script, which would have asked the driver
    if not request.form.get("token"):
        return page(row, [Refusal("ekey_script")], 422)
    refusal = _judge(row, request.form.get("nonce", ""), request.form.get("token", ""))
    # D15: the right key, of an account that is closed
    if refusal is not None and refusal.code in ("account_disabled", "enterprise_cancelled"):
        return render_template("signin/told.html", code=refusal.code), 403
    return page(row, [refusal], 422) if refusal is not None else hub.lead_on(row)


def _to_owner(row: SignInTransaction) -> Any:
    with transaction():
        browser.claim_room()
        made = step.for_owner(row, browser.secret(), web.now(), web.runtime().settings.signin_seconds)
    return redirect(url_for("signin.continue_", transaction_id=made or row.id), 303)


def _to_certificate(row: SignInTransaction) -> Any:
    """To the host that asks browsers for certificates, where none of our cookies is seen."""
    settings = web.runtime().settings
    # R58, R87: the key with its PIN, for no password comes with it
    if not settings.ekey_mtls_base_url or steps.without_password(row):
        return page(row, [Refusal("ekey_other")], 422)
    with transaction():
        asked = certificate_road.begin(row, web.now(), settings.ekey_challenge_seconds)
    if asked is None:
        return page(row, [Refusal(START_ANEW)], 429)
    return redirect(f"{settings.ekey_mtls_base_url}/ekey/certificate/{row.id}?challenge={asked}", 303)


LEAVES = {"owner": _to_owner, "certificate": _to_certificate}


def _judge(row: SignInTransaction, nonce: str, text: str) -> Refusal | None:
    # 0, committed whatever follows
    with transaction():
        spent = challenges.spend(nonce, row, web.now())
    words = source()
    found = _proven(text, nonce, words) if spent else Refused(0, "challenge")
    # 7
    with transaction():
        nobody = step.held(row, web.now()) and row.account_id is None
        words.keep()
        told, settled = step.settle(row, found, web.now(), web.today()), row.account_id is not None
        # threats H: a recovery is bound anew to who has proven the key, as at a right password
        if told is None and settled and nobody and steps.recovering(row):
            flow.hand_over(row, browser.renew())
        return told


def source() -> Stored:
    """What CAs say of revocation, as it is at hand."""
    settings = web.runtime().settings
    return Stored(web.runtime().adapters.outbound, settings.ekey_crl_urls, settings.ekey_ocsp_urls)


def _proven(text: str, nonce: str, source: Stored) -> Identity | Refused:
    """Steps 1–6, outside any transaction: signatures take their time, and an OCSP responder may be asked."""
    settings = web.runtime().settings
    token = verification.read(text, settings.agent_minimum_version)
    if isinstance(token, Refused):
        return token
    return verification.prove(token, nonce, rules(), source, web.now())


def rules() -> Rules:
    """What the operator configured."""
    settings = web.runtime().settings
    trust = chain.load(settings.ekey_roots_file, settings.ekey_intermediates_file)
    return Rules(settings.issuer, trust, settings.ekey_name_rule, settings.ekey_policy_oid)


@bp.get("/ekey/return")
@web.access.anyone
def come_back() -> Any:
    """Where the agent's form road ends: token and state stand in the fragment, which only this page's script sees; it posts them on."""
    if not web.runtime().settings.ekey_on:
        return redirect(url_for("signin.login"), 303)
    return render_template("ekey/return.html", errors=[])
