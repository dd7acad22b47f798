"""/account/link: 【关联本人其他账号】 (R87)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from math import ceil
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for

from idp import pacing, web
from idp.accounts import channels, credentials
from idp.accounts.models import Account
from idp.captcha import rules as captcha
from idp.db import session as db_session
from idp.db import transaction
from idp.errors import Refusal
from idp.legacy import link_proof, linking
from idp.legacy.link_proof import Asker, Proven, Typed
from idp.one_time_codes import codes
from idp.signin import browser
from idp.signin.models import SignInTransaction
from idp.signin.views import hub, lately
from idp.signin.views.password import hasher

pages = Blueprint("linking", __name__)
KEY = "link"


@dataclass(frozen=True)
class Shown:
    """One linked account on the page; `until` None = for good."""

    id: int
    name: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True)
class ShownWay:
    """One contact of the other account: `sent`: a code that went there can be typed; another may be sent in `seconds`."""

    channel: str
    masked: str
    sent: bool
    seconds: int


def _asker() -> Asker:
    present = web.signed_in()
    return Asker(present.account_id, present.session_id, hub.caller())


def _person() -> dict[str, str]:
    account = db_session.get_one(Account, web.signed_in().account_id)
    firm = account.enterprise
    return {"username": account.canonical_name, "enterprise": firm.name if firm else "", "enterprise_en": firm.name_en if firm else ""}


def _page(name: str, errors: list[Refusal], status: int = 200) -> Any:
    asker, runtime, now = _asker(), web.runtime(), web.now()
    asked = None
    if link_proof.asks_captcha(asker, runtime.settings, now) or any(error.field == "captcha" for error in errors):
        with transaction():
            asked = captcha.new(link_proof.place(asker), runtime.secret, now, runtime.settings.captcha_seconds)
    found = [
        Shown(row.id, row.moved["name"], row.at, row.undo_until if linking.may_undo(row, now) else None) for row in linking.links(asker.account_id)
    ]
    may = db_session.get_one(Account, asker.account_id).enterprise_id is not None
    shown = {"links": found, "form": {"username": name}, "captcha_id": asked, "may": may, "days": linking.UNDO.days}
    page = render_template("account/link.html", person=_person(), errors=errors, **shown)
    return page, status


@pages.get("/account/link")
@web.access.person
def show() -> Any:
    """What is linked already, and the form for another account."""
    return lately.ask(url_for("linking.show")) or _page("", [])


@pages.post("/account/link")
@web.access.person
@pacing.refusals
def submit() -> Any:
    """The other account's password; right: a code leaves for its contact."""
    again = lately.ask(url_for("linking.show"))
    if again is not None:
        return again
    form, runtime, asker = request.form, web.runtime(), _asker()
    typed = Typed(form.get("username", ""), form.get("password", ""), form.get("captcha_id", ""), form.get("captcha", ""))
    if form.get("action") == "refresh_captcha":
        return _page(typed.name, [])
    with transaction():
        admitted = link_proof.admit(asker, typed, runtime.settings, runtime.secret, web.now())
    if isinstance(admitted, Refusal):
        return _page(typed.name, [admitted], 429 if admitted.code == "too_many" else 422)
    proofs = credentials.prove(admitted.candidates, typed.password, runtime.secret, hasher())
    with transaction():
        proven = link_proof.settle(asker, admitted, proofs, runtime.settings, runtime.secret, web.now())
    if isinstance(proven, Refusal):
        return _page(typed.name, [proven], 422)
    session[KEY] = asdict(proven)
    return redirect(url_for("linking.code"), 303)


# --- the other account's e-key --------------------------------------------------------------------------------------------------------------


@pages.post("/account/link/key")
@web.access.person
def begin_by_key() -> Any:
    """【使用另一账号的电子钥匙】: to the page of the key, in a transaction from which nobody is signed in."""
    again, here = lately.ask(url_for("linking.show")), url_for("linking.show")
    if again is not None or not web.runtime().settings.ekey_on:
        return again or redirect(here, 303)
    with transaction():
        over = browser.claim_room(sign_in=True)
        begun = link_proof.begin_by_key(_asker(), browser.secret(), here, over, web.now())
    return _page("", [begun], 429) if isinstance(begun, Refusal) else redirect(url_for("signin.continue_", transaction_id=begun), 303)


def key_shown(row: SignInTransaction, account_id: int, serial: str) -> Refusal | None:
    """`Hooks.key_for_link`. Inside the transaction that has spent the challenge."""
    if web.principal() is None:
        return Refusal("link_over")
    return link_proof.key_shown(_asker(), row, account_id, serial, web.runtime().secret, web.now())


@pages.get("/signin/<transaction_id>/link")
@web.access.person
@hub.step_page("link")
def shown_key(row: SignInTransaction) -> Any:
    """What was shown there counts here as the password does: for the code. Any number of times the same."""
    session[KEY] = row.facts["key_of_other"]
    return redirect(url_for("linking.code"), 303)


# --- the code -------------------------------------------------------------------------------------------------------------------------------


def _proven() -> Proven | None:
    """What this browser's signed cookie says of the first page, while it counts."""
    kept = session.get(KEY)
    if not isinstance(kept, dict):
        return None
    proven = Proven(**kept)
    other = db_session.get(Account, proven.account_id)
    unchanged = other is not None and other.epoch == proven.epoch
    return proven if unchanged and link_proof.alive(proven, web.signed_in().session_id, web.now()) else None


def _ways(proven: Proven, other: Account) -> list[ShownWay]:
    now, secret = web.now(), web.runtime().secret
    found = []
    for way in channels.proven(other):
        mine = (link_proof.PURPOSE, link_proof.subject(proven), way.recipient, now)
        pending = codes.pending(*mine, secret=secret, channel=way.channel)
        seconds = max(ceil((pending.again_at - now).total_seconds()), 0) if pending else 0
        found.append(ShownWay(way.channel, way.masked, pending is not None, seconds))
    return found


def _code_page(proven: Proven, errors: list[Refusal], status: int = 200) -> Any:
    other = db_session.get_one(Account, proven.account_id)
    ways, app = _ways(proven, other), link_proof.by_app(other)
    sent = next((way for way in ways if way.sent), None)
    shown = {"name": other.canonical_name, "ways": ways, "sent": sent, "by_app": app, "days": linking.UNDO.days}
    return render_template("account/link_code.html", person=_person(), errors=errors, **shown), status


def _anew() -> Any:
    session.pop(KEY, None)
    return redirect(url_for("linking.show"), 303)


@pages.get("/account/link/code")
@web.access.person
def code() -> Any:
    """The field for the code; whoever comes late begins again."""
    proven = _proven()
    return _code_page(proven, []) if proven is not None else _anew()


@pages.post("/account/link/code")
@web.access.person
def confirm() -> Any:
    """Another code, or what was typed: right, it is linked."""
    proven, form, runtime = _proven(), request.form, web.runtime()
    if proven is None:
        return _anew()
    if form.get("action") == "send":
        with transaction():
            refusal = link_proof.send(proven, form.get("channel", "") or "-", runtime.secret, web.now())
        return _code_page(proven, [refusal], 422) if refusal else redirect(url_for("linking.code"), 303)
    if not form.get("code", "").strip():
        return _code_page(proven, [Refusal("code_missing", "code")], 422)
    with transaction():
        done = link_proof.complete(_asker(), proven, form.get("channel", ""), form["code"], runtime.hooks, runtime.secret, web.now())
    if isinstance(done, Refusal) and done.field != "username":
        return _code_page(proven, [done], 429 if done.code == "totp_too_many" else 422)
    session.pop(KEY, None)
    # another page was first, or the account has changed since the first page
    return _page("", [done], 422) if isinstance(done, Refusal) else redirect(url_for("linking.show"), 303)


@pages.post("/account/link/<int:link_id>/undo")
@web.access.person
def undo(link_id: int) -> Any:
    """【解除关联】 within 30 days."""
    again = lately.ask(url_for("linking.show"))
    if again is not None:
        return again
    # whatever number was sent, only one of these reaches the database
    known = {row.id for row in linking.links(web.signed_in().account_id)}
    if link_id not in known:
        return redirect(url_for("linking.show"), 303)
    with transaction():
        undone = linking.unlink(web.signed_in().account_id, link_id, web.runtime().hooks, web.now())
    return redirect(url_for("linking.show"), 303) if undone else _page("", [Refusal("link_final")], 422)
