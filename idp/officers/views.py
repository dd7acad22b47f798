"""The officers' start page, what every page of theirs has around it, and the page behind an enrolment link."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext
from markupsafe import Markup

from idp import web
from idp.accounts import roles, totp
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.officers import enrolment
from idp.officers.nav import Link
from idp.second_person import rules as second_person
from idp.signin import browser, change
from idp.signin.views.password import hasher

bp = Blueprint("officers", __name__)


@dataclass(frozen=True)
class ShownLink:
    """A link that this officer may follow; `here`: to the present page; `waiting`: how many things wait behind it for this officer."""

    label: str
    address: str
    icon: str
    here: bool
    waiting: int


@dataclass(frozen=True)
class Frame:
    """Who is here: name, roles in their usual order, links."""

    name: str
    roles: list[str]
    links: list[ShownLink]


@bp.app_template_global()
def officer_frame() -> Frame:
    """What officers/frame.html shows."""
    account, held = session.get_one(Account, web.signed_in().account_id), web.officer_roles()
    links = [_link(link) for link in web.runtime().hooks.officer_nav if held and (not link.roles or link.roles & held)]
    return Frame(account.display_name or account.canonical_name, [role for role in roles.ROLES if role in held], links)


def _link(link: Link) -> ShownLink:
    waiting = _waiting() if link.endpoint == "second_person.listing" else 0
    return ShownLink(link.label, url_for(link.endpoint), link.icon, link.endpoint == request.endpoint, waiting)


def _waiting() -> int:
    """Requests that this very officer may confirm."""
    return second_person.count_waiting(web.signed_in().account_id, web.officer_roles(), web.runtime().hooks.acts, web.now())


@bp.get("/officers")
@web.access.officer()
def start() -> str:
    """The pages of this officer's roles."""
    return render_template("officers/start.html")


# --- enrolment ------------------------------------------------------------------------------------------------------------------------------


@bp.get("/officers/enrol/<token>")
@web.access.anyone
def enrol_page(token: str) -> tuple[str, int]:
    """Password and authenticator app in one form; 410 for a link that is used, over or none."""
    account = enrolment.find(token, web.now())
    return _enrol_form(token, account, []) if account is not None else _over()


@bp.post("/officers/enrol/<token>")
@web.access.anyone
def enrol(token: str) -> Any:
    """Judge both (hashes outside any transaction), then one commit; the recovery codes are shown once."""
    account = enrolment.find(token, web.now())
    if account is None:
        return _over()
    errors = _password_faults(account)
    if errors:
        return _enrol_form(token, account, errors, 422)
    runtime, code = web.runtime(), request.form.get("code", "")
    password_hash = hasher().hash(request.form.get("new_password", ""))
    with transaction():
        typed = enrolment.Typed(password_hash, code, browser.secret())
        codes = enrolment.enrol(token, typed, runtime.secret, web.now(), runtime.hooks.session_ended)
    if isinstance(codes, Refusal):
        return _over() if codes.code == "totp_over" else _enrol_form(token, account, [codes], 422)
    return render_template("officers/enrolled.html", username=account.canonical_name, codes=codes)


def _over() -> tuple[str, int]:
    return web.error_page("officer_link", 410)


def _password_faults(account: Account) -> list[Refusal]:
    runtime = web.runtime()
    who = change.subject(account, runtime.settings)
    session.rollback()
    typed = request.form.get("new_password", ""), request.form.get("confirm_password", "")
    return change.judge(who, *typed, runtime.settings, runtime.secret, hasher())


def _enrol_form(token: str, account: Account, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    runtime = web.runtime()
    with transaction():
        plain = totp.begin(account.id, browser.secret(), runtime.secret, web.now())
    if plain is None:
        return _over()
    rules = {"min": runtime.settings.password_min_characters, "max": runtime.settings.password_max_characters}
    # drawn by us from our own text
    picture = Markup(totp.picture(totp.uri(plain, account.canonical_name, gettext("site.name"))))  # noqa: S704
    shown = {"username": account.canonical_name, "rules": rules, "picture": picture, "groups": totp.in_groups(plain), "errors": errors}
    return render_template("officers/enrol.html", token=token, **shown), status
