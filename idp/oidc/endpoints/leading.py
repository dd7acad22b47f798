"""How an authorization leads to the sign-in: what its pages show of the client, and which factors are asked for."""

from urllib.parse import urlsplit

from flask import url_for
from flask_babel import get_locale

from idp import web
from idp.oidc import acr, authorization, checks, logos
from idp.signin import browser, flow
from idp.signin.models import SignInTransaction

SIGNIN_HINT_CHARACTERS = 160
HOST_CHARACTERS = 300


def begin(
    subject: checks.Subject, caller: flow.Caller, signed_in: authorization.Person | None, has: tuple[str, ...], over: SignInTransaction | None
) -> str:
    """Open a sign-in for this authorization (inside a transaction); its id.

    `signed_in`: who stays signed in and only has to show what is missing beside `has` (step-up). `over`: see flow.begin.
    """
    settings = web.runtime().settings
    asked = acr.factors_asked(authorization.levels(subject), has, ekey=settings.ekey_on)
    if signed_in is not None:
        present = flow.SignedIn(signed_in.account_id, signed_in.epoch, signed_in.session_id, signed_in.factors["password"])
        return flow.begin_step_up(browser.secret(), caller, present, web.now(), settings.signin_seconds, over, asked)
    return flow.begin(browser.secret(), caller, web.now(), settings.signin_seconds, over, asked)


def to_request(subject: checks.Subject, request_id: str) -> flow.Caller:
    """Comes back to the stored request and ends at the client."""
    own = subject.known.registration
    return flow.Caller(
        return_to=url_for("oidc.resume", request_id=request_id),
        cancel_to=url_for("oidc.cancelled", request_id=request_id),
        client_name=name_of(subject),
        client_host="" if own.first_party else host_of(subject),
        policy_uri=own.policy_uri or "",
        tos_uri=own.tos_uri or "",
        logo=logos.address(own),
        login_hint=subject.request.get("login_hint")[:SIGNIN_HINT_CHARACTERS],
        form_action=[web.origin_of(subject.request.redirect_uri), *own.form_action_origins],
    )


def name_of(subject: checks.Subject) -> str:
    """The client's name in the language of the page."""
    return subject.known.registration.name("en" if str(get_locale()) == "en" else "zh-CN")


def host_of(subject: checks.Subject) -> str:
    """Where its answers go: the host (IDN: punycode, nothing else can be registered) and port, or the scheme of an application of its own."""
    parts = urlsplit(subject.request.redirect_uri)
    return (parts.netloc or f"{parts.scheme}:")[:HOST_CHARACTERS]
