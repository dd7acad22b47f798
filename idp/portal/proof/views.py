"""/hall/licences/<system>/proof: 【验证后开通】 (R62)."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from idp import web
from idp.accounts.channels import MASKS
from idp.accounts.imported_contacts import FormerContact
from idp.db import transaction
from idp.entitlements import proof
from idp.errors import Refusal
from idp.one_time_codes import codes
from idp.portal import hall
from idp.signin.views import entry

pages = Blueprint("proof", __name__)


@dataclass(frozen=True)
class Shown:
    """One contact on the page: the form names it by `key`; `sent`: a code that went there can be typed, another may be sent in `seconds`."""

    channel: str
    key: str
    masked: str
    sent: bool
    seconds: int


def _shown(contact: FormerContact, system: str) -> Shown:
    runtime, now = web.runtime(), web.now()
    mine = (proof.PURPOSE, proof.subject(web.signed_in().account_id, system), contact.value, now)
    pending = codes.pending(*mine, secret=runtime.secret, channel="mobile" if contact.kind == "mobile" else "email")
    seconds = max(ceil((pending.again_at - now).total_seconds()), 0) if pending else 0
    return Shown(contact.kind, contact.key(runtime.secret), MASKS[contact.kind](contact.value), pending is not None, seconds)


def _module_page(system: str) -> str:
    return url_for("portal.licence", system=system)


def _page(system: str, errors: list[Refusal], status: int = 200) -> Any:
    present, today = web.signed_in(), web.today()
    module = hall.module(present.account_id, system, today)
    # not theirs, or nothing to prove (any more)
    if module is None or module.reason != proof.WAITS:
        return redirect(_module_page(system), 303)
    contacts = [_shown(contact, system) for contact in proof.contacts(present.account_id, system)]
    page = render_template(
        "portal/proof.html",
        person=hall.person(present.account_id),
        module=module,
        contacts=contacts,
        sent=next((contact for contact in contacts if contact.sent), None),
        by_key=web.runtime().settings.ekey_on and proof.has_key(present.account_id, today),
        key_shown=proof.shown(present.account_id, present.session_id, web.now(), today),
        errors=errors,
    )
    return page, status


@pages.get("/hall/licences/<system>/proof")
@web.access.person
def show(system: str) -> Any:
    """By the e-key, or by a code to a contact of that system's own user."""
    return _page(system, [])


@pages.post("/hall/licences/<system>/proof")
@web.access.person
def submit(system: str) -> Any:
    """Show the e-key, send a code, or judge it."""
    present, action, today = web.signed_in(), request.form.get("action"), web.today()
    if not proof.waits(present.account_id, system, today):
        return redirect(_module_page(system), 303)
    if action == "ekey":
        return _by_key(present, system)
    chosen, typed, secret = request.form.get("contact", ""), request.form.get("code", ""), web.runtime().secret
    if action == "send":
        with transaction():
            refusal = proof.send(present.account_id, system, chosen, secret, web.now(), today)
        return _page(system, [refusal], 422) if refusal else redirect(url_for("proof.show", system=system), 303)
    if not typed.strip():
        return _page(system, [Refusal("code_missing", "code")], 422)
    with transaction():
        refusal = proof.by_code(present.account_id, system, chosen, typed, secret, web.now(), today)
    return _page(system, [refusal], 422) if refusal else redirect(_module_page(system), 303)


def _by_key(present: web.Principal, system: str) -> Any:
    with transaction():
        opened = proof.by_key(present.account_id, present.session_id, system, web.now(), web.today())
    if opened:
        return redirect(_module_page(system), 303)
    if not web.runtime().settings.ekey_on:
        return _page(system, [Refusal("ekey_other")], 422)
    return redirect(entry.step_up(present, url_for("proof.show", system=system), "ekey"), 303)
