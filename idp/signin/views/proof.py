"""The step that proves mobile number and e-mail by codes (R57)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from flask import render_template, request

from idp import i18n, web
from idp.accounts import channels
from idp.accounts.channels import Way
from idp.db import transaction
from idp.errors import Refusal
from idp.one_time_codes import codes
from idp.signin import contacts_step, flow, proof_step, steps
from idp.signin.models import SignInTransaction
from idp.signin.proof_step import Sending
from idp.signin.views import bp, hub


@dataclass(frozen=True)
class Shown:
    """One contact on the page: `sent` = a code can be typed, `seconds` until another may be sent."""

    channel: str
    masked: str
    proven: bool
    sent: bool
    seconds: int


def _sending() -> Sending:
    return Sending(web.runtime().secret, i18n.choose())


def _shown(row: SignInTransaction, way: Way, now: datetime) -> Shown:
    mine = (proof_step.PURPOSE, proof_step.subject(row, way), way.recipient, now)
    pending = codes.pending(*mine, secret=web.runtime().secret, channel=way.channel)
    seconds = ceil((pending.again_at - now).total_seconds()) if pending else 0
    return Shown(way.channel, way.masked, way.proven, pending is not None, max(seconds, 0))


def _deferral() -> timedelta:
    return timedelta(days=web.runtime().settings.contact_proof_days)


def _page(row: SignInTransaction, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    account, now = flow.account_of(row), web.now()
    page = render_template(
        "signin/proof.html",
        transaction=row,
        ways=[_shown(row, way, now) for way in channels.ways(account)],
        mail_only="mobile" not in web.runtime().settings.code_channels,
        errors=errors,
        deferral_days=_deferral().days,
        may_defer=contacts_step.may_put_off(account, now, _deferral()),
    )
    return page, status


@bp.get("/signin/<transaction_id>/proof", endpoint="proof")
@web.access.anyone
@hub.step_page("proof")
def show(row: SignInTransaction) -> Any:
    """A field for each contact; the first time codes leave with it."""
    with transaction():
        proof_step.arrive(row, _sending(), web.now())
    return _page(row, []) if steps.proof_needed(row, web.now()) else hub.lead_on(row)


@bp.post("/signin/<transaction_id>/proof", endpoint="proof_post")
@web.access.anyone
@hub.step_page("proof")
def submit(row: SignInTransaction) -> Any:
    """Judge the codes, send another, go back to the contacts, or put it off."""
    action, now = request.form.get("action", ""), web.now()
    if action == "send":
        with transaction():
            refusal = proof_step.again(row, request.form.get("channel", ""), _sending(), now)
        if not steps.proof_needed(row, now):
            return hub.lead_on(row)
        return _page(row, [refusal], 429) if refusal else _page(row, [])
    with transaction():
        faults = _act(row, action, now)
    return _page(row, faults, 422) if faults else hub.lead_on(row)


def _act(row: SignInTransaction, action: str, now: datetime) -> list[Refusal]:
    if action == "change":
        proof_step.change(row, now)
        return []
    if action == "later":
        return [] if contacts_step.put_off(row, now, _deferral()) else [Refusal("code_missing")]
    return proof_step.judge(row, {kind: request.form.get(f"{kind}_code", "") for kind in ("mobile", "email")}, _sending(), now)
