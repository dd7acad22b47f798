"""The officers' start page, and what every page of theirs has around it."""

from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for

from idp import web
from idp.accounts import roles
from idp.accounts.models import Account
from idp.db import session
from idp.officers.nav import Link
from idp.second_person import rules as second_person

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
