"""GET, POST /oauth2/authorize/<id>/consent: what a client that is not the ministry's own asks for, and the person's yes or no."""

from collections.abc import Collection, Sequence

from flask import render_template, request
from flask_babel import get_locale
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from idp import opaque_tokens, web
from idp.accounts.models import Account
from idp.db import dumps, session
from idp.entitlements.models import BusinessSystem
from idp.errors import RequestBroken
from idp.oidc import authorization, claims, logos, scopes
from idp.oidc.checks import Fault
from idp.oidc.endpoints.authorize import Answer, Arrival, allow_return, person, proceed, recall, refuse
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.endpoints.leading import host_of, name_of


def _asked(arrived: Arrival, who: authorization.Person | None) -> authorization.Allowed | None:
    """What is agreed to; also what the person has no right to today, since a right can come back. None: there is nothing to say yes to."""
    if who is None:
        return None
    decision = authorization.decide(arrived.subject, authorization.Situation(who, None, False, None, True, web.today()))
    return decision if isinstance(decision, authorization.Allowed) else None


def seal(arrived: Arrival, who: authorization.Person, asked: authorization.Allowed) -> str:
    """Ties a yes to who saw the page, and to what it showed: since then somebody else may have signed in, or the client got a wider registration."""
    own = arrived.subject.known.registration
    about = (own.name("zh-CN"), own.name("en"), own.policy_uri, own.tos_uri, own.first_party, logos.address(own))
    shown = (arrived.request_id, who.session_id, who.account_id, asked.target.scopes, asked.target.resource, asked.claims, about)
    return opaque_tokens.keyed_digest(web.runtime().secret, "consent", dumps(shown))


def words(agreed: Sequence[str], named: Collection[str]) -> list[str]:
    """Scopes, and the scopes whose words describe the claims asked for one by one."""
    return list(dict.fromkeys([*agreed, *(claims.scope_of(name) for name in sorted(named))]))


def names(systems: set[str]) -> list[str]:
    """What business systems are called in the language of the page."""
    rows = session.scalars(select(BusinessSystem).where(BusinessSystem.code.in_(systems)).order_by(BusinessSystem.position))
    return [row.name_en if str(get_locale()) == "en" else row.name for row in rows]


@blueprint.get("/oauth2/authorize/<request_id>/consent")
@web.access.anyone
def consent(request_id: str) -> Answer:
    """The page. Who is not signed in, or not recently enough, goes through authorize first."""
    arrived = recall(request_id)
    if not isinstance(arrived, Arrival):
        return arrived
    who = person(arrived.subject.known)
    allowed = _asked(arrived, who)
    if who is None or allowed is None:
        return proceed(arrived)
    asked = words(allowed.target.scopes, allowed.named)
    allow_return(arrived.subject)
    return render_template(
        "oidc/consent.html",
        request_id=request_id,
        client=arrived.subject.known.registration,
        client_name=name_of(arrived.subject),
        logo=logos.address(arrived.subject.known.registration),
        standard=[scope for scope in asked if not scope.startswith(scopes.LICENCE)],
        systems=names(scopes.systems_of(asked)),
        host=host_of(arrived.subject),
        username=session.get_one(Account, who.account_id).canonical_name,
        seal=seal(arrived, who, allowed),
    )


@blueprint.post("/oauth2/authorize/<request_id>/consent")
@web.access.anyone
def consent_post(request_id: str) -> BaseResponse | Answer:
    """Yes issues a code for what the page showed; anything else, and a yes to what has changed since, is the page again; no is access_denied."""
    arrived = recall(request_id)
    if not isinstance(arrived, Arrival):
        return arrived
    action = request.form.get("action", "")
    if action == "deny":
        return refuse(arrived.subject, Fault("access_denied", "consent"), request_id)
    if action != "allow":
        raise RequestBroken("oidc_request")
    who = person(arrived.subject.known)
    asked = _asked(arrived, who)
    # what is judged here is issued: `arrived` is not read again
    seen = who is not None and asked is not None and opaque_tokens.same(seal(arrived, who, asked), request.form.get("seal", ""))
    return proceed(arrived, consented=seen)
