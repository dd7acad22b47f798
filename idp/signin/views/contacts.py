"""The step that asks for mobile number and e-mail (R29, R57, R63, D21)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import render_template, request

from idp import web
from idp.accounts import contacts as rules
from idp.accounts.imported_contacts import FormerContact, former_contacts
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.signin import contacts_step, flow
from idp.signin.models import SignInTransaction
from idp.signin.views import bp, hub, system_names

MASKS = {"mobile": rules.mask_mobile, "email": rules.mask_email}


@dataclass(frozen=True)
class Known:
    """A contact that old systems (`systems`, their names) held, masked; the form names it by `key`."""

    kind: str
    key: str
    value_masked: str
    systems: str


def _known(account_id: int) -> list[Known]:
    found = _offered(account_id)
    # masked alike they may be: where they come from tells them apart (R63)
    return [Known(c.kind, c.key(web.runtime().secret), MASKS[c.kind](c.value), system_names.listed(c.systems)) for c in found]


def _offered(account_id: int) -> list[FormerContact]:
    """What may be chosen instead of typed: what the person gave before, then what the old systems hold."""
    account, former = session.get_one(Account, account_id), former_contacts(account_id)
    given = [FormerContact(kind, value, ()) for kind, value in (("mobile", account.mobile), ("email", account.email)) if value]
    own = given if account.contacts_given_at else []
    return own + [one for one in former if (one.kind, one.value) not in {(mine.kind, mine.value) for mine in own}]


def _page(row: SignInTransaction, form: dict[str, str], errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    settings, account = web.runtime().settings, flow.account_of(row)
    days = settings.contact_proof_days
    page = render_template(
        "signin/contacts.html",
        transaction=row,
        form=form,
        choices=_known(account.id),
        errors=errors,
        deferral_days=days,
        mail_only="mobile" not in settings.code_channels,
        may_defer=contacts_step.may_put_off(account, web.now(), timedelta(days=days)),
    )
    return page, status


def _form() -> dict[str, str]:
    return {name: request.form.get(name, "") for name in ("mobile", "email", "mobile_choice", "email_choice")}


def _value(form: dict[str, str], kind: str, former: list[FormerContact]) -> str:
    """What was typed, else the chosen contact of an old system."""
    chosen = next((c.value for c in former if c.kind == kind and c.key(web.runtime().secret) == form[f"{kind}_choice"]), "")
    return form[kind].strip() or chosen


@bp.get("/signin/<transaction_id>/contacts", endpoint="contacts")
@web.access.anyone
@hub.step_page("contacts")
def show(row: SignInTransaction) -> tuple[str, int]:
    """The form; the contacts of the old systems stand masked as choices (R63)."""
    known = _known(flow.account_of(row).id)
    first = {kind: next((k.key for k in known if k.kind == kind), "") for kind in MASKS}
    return _page(row, {"mobile": "", "email": "", "mobile_choice": first["mobile"], "email_choice": first["email"]}, [])


@bp.post("/signin/<transaction_id>/contacts", endpoint="contacts_post")
@web.access.anyone
@hub.step_page("contacts")
def submit(row: SignInTransaction) -> Any:
    """Note the contacts, or put it off for some days."""
    deferral, form = timedelta(days=web.runtime().settings.contact_proof_days), _form()
    if request.form.get("action") == "later":
        with transaction():
            done = contacts_step.put_off(row, web.now(), deferral)
        return hub.lead_on(row) if done else _page(row, form, [Refusal("contacts_missing", "mobile")], 422)
    former = _offered(flow.account_of(row).id)
    found = rules.read(_value(form, "mobile", former), _value(form, "email", former))
    if isinstance(found, list):
        return _page(row, form, found, 422)
    # a code must be able to reach one of them
    if not any(getattr(found, kind) for kind in web.runtime().settings.code_channels):
        return _page(row, form, [Refusal("email_needed", "email")], 422)
    with transaction():
        contacts_step.given(row, found, web.now())
    return hub.lead_on(row)
