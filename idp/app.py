"""All wiring on one screen: create_app() and the tables it reads. The only module that knows every feature."""

import secrets
from datetime import datetime

from flask import Blueprint, Flask, g, request

from idp import db, floods, i18n, limits, outbound, web
from idp.accounts import contact_changes, initial_password, lockout, roles
from idp.accounts import notices as account_notices
from idp.accounts.models import Account
from idp.adapters import Adapters, SystemClock
from idp.audit.origin import Origin, current
from idp.captcha import rules as captcha
from idp.captcha import views as captcha_views
from idp.ekey import certificate_road, chain, challenges, driver_files, revocation_cache, sm2, withdrawal
from idp.ekey import notices as ekey_notices
from idp.ekey import views as ekey_views
from idp.ekey.office import emergency, presented
from idp.ekey.office import endpoints as key_register_endpoints
from idp.ekey.office import listing as key_office_listing
from idp.ekey.office import views as key_office_views
from idp.legacy import cutover, entry_orders, letters, undo_order
from idp.legacy import frame as legacy_frame
from idp.legacy.views import entry as legacy_entry_views
from idp.legacy.views import entry_api as legacy_entry_endpoints
from idp.legacy.views import link as link_views
from idp.messages import absent, console, sms_gateway, smtp
from idp.officers import views as officer_views
from idp.officers.nav import Link
from idp.oidc import access_tokens, account_events, backchannel, devices, dynamic_registration, jti, logos, pending, pushed_requests
from idp.oidc import endpoints as oidc_endpoints
from idp.oidc import revocation as oidc_revocation
from idp.oidc.endpoints import resource as oidc_resource
from idp.oidc.keys import KeyRing
from idp.one_time_codes import codes, delivery
from idp.outbox.queue import Handler
from idp.portal import frame
from idp.portal import views as portal_views
from idp.portal.account.views import contacts as contact_views
from idp.portal.account.views import log as log_views
from idp.portal.account.views import own as account_views
from idp.portal.account.views import sessions as session_views
from idp.portal.proof import views as proof_views
from idp.recovery import steps as recovery_steps
from idp.recovery import views as recovery_views
from idp.second_person import rules as second_person
from idp.second_person import views as second_person_views
from idp.second_person.rules import Act
from idp.sessions import cookie, device, lifecycle
from idp.sessions.models import Session
from idp.settings import Settings, load, master_secret
from idp.signin import closing, flow, notices, steps
from idp.signin import views as signin_views
from idp.signin.flow import Step
from idp.signin.views import entry

BLUEPRINTS: tuple[Blueprint, ...] = (
    signin_views.bp,
    ekey_views.bp,
    key_register_endpoints.bp,
    key_office_views.bp,
    captcha_views.pages,
    portal_views.pages,
    account_views.pages,
    contact_views.pages,
    session_views.pages,
    log_views.pages,
    proof_views.pages,
    link_views.pages,
    recovery_views.pages,
    legacy_entry_views.pages,
    legacy_entry_endpoints.bp,
    oidc_endpoints.blueprint,
    second_person_views.bp,
    officer_views.bp,
)

# The order of the sign-in; the hub takes the first that is still needed.
STEPS = (
    Step("password", steps.password_needed),
    Step("choose", steps.choose_needed),
    Step("ekey", steps.ekey_needed),
    Step("recover", recovery_steps.recover_needed),
    Step("recover-code", recovery_steps.code_needed),
    Step("recover-second", recovery_steps.second_needed),
    Step("totp", steps.totp_needed),
    Step("code", steps.code_needed),
    Step("report", steps.report_needed),
    Step("link", steps.link_needed),
    Step("change", steps.change_needed),
    Step("contacts", steps.contacts_needed),
    Step("proof", steps.proof_needed),
    Step("recovered", recovery_steps.recovered_needed),
)

# What a second officer confirms (R90): kind → what is done then, and the roles that may confirm it. The words: request.kind.<kind>.
ACTS: dict[str, Act] = {
    presented.KIND: Act(presented.bind_confirmed, frozenset([key_office_views.ROLE]), key_office_listing.region),
    emergency.KIND: Act(key_office_views.withdraw_confirmed, frozenset([key_office_views.ROLE]), key_office_listing.region),
    undo_order.KIND: Act(undo_order.confirmed, undo_order.ROLES, lambda _details: ""),
    entry_orders.RESET: Act(entry_orders.reset, entry_orders.ROLES, entry_orders.region),
}

# The officers' pages in their order; a link without roles is every officer's. The words: officers.nav.<label>, officers.text.<label>.
NAV = (
    Link("start", "officers.start", frozenset(), ""),
    Link("requests", "second_person.listing", frozenset(), "requests"),
    Link("keys", "key_office.search", frozenset([key_office_views.ROLE]), "requests"),
)


def forget_old_hashes(now: datetime) -> None:
    """R62: by the setting, 180 days after their system's cut-over."""
    cutover.forget_old_hashes(web.runtime().settings.old_hash_days, now)


def apply_contact_changes(now: datetime) -> None:
    """R57: what had no second proof counts after 72 hours."""
    contact_changes.apply_due(now, web.runtime().secret)


def end_closed_sessions(now: datetime) -> None:
    """D15: a cancelled enterprise's sessions do not come back with it."""
    closing.end_closed(now, web.runtime().hooks.session_ended)


def end_overdue_sessions(now: datetime) -> None:
    """R77: the absolute end is an end like a sign-out: grants end, systems are told."""
    for row in lifecycle.overdue(now):
        lifecycle.end(row, "absolute", now, web.runtime().hooks.session_ended)


def end_dead_keys(now: datetime) -> None:
    """R69: sessions and grants rest on no key that the office, a date or the enterprise's end has taken away."""
    withdrawal.fall_back(web.today(), now, web.runtime().hooks.key_lost)


def warn_of_ending_keys(now: datetime) -> bool:
    """R68: 60, 30 and 7 days before."""
    return ekey_notices.warn(now, web.today())


def ask_for_revocation_lists(now: datetime) -> None:
    """The lists of the CAs of e-keys, before the ones at hand are over."""
    settings = web.runtime().settings
    revocation_cache.ask(settings.ekey_crl_urls, settings.ekey_crl_refresh_seconds, now)


# What the worker does every minute, each in a transaction of its own; ends come before sweeps.
JOBS = (
    end_overdue_sessions,
    end_dead_keys,
    lifecycle.sweep,
    limits.sweep,
    flow.sweep,
    captcha.sweep,
    codes.sweep,
    pending.sweep,
    devices.sweep,
    pushed_requests.sweep,
    jti.sweep,
    oidc_revocation.sweep,
    access_tokens.sweep,
    dynamic_registration.sweep,
    lockout.sweep,
    initial_password.sweep,
    forget_old_hashes,
    apply_contact_changes,
    end_closed_sessions,
    challenges.sweep,
    certificate_road.sweep,
    revocation_cache.sweep,
    warn_of_ending_keys,
    second_person.expire,
    ask_for_revocation_lists,
)


def handlers(adapters: Adapters, settings: Settings, secret: str) -> dict[str, Handler]:
    """Outbox kind → what delivers it."""
    trust, crl_urls = chain.load(settings.ekey_roots_file, settings.ekey_intermediates_file), settings.ekey_crl_urls
    return {
        delivery.CODE: delivery.deliver(adapters, secret),
        account_notices.NOTICE: account_notices.tell(adapters, settings.service_telephone, secret),
        notices.OLD_PASSWORDS_DIED: notices.tell_old_passwords_died(adapters, settings.service_telephone, secret),
        backchannel.LOGOUT_TOKEN: backchannel.deliver(adapters.outbound, settings.issuer, KeyRing(secret), adapters.clock.now),
        account_events.ACCOUNT_EVENT: account_events.deliver(adapters.outbound, settings.issuer, KeyRing(secret), adapters.clock.now),
        letters.LETTER: letters.deliver(adapters, settings.issuer, settings.service_telephone, secret),
        logos.LOGO: logos.fetch(adapters.outbound, adapters.clock.now),
        revocation_cache.CRL: revocation_cache.fetch(adapters.outbound, trust, crl_urls, adapters.clock.now),
    }


def adapters_for(settings: Settings) -> Adapters:
    """The outside world as the settings describe it."""
    if settings.delivery == "console":
        return Adapters(clock=SystemClock(), mail=console.Mail(), sms=console.Sms(), outbound=outbound.Client(settings))
    mail, web_client, clock = smtp.Mail(settings.smtp_url, settings.mail_from), outbound.Client(settings), SystemClock()
    gateway = sms_gateway.Sms(settings.sms_url, settings.sms_secret.get_secret_value(), web_client, clock)
    return Adapters(clock=clock, mail=mail, sms=gateway if settings.sms_url else absent.Sms(), outbound=web_client)


def load_principal() -> web.Principal | None:
    """Request → Principal: the live session behind the cookie, of an account that still may be signed in (epoch, status, enterprise)."""
    settings, now = web.runtime().settings, web.now()
    secret = cookie.read(request, cookie.SESSION, settings.https)
    found = lifecycle.find(secret, now, settings.session_idle_seconds) if secret else None
    if found is None:
        return None
    account = db.session.get(Account, found.account_id)
    if account is None or account.epoch != found.epoch or account.closed is not None:
        return None
    # R77: pages of a person are activity; protocol endpoints decide for themselves
    if web.declared_here() in ("person", "officer") and found.only_system is None and lifecycle.touch_due(found, now):
        with db.transaction():
            lifecycle.touch(found.id, now)
    return web.Principal(account.id, found.id, found.only_system)


def proven_twice(present: web.Principal) -> bool:
    """R90: whether the session rests on a TOTP or an e-key beside the password."""
    found = db.session.get(Session, present.session_id)
    return found is not None and (found.totp_at is not None or found.ekey_at is not None)


HOOKS = web.Hooks(
    load_principal=load_principal,
    signin_path=entry.begin,
    session_ended=oidc_revocation.on_session_end,
    key_lost=oidc_revocation.on_key_lost,
    steps=STEPS,
    officer_roles=lambda present: roles.held(present.account_id),
    proven_twice=proven_twice,
    step_up=entry.step_up,
    acts=ACTS,
    officer_nav=NAV,
    key_for_link=link_views.key_shown,
    own_client=oidc_resource.own_client,
    accounts_joined=account_events.joined,
    accounts_parted=account_events.parted,
    accounts_taken_back=account_events.taken_back,
)


def _number() -> None:
    """Give the request its 问题编号 and tell the audit where its events come from."""
    g.request_id = secrets.token_hex(5)
    current.set(Origin(request_id=g.request_id, network=web.caller_network(), device=device.read(request.user_agent.string)))


def create_app(settings: Settings | None = None, adapters: Adapters | None = None) -> Flask:
    """The whole product as one Flask app; ConfigurationError where the settings are wrong."""
    settings = settings or load()
    secret = master_secret(settings)
    sm2.self_test()
    driver_files.load(settings.ekey_drivers_file, settings.ekey_drivers_folder)
    app = Flask("idp")
    app.extensions["idp"] = web.Runtime(settings, adapters or adapters_for(settings), secret, HOOKS)
    db.init_app(app, settings)
    i18n.init_app(app, settings.https)
    app.before_request(_number)
    floods.init_app(app, settings)
    web.init_app(app, settings, secret)
    frame.init_app(app, settings)
    legacy_frame.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
