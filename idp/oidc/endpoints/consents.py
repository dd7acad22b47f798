"""GET /account/consents and POST /account/consents/<client>/withdraw: what a person has allowed clients, and taking it back."""

from dataclasses import dataclass
from datetime import datetime

from flask import abort, redirect, render_template, url_for
from flask_babel import get_locale
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.oidc import consents, scopes
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.endpoints.consent import names, words
from idp.oidc.models import Consent
from idp.oidc.registration import CLIENT_ID, Registration, judge


@dataclass(frozen=True)
class Allowed:
    """One client on the page. `start_url`: where its sign-in can be started (OIDC Core §4), "" if it told none."""

    client_id: str
    name: str
    standard: list[str]
    systems: list[str]
    at: datetime
    start_url: str


@blueprint.get("/account/consents")
@web.access.person
def consents_page() -> str:
    """Every client that was allowed something."""
    account = session.get_one(Account, web.signed_in().account_id)
    firm = account.enterprise
    # an officer has no enterprise
    of = {"enterprise": firm.name, "enterprise_en": firm.name_en} if firm is not None else {"enterprise": "", "enterprise_en": ""}
    person = {"username": account.canonical_name, **of}
    return render_template("oidc/consents.html", person=person, allowed=_allowed(account.id))


def _allowed(account_id: int) -> list[Allowed]:
    return [_shown(given, judge({**record.registration, "client_id": record.client_id})) for given, record in consents.listing(account_id)]


def _shown(given: Consent, client: Registration) -> Allowed:
    said = words(given.scopes, given.claims)
    return Allowed(
        client_id=given.client_id,
        name=client.name("en" if str(get_locale()) == "en" else "zh-CN"),
        standard=[scope for scope in said if not scope.startswith(scopes.LICENCE)],
        systems=names(scopes.systems_of(said)),
        at=given.at,
        start_url=client.start(web.runtime().settings.issuer),
    )


@blueprint.post("/account/consents/<client_id>/withdraw")
@web.access.person
def withdraw(client_id: str) -> BaseResponse:
    """Take it back: the client's tokens for this person die with the same commit, and it is told. 404 if nothing was allowed."""
    # also keeps out what a database would choke on
    if not CLIENT_ID.match(client_id):
        abort(404)
    with transaction():
        withdrawn = consents.withdraw(web.signed_in().account_id, client_id, web.now())
    if not withdrawn:
        abort(404)
    return redirect(url_for("oidc.consents_page"), 303)
