"""/device (RFC 8628 §3.3): a signed-in person types the code that a device shows, sees who asks for what, and says yes or no."""

from dataclasses import dataclass

from flask import abort, redirect, render_template, request, url_for

from idp import opaque_tokens, web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import Refusal, RequestBroken
from idp.oidc import authorization, checks, devices, logos, scopes
from idp.oidc.endpoints import leading
from idp.oidc.endpoints.authorize import Answer, Arrival, person
from idp.oidc.endpoints.blueprint import blueprint, provider
from idp.oidc.endpoints.consent import names, seal, words
from idp.oidc.endpoints.leading import name_of
from idp.oidc.registration import DEVICE_CODE
from idp.signin import browser, flow


@dataclass(frozen=True)
class Asking:
    """A device that waits for this person; `decision` is what a yes would lead to."""

    digest: str
    user_code: str
    arrived: Arrival
    who: authorization.Person
    decision: authorization.Decision


@blueprint.get("/device")
@web.access.person
def device_page() -> Answer:
    """Where to type the code; a link may bring it (`verification_uri_complete`). Nothing is looked up, counted or allowed by a link."""
    return _entry(request.args.get("user_code", ""), None)


@blueprint.post("/device")
@web.access.person
def device_answer() -> Answer:
    """Who asks; then no, or a yes to what the page showed; a yes to what has changed since is the page again."""
    text, action = request.form.get("user_code", ""), request.form.get("action", "look")
    if action not in ("look", "allow", "deny"):
        raise RequestBroken("oidc_request")
    found = _asking(text)
    if not isinstance(found, Asking):
        return _entry(text, found)
    if action == "look":
        return _page(found)
    if action == "deny":
        with transaction():
            said = devices.deny(found.digest, found.arrived.subject.known.client_id, found.who.account_id, web.now())
        return redirect(url_for("oidc.device_denied"), 303) if said else _entry("", Refusal("device_code", "user_code"))
    if not isinstance(found.decision, authorization.Allowed) or not opaque_tokens.same(_seal(found), request.form.get("seal", "")):
        return _page(found)
    return _approved(found, found.decision)


@blueprint.get("/device/allowed")
@web.access.person
def device_allowed() -> Answer:
    """It may go on."""
    return render_template("oidc/device_done.html", outcome="allowed")


@blueprint.get("/device/denied")
@web.access.person
def device_denied() -> Answer:
    """It may not."""
    return render_template("oidc/device_done.html", outcome="denied")


@blueprint.url_value_preprocessor
def _on(endpoint: str | None, _values: object) -> None:
    # before anything else: nobody signs in for pages that are not there
    if endpoint is not None and endpoint.startswith("oidc.device_") and web.runtime().settings.device_grant == "off":
        abort(404)


def _asking(text: str) -> Asking | Refusal:
    """The device behind the code, judged for this person; each look is counted."""
    code, held, now = devices.typed(text), web.runtime(), web.now()
    if not code:
        return Refusal("device_code", "user_code")
    with transaction():
        allowed = devices.may_look(web.signed_in().account_id, web.caller_network(), now)
    if not allowed:
        return Refusal("device_tries", "user_code")
    row = devices.find(code, held.secret, now)
    client = provider().clients.find(row.client_id) if row is not None else None
    if row is None or client is None or DEVICE_CODE not in client.registration.grant_types:
        return Refusal("device_code", "user_code")
    who = person(client)
    if who is None:
        return Refusal("device_code", "user_code")
    asked = devices.request_of(row)
    # judged from when the device asked, so that one sign-in after that is enough
    arrived = Arrival(
        checks.Subject(asked, client, held.settings.issuer),
        asked.factors_since(client.registration.default_max_age, row.created_at),
        row.device_code_digest,
    )
    situation = authorization.Situation(who, arrived.since, False, None, True, web.today(), ekey=held.settings.ekey_on)
    return Asking(row.device_code_digest, code, arrived, who, authorization.decide(arrived.subject, situation))


def _entry(text: str, problem: Refusal | None) -> Answer:
    errors = [problem] if problem is not None else []
    page = render_template("oidc/device.html", user_code=text[: devices.MAX_TYPED_CHARACTERS], errors=errors)
    return (page, 429 if problem.code == "device_tries" else 400) if problem is not None else page


def _page(found: Asking) -> Answer:
    decision, own = found.decision, found.arrived.subject.known.registration
    if isinstance(decision, authorization.SignIn):
        return redirect(web.runtime().hooks.signin_path(url_for("oidc.device_page", user_code=devices.shown(found.user_code))), 303)
    if isinstance(decision, authorization.StepUp):
        return _step_up(found, decision)
    allowed = decision if isinstance(decision, authorization.Allowed) else None
    asked = words(allowed.target.scopes, ()) if allowed is not None else []
    return render_template(
        "oidc/device_confirm.html",
        user_code=devices.shown(found.user_code),
        client=own,
        client_name=name_of(found.arrived.subject),
        logo=logos.address(own),
        username=session.get_one(Account, found.who.account_id).canonical_name,
        allowed=allowed is not None,
        reasons=decision.reasons if isinstance(decision, authorization.NoRight) else (),
        standard=[scope for scope in asked if not scope.startswith(scopes.LICENCE)],
        systems=names(scopes.systems_of(asked)),
        seal=_seal(found),
    )


def _step_up(found: Asking, decision: authorization.StepUp) -> Answer:
    """To the factor that the device's system demands, and back to the code."""
    here = url_for("oidc.device_page", user_code=devices.shown(found.user_code))
    caller = flow.Caller(return_to=here, cancel_to=here, client_name=name_of(found.arrived.subject))
    with transaction():
        transaction_id = leading.begin(found.arrived.subject, caller, found.who, decision.has, browser.claim_room(sign_in=True))
    return redirect(url_for("signin.continue_", transaction_id=transaction_id), 303)


def _seal(found: Asking) -> str:
    return seal(found.arrived, found.who, found.decision) if isinstance(found.decision, authorization.Allowed) else ""


def _approved(found: Asking, allowed: authorization.Allowed) -> Answer:
    with transaction():
        said = devices.approve(found.digest, found.arrived.subject, found.who, allowed, web.now())
    if said == "said":
        return redirect(url_for("oidc.device_allowed"), 303)
    # the sign-in or its factor has ended since
    if isinstance(said, authorization.SignIn | authorization.StepUp):
        return redirect(url_for("oidc.device_page", user_code=devices.shown(found.user_code)), 303)
    return _entry("", Refusal("device_code", "user_code"))
