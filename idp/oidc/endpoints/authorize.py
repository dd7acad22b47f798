"""GET, POST /oauth2/authorize and /oauth2/authorize/<id>, where a person comes back from the sign-in.

read → CHECKS → decide → code. Before client and redirect URI are proven a failure is a page, afterwards an answer to the client.
"""

from dataclasses import dataclass
from datetime import datetime

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.errors import RequestBroken
from idp.oidc import authorization, authorization_request, checks, consents, forms, hints, pending, pushed_requests, request_objects, subjects
from idp.oidc.authorization_request import AuthorizationRequest
from idp.oidc.clients import Client
from idp.oidc.endpoints import answers, body, leading
from idp.oidc.endpoints.blueprint import blueprint, provider
from idp.sessions.models import Session
from idp.signin import browser

Answer = BaseResponse | str | tuple[str, int]
# RFC 9126 §7.3; its client and redirect URI are proven, so the client hears it
ANSWERED = checks.Fault("invalid_request_uri", "answered")
TOO_LATE = checks.Fault("invalid_request_uri", "expired")


@dataclass(frozen=True)
class Arrival:
    """A request that passed the checks; `request_id` is "" while it is not stored."""

    subject: checks.Subject
    since: datetime | None
    request_id: str = ""


# --- coming in ------------------------------------------------------------------------------------------------------------------------------


@blueprint.get("/oauth2/authorize")
@web.access.protocol
def authorize() -> Answer:
    """An authorization request by query (OIDC Core §3.1.2.1)."""
    arrived = _arrive(request.query_string)
    return proceed(arrived) if isinstance(arrived, Arrival) else arrived


@blueprint.post("/oauth2/authorize")
@web.access.protocol
def authorize_post() -> Answer:
    """The same by form. A cross-site POST brings no Lax cookie: keep it, and go on by our own GET."""
    sent = body.raw(body.MAX_BODY_BYTES) if request.mimetype == body.FORM else None
    if sent is None:
        raise RequestBroken("oidc_request")
    arrived = _arrive(sent)
    if not isinstance(arrived, Arrival):
        return arrived
    with transaction():
        browser.claim_room()
        request_id = _kept(arrived, "")
    if request_id is None:
        return _client_gone()
    wish = arrived.subject.request.get("ui_locales") or None
    return redirect(url_for("oidc.resume", request_id=request_id, ui_locales=wish), 303)


def _arrive(raw: bytes) -> Arrival | Answer:
    form = forms.parse(raw)
    if form is None:
        raise RequestBroken("oidc_request")
    asked = authorization_request.read(form)
    # RFC 9126 §4: beside it nothing counts but the client
    if pushed_requests.ours(asked.get("request_uri")):
        found = pushed_requests.started(asked, web.now())
        return web.error_page("oidc_request_uri", 400) if found is None else checked(found.request, "kept", signed=found.signed, pushed=found.digest)
    return _opened(asked) if asked.get("request") and not asked.get("request_uri") else checked(asked, "authorize")


def _opened(asked: AuthorizationRequest) -> Arrival | Answer:
    """A request by a signed object (RFC 9101); where that is faulty no redirect URI is proven."""
    client = provider().clients.find(asked.client_id)
    if client is None:
        return checked(asked, "authorize")
    found = request_objects.opened(asked, client, web.runtime().settings.issuer, web.now())
    return web.error_page("oidc_request_object", 400) if isinstance(found, checks.Fault) else checked(found.request, "authorize", signed=True)


def checked(asked: AuthorizationRequest, endpoint: str, *, signed: bool = False, pushed: str | None = None) -> Arrival | Answer:
    """The request with its client, if it passes the CHECKS of `endpoint`; otherwise the page or answer of the first failure."""
    client = provider().clients.find(asked.client_id)
    subject = checks.Subject(asked, client, web.runtime().settings.issuer, signed, pushed)
    failed = checks.first_failure(subject, endpoint)
    if failed is None:
        return Arrival(subject, asked.factors_since(subject.known.registration.default_max_age, web.now()))
    kind, fault = failed
    return web.error_page(f"oidc_{fault.detail}", 400) if kind is checks.Failure.PAGE else refuse(subject, fault)


def refuse(subject: checks.Subject, no: checks.Fault, request_id: str = "") -> BaseResponse:
    """An error for the client, and so the one answer to a pushed request; unless another sign-in that started with it has given that.

    `request_id`: of the stored request that it answers.
    """
    if request_id:
        with transaction():
            pending.answered(request_id, web.now())
    if subject.pushed is not None:
        with transaction():
            first = pushed_requests.spend(subject.pushed, subject.known.client_id, web.now())
        no = no if first else ANSWERED
    return answers.fault(subject, no)


# --- coming back ----------------------------------------------------------------------------------------------------------------------------


@blueprint.get("/oauth2/authorize/<request_id>")
@web.access.protocol
def resume(request_id: str) -> Answer:
    """The stored request goes on, with whoever is signed in now."""
    arrived = recall(request_id)
    return proceed(arrived) if isinstance(arrived, Arrival) else arrived


@blueprint.get("/oauth2/authorize/<request_id>/cancelled")
@web.access.protocol
def cancelled(request_id: str) -> Answer:
    """The person said no, at the sign-in or on a page of ours (RFC 6749 §4.1.2.1)."""
    arrived = recall(request_id)
    if not isinstance(arrived, Arrival):
        return arrived
    return refuse(arrived.subject, checks.Fault("access_denied", "cancelled"), request_id)


def recall(request_id: str) -> Arrival | Answer:
    """A stored request of this browser, judged again by what its client is now; otherwise a page."""
    row = pending.find(request_id, browser.secrets(), web.now())
    if isinstance(row, str):
        return web.error_page(f"oidc_request_{row}", 400)
    since, parameters, pushed, signed = row.factors_since, dict(row.parameters), row.pushed, row.signed
    late = pushed is not None and web.now() >= row.created_at + pushed_requests.STARTED_LIFE
    if not row.browser_digest:
        with transaction():
            bound = pending.bind(request_id, browser.secret())
        if not bound:
            return web.error_page("oidc_request_other_browser", 400)
    arrived = checked(AuthorizationRequest(parameters), "kept", signed=signed, pushed=pushed)
    if not isinstance(arrived, Arrival):
        return arrived
    # R84: whoever comes back later still comes back to the client, which pushes a new one
    return refuse(arrived.subject, TOO_LATE, request_id) if late else Arrival(arrived.subject, since, request_id)


# --- going on -------------------------------------------------------------------------------------------------------------------------------


def person(client: Client) -> authorization.Person | None:
    """Who is signed in, as the rules want it, and under the name that this client knows."""
    found = web.present()
    # R54: whoever came by the legacy entry is signed in at that system alone
    if found is None or (found.only_system is not None and not client.registration.serves_alone(found.only_system)):
        return None
    account, row = session.get_one(Account, found.account_id), session.get_one(Session, found.session_id)
    sub = subjects.known(account.id, account.sub, client.registration)
    return authorization.person_of(account.id, sub, row, web.now())


def _meant(asked: AuthorizationRequest) -> str | checks.Fault | None:
    """The subject of the id_token_hint; a Fault if it is no ID token of ours (OIDC Core §3.1.2.1; expired is fine)."""
    hint = asked.get("id_token_hint")
    if not hint:
        return None
    claims = hints.claims(hint, provider().keys.latest(), web.runtime().settings.issuer, web.now())
    return str(claims["sub"]) if claims is not None else checks.Fault("invalid_request", "id_token_hint")


def proceed(arrived: Arrival, *, consented: bool = False) -> Answer:
    """Decide and act: answer the client, or show the page that is missing."""
    subject, asked = arrived.subject, arrived.subject.request
    meant = _meant(asked)
    if isinstance(meant, checks.Fault):
        return refuse(subject, meant, arrived.request_id)
    who = person(subject.known)
    agreed = _agreed(who, subject.known) if who is not None else consents.NOTHING
    situation = authorization.Situation(
        who, arrived.since, not arrived.request_id, meant, consented, web.today(), agreed, web.runtime().settings.ekey_on
    )
    decision = authorization.decide(subject, situation)
    if isinstance(decision, checks.Fault):
        return refuse(subject, decision, arrived.request_id)
    if isinstance(decision, authorization.Allowed) and who is not None:
        return _grant(arrived, who, decision, consented)
    return _page(arrived, decision)


def _agreed(who: authorization.Person, client: Client) -> consents.Agreed:
    # the ministry's own are not asked about
    return consents.NOTHING if client.registration.first_party else consents.agreed(who.account_id, client.client_id)


def _grant(arrived: Arrival, who: authorization.Person, allowed: authorization.Allowed, consented: bool) -> Answer:
    with transaction():
        issued = authorization.issue(arrived.subject, who, allowed, web.now(), web.runtime().settings.code_seconds, consented)
        if isinstance(issued, str) and arrived.request_id:
            pending.answered(arrived.request_id, web.now())
    if isinstance(issued, str):
        return answers.to_client(arrived.subject, {"code": issued})
    if isinstance(issued, authorization.ClientGone):
        return _client_gone()
    if isinstance(issued, authorization.Answered):
        return answers.fault(arrived.subject, ANSWERED)
    # session or consent ended while we decided
    if arrived.subject.request.silent:
        missing = "consent" if isinstance(issued, authorization.AskConsent) else "login"
        return refuse(arrived.subject, checks.Fault(f"{missing}_required", "ended"), arrived.request_id)
    return _page(arrived, issued)


def _page(arrived: Arrival, decision: authorization.Decision) -> Answer:
    """Pages need a stored request: what they post or lead to is named by its id."""
    if isinstance(decision, authorization.SignIn | authorization.StepUp):
        return _sign_in(arrived, decision)
    if not arrived.request_id:
        with transaction():
            browser.claim_room()
            request_id = _stored(arrived)
        here = url_for("oidc.resume", request_id=request_id or "x", ui_locales=_wish(arrived))
        return redirect(here, 303) if request_id is not None else _client_gone()
    if isinstance(decision, authorization.AskConsent):
        return redirect(url_for("oidc.consent", request_id=arrived.request_id), 303)
    allow_return(arrived.subject)
    reasons = decision.reasons if isinstance(decision, authorization.NoRight) else ()
    return render_template("oidc/no_right.html", request_id=arrived.request_id, client_name=leading.name_of(arrived.subject), reasons=reasons), 403


def _client_gone() -> Answer:
    """Switched off or deleted while we decided: what is said of a client that nobody knows."""
    return web.error_page("oidc_client_unknown", 400)


def _stored(arrived: Arrival) -> str | None:
    return arrived.request_id or _kept(arrived, browser.secret())


def _kept(arrived: Arrival, bound_to: str) -> str | None:
    """Store it for a browser (its secret); what was pushed stays as long as it."""
    subject, now = arrived.subject, web.now()
    if subject.pushed is not None:
        pushed_requests.keep(subject.pushed, now)
    return pending.store(subject.request, bound_to, arrived.since, now, subject.pushed, signed=subject.signed)


def _sign_in(arrived: Arrival, decision: authorization.SignIn | authorization.StepUp) -> Answer:
    """To the pages of the sign-in; at a step-up whoever is signed in stays so and only shows the factor that is missing."""
    with transaction():
        over = browser.claim_room(sign_in=True)
        if over is not None and not arrived.request_id:
            pending.drop_oldest(browser.secrets())
        request_id = _stored(arrived)
        if request_id is None:
            return _client_gone()
        who, has = (person(arrived.subject.known), decision.has) if isinstance(decision, authorization.StepUp) else (None, ("password",))
        transaction_id = leading.begin(arrived.subject, leading.to_request(arrived.subject, request_id), who, has, over)
    # a wish for a language travels on (OIDC Core §3.1.2.1); where there is none, nothing is appended
    return redirect(url_for("signin.continue_", transaction_id=transaction_id, ui_locales=_wish(arrived)), 303)


def _wish(arrived: Arrival) -> str | None:
    """The languages wished for: what the request says when it comes in, by whichever way; afterwards what our own address says."""
    return (request.args.get("ui_locales") if arrived.request_id else arrived.subject.request.get("ui_locales")) or None


def allow_return(subject: checks.Subject) -> None:
    """Let this page's form end at the client (CSP form-action)."""
    web.allow_form_action(subject.request.redirect_uri, *subject.known.registration.form_action_origins)
