"""/account/contacts: mobile number and e-mail, and changing them (R57); /contacts/stop: the link that stops a change."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import i18n, web
from idp.accounts import channels, contact_changes
from idp.accounts import contacts as rules
from idp.accounts.contact_changes import Sending
from idp.accounts.contact_models import ContactChange
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.one_time_codes import codes
from idp.portal import hall
from idp.signin.views import entry, lately

pages = Blueprint("contacts", __name__)
READ = {"mobile": rules.read_mobile, "email": rules.read_email}


@dataclass(frozen=True)
class Shown:
    """One kind of contact on the page; `masked` "" = none; `to`, `due`: what it will be from when on; `id`: of that change."""

    kind: str
    masked: str
    proven: bool
    to: str
    due: datetime | None
    id: int


@dataclass(frozen=True)
class Pending:
    """Where a code went, masked, whether it can be typed, and in how many seconds another may be sent."""

    channel: str
    masked: str
    sent: bool
    seconds: int


def _sending() -> Sending:
    return Sending(web.runtime().secret, i18n.choose(), web.runtime().settings.issuer)


def _account() -> Account:
    return session.get_one(Account, web.signed_in().account_id)


def _here() -> str:
    return url_for("contacts.show")


def _page(form: dict[str, str], errors: list[Refusal], status: int = 200) -> Any:
    account = _account()
    waiting = {change.kind: change for change in contact_changes.waiting(account.id)}
    kinds = [_shown(account, kind, waiting.get(kind)) for kind in ("mobile", "email") if kind in web.runtime().settings.code_channels]
    return render_template("account/contacts.html", person=hall.person(account.id), kinds=kinds, form=form, errors=errors), status


def _shown(account: Account, kind: str, change: ContactChange | None) -> Shown:
    value, proven = (account.mobile, account.mobile_proven_at) if kind == "mobile" else (account.email, account.email_proven_at)
    mask = channels.MASKS[kind]
    to, due, number = (mask(change.value), change.due_at, change.id) if change is not None else ("", None, 0)
    return Shown(kind, mask(value) if value else "", proven is not None, to, due, number)


@pages.get("/account/contacts")
@web.access.person
def show() -> Any:
    """What stands, masked, and a field for another of each kind."""
    return lately.ask(_here()) or _page({}, [])


@pages.post("/account/contacts")
@web.access.person
def begin() -> Any:
    """Another contact: a code goes there."""
    again = lately.ask(_here())
    if again is not None:
        return again
    kind = "email" if request.form.get("kind") == "email" else "mobile"
    typed, settings = request.form.get(kind, ""), web.runtime().settings
    value = READ[kind](typed) if kind in settings.code_channels else None
    if value is None:
        return _page({kind: typed}, [Refusal(f"{kind}_invalid", kind)], 422)
    with transaction():
        begun = contact_changes.begin(web.signed_in().account_id, kind, value, _sending(), web.now())  # type: ignore[arg-type]  # one of two
    if isinstance(begun, Refusal):
        return _page({kind: typed}, [begun], 422)
    return redirect(url_for("contacts.change", number=begun.id), 303)


# --- one change -----------------------------------------------------------------------------------------------------------------------------


def _pending(channel: str, masked: str, sent: codes.Sent | None) -> Pending:
    seconds = max(ceil((sent.again_at - web.now()).total_seconds()), 0) if sent is not None else 0
    return Pending(channel, masked, sent is not None, seconds)


def _change_page(change: ContactChange, errors: list[Refusal], status: int = 200) -> Any:
    account, secret, now = _account(), web.runtime().secret, web.now()
    to = (contact_changes.PURPOSE, contact_changes.subject(change), change.value, now)
    new = _pending(change.kind, channels.MASKS[change.kind](change.value), codes.pending(*to, secret=secret, channel=change.kind))
    ways = contact_changes.others(account, change)
    other = _pending(ways[0].channel, ways[0].masked, contact_changes.pending_other(change, ways[0], secret, now)) if ways else None
    by_key = web.runtime().settings.ekey_on and bool(account.keys)
    shown = {"change": change, "new": new, "other": other, "by_key": by_key, "hours": int(contact_changes.WAIT.total_seconds() // 3600)}
    return render_template("account/contact_change.html", person=hall.person(account.id), errors=errors, **shown), status


def _found(number: int) -> ContactChange | None:
    return contact_changes.find(web.signed_in().account_id, number, web.now())


def _settled(change: ContactChange) -> Any:
    """On to the list once all is proven, else what is still to be done."""
    present = web.signed_in()
    with transaction():
        done = contact_changes.settle(present.account_id, change.id, present.session_id, _sending(), web.now())
    return redirect(_here(), 303) if done else None


@pages.get("/account/contacts/<int:number>")
@web.access.person
def change(number: int) -> Any:
    """The code to the new contact; then the second proof, where one is needed."""
    found = _found(number)
    if found is None or found.due_at is not None:
        return redirect(_here(), 303)
    return lately.ask(url_for("contacts.change", number=number)) or _change_page(found, [])


@pages.post("/account/contacts/<int:number>")
@web.access.person
def go_on(number: int) -> Any:
    """A code, another code, the e-key, or 72 hours."""
    found, action = _found(number), request.form.get("action", "")
    if found is None:
        return redirect(_here(), 303)
    again = lately.ask(url_for("contacts.change", number=number))
    if again is not None:
        return again
    if action == "ekey" and web.runtime().settings.ekey_on:
        return redirect(entry.step_up(web.signed_in(), url_for("contacts.change", number=number), "ekey"), 303)
    with transaction():
        refusal = _act(found.id, action)
    if refusal is not None:
        return _change_page(found, [refusal], 422) if _found(number) is not None else redirect(_here(), 303)
    return redirect(_here(), 303) if action in ("wait", "stop") else _settled(found) or redirect(url_for("contacts.change", number=number), 303)


def _act(number: int, action: str) -> Refusal | None:
    mine, now = (web.signed_in().account_id, number), web.now()
    if action == "send":
        return contact_changes.send_new(*mine, _sending(), now)
    if action == "send_other":
        return contact_changes.send_other(*mine, _sending(), now)
    if action == "wait":
        return contact_changes.wait(*mine, _sending(), now)
    if action == "stop":
        found = contact_changes.find(*mine, now)
        return None if found is not None and contact_changes.stop(found, now) else Refusal("contact_over")
    if action == "done":
        return None
    field = "other_code" if action == "other" else "code"
    typed = request.form.get(field, "")
    if not typed.strip():
        return Refusal("code_missing", field)
    prove = contact_changes.prove_other if action == "other" else contact_changes.prove_new
    return prove(*mine, typed, _sending(), now)


# --- the link that stops it -----------------------------------------------------------------------------------------------------------------


@pages.get("/contacts/stop/<int:number>/<token>")
@web.access.anyone
def ask_stop(number: int, token: str) -> str:
    """Ask first: mail programs follow links by themselves."""
    found = contact_changes.by_link(number, token, web.runtime().secret)
    return render_template("account/contact_stop.html", number=number, token=token, change=found or abort(404))


@pages.post("/contacts/stop/<int:number>/<token>")
@web.access.anyone
def stop(number: int, token: str) -> BaseResponse | str:
    """It never counts."""
    found = contact_changes.by_link(number, token, web.runtime().secret)
    if found is None:
        abort(404)
    with transaction():
        contact_changes.stop(found, web.now())
    return render_template("account/contact_stop.html", number=number, token=token, change=None)
