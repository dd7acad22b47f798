"""All wiring on one screen: create_app() and the tables it reads. The only module that knows every feature."""

from flask import Flask, g, request

from idp import db, i18n, web
from idp.accounts.models import Account
from idp.adapters import Adapters, SystemClock
from idp.audit.origin import Origin, current
from idp.messages import console
from idp.sessions import cookie, lifecycle
from idp.settings import Settings, load, master_secret

BLUEPRINTS: tuple[str, ...] = ()


def adapters_for(_settings: Settings) -> Adapters:
    """The outside world as the settings describe it."""
    return Adapters(clock=SystemClock(), mail=console.Mail(), sms=console.Sms())


def load_principal() -> web.Principal | None:
    """Request → Principal: the live session behind the cookie, of an account that still may be signed in (epoch, status, enterprise)."""
    runtime = web.runtime()
    secret = cookie.read(request, cookie.SESSION, runtime.settings.https)
    found = lifecycle.find(secret, web.now(), runtime.settings.session_idle_seconds) if secret else None
    if found is None:
        return None
    account = db.session.get(Account, found.account_id)
    if account is None or account.epoch != found.epoch or account.status != "active" or account.enterprise.status != "active":
        return None
    return web.Principal(account.id, found.id)


def _origin() -> None:
    current.set(Origin(request_id=g.request_id, network=web.caller_network()))


def create_app(settings: Settings | None = None, adapters: Adapters | None = None) -> Flask:
    """The whole product as one Flask app; ConfigurationError where the settings are wrong."""
    settings = settings or load()
    secret = master_secret(settings)
    app = Flask("idp")
    app.extensions["idp"] = web.Runtime(settings, adapters or adapters_for(settings), secret)
    app.extensions["idp_principal"] = load_principal
    db.init_app(app, settings)
    i18n.init_app(app, settings.https)
    web.init_app(app, settings, secret)
    app.before_request(_origin)
    return app
