"""/account, /account/password, /account/totp (R75) and /account/names (D9)."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from markupsafe import Markup

from idp import web
from idp.accounts import own_name, totp
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal
from idp.portal import hall
from idp.portal.account import totp_changes
from idp.signin.views import entry, lately, system_names

pages = Blueprint("account", __name__)


@pages.get("/account")
@web.access.person
def index() -> str:
    """What there is to see and change."""
    account_id, days = web.signed_in().account_id, web.runtime().settings.password_days
    return _page("index", totp_on=totp.is_on(account_id), password_ends=hall.password_ends(account_id, days, web.now()))


def _page(name: str, **shown: Any) -> str:
    return render_template(f"account/{name}.html", person=hall.person(web.signed_in().account_id), **shown)


@pages.get("/account/password")
@web.access.person
def password() -> Any:
    """The present password again, with all that a sign-in asks for, then the step that sets a new one (threats F)."""
    name = session.get_one(Account, web.signed_in().account_id).canonical_name
    return redirect(entry.begin(url_for("account.index"), name, {"change": "must"}), 303)


@pages.get("/account/totp")
@web.access.person
def totp_page() -> str:
    """Whether it is on, and what can be done."""
    account_id = web.signed_in().account_id
    return _page("totp", state=totp.state(account_id), officer=totp_changes.by_link_only(account_id))


@pages.get("/account/totp/setup")
@web.access.person
def setup() -> Any:
    """Picture and secret, for this session alone, and the field for the first code."""
    return lately.ask(url_for("account.setup")) or _setup([])


def _setup(errors: list[Refusal], status: int = 200) -> Any:
    present, runtime = web.signed_in(), web.runtime()
    with transaction():
        plain = totp_changes.begin(present.account_id, present.session_id, runtime.secret, web.now())
    if plain is None:
        return redirect(url_for("account.totp_page"), 303)
    text = totp.uri(plain, hall.person(present.account_id).username, gettext("site.name"))
    # ours: segno's text of our own address, whose name is percent-encoded; no sign of it can end a tag
    picture = Markup(totp.picture(text))  # noqa: S704
    return _page("totp_setup", picture=picture, secret=totp.in_groups(plain), errors=errors), status


@pages.post("/account/totp/setup")
@web.access.person
def confirm() -> Any:
    """The first code switches it on; the answer shows the recovery codes, this once."""
    again = lately.ask(url_for("account.setup"))
    if again is not None:
        return again
    typed, present, runtime = request.form.get("code", ""), web.signed_in(), web.runtime()
    if not typed.strip():
        return _setup([Refusal("totp_missing", "code")], 422)
    with transaction():
        on_end = runtime.hooks.session_ended
        codes = totp_changes.switch_on(present.account_id, present.session_id, typed, runtime.secret, web.now(), on_end)
    if isinstance(codes, Refusal):
        return _setup([codes], 429 if codes.code == "totp_too_many" else 422)
    return _page("totp_codes", codes=codes, first=True)


@pages.post("/account/totp/off")
@web.access.person
def switch_off() -> Any:
    """Switch it off; password and app were proven lately."""
    again = lately.ask(url_for("account.totp_page"))
    if again is not None:
        return again
    present = web.signed_in()
    with transaction():
        may = totp_changes.switch_off(present.account_id, present.session_id, web.now(), web.runtime().hooks.session_ended)
    return redirect(url_for("account.totp_page"), 303) if may else (totp_page(), 403)


@pages.post("/account/totp/recovery-codes")
@web.access.person
def new_codes() -> Any:
    """Other recovery codes, shown this once."""
    again = lately.ask(url_for("account.totp_page"))
    if again is not None:
        return again
    with transaction():
        codes = totp_changes.new_codes(web.signed_in().account_id, web.runtime().secret, web.now())
    return _page("totp_codes", codes=codes, first=False) if codes is not None else redirect(url_for("account.totp_page"), 303)


@dataclass(frozen=True)
class Name:
    """One user name on the page; `system`: the old one it comes from, "" if none; `chosen` by its person."""

    name: str
    system: str
    chosen: bool
    canonical: bool


@pages.get("/account/names")
@web.access.person
def names() -> Any:
    """Every name that opens the account, and one of its own (D9)."""
    return lately.ask(url_for("account.names")) or _names("", [])


def _names(typed: str, errors: list[Refusal], status: int = 200) -> Any:
    account = session.get_one(Account, web.signed_in().account_id)
    known = sorted(account.names, key=lambda name: (not name.canonical, name.id))
    shown = [Name(one.name, system_names.listed([one.system]), one.chosen_at is not None, one.canonical) for one in known]
    prefix = account.enterprise.prefix if account.enterprise is not None else ""
    return _page("names", names=shown, prefix=prefix, has_own=own_name.of(account) is not None, typed=typed, errors=errors), status


@pages.post("/account/names")
@web.access.person
def choose_name() -> Any:
    """It becomes the name that pages show; the others open the account as before."""
    again = lately.ask(url_for("account.names"))
    if again is not None:
        return again
    typed = request.form.get("own_name", "")
    with transaction():
        refusal = own_name.choose(web.signed_in().account_id, typed, web.now())
    return _names(typed, [refusal], 422) if refusal else redirect(url_for("account.names"), 303)
