"""The blueprint that all endpoints hang on, and this app's Provider."""

from datetime import timedelta
from typing import cast

from flask import Blueprint, current_app
from flask.blueprints import BlueprintSetupState

from idp import web
from idp.oidc import certificates
from idp.oidc.clients import ClientCache
from idp.oidc.keys import KeyRing
from idp.oidc.provider import Provider
from idp.oidc.tokens import Moment

blueprint = Blueprint("oidc", __name__)


@blueprint.record_once
def _provide(state: BlueprintSetupState) -> None:
    held: web.Runtime = state.app.extensions["idp"]
    state.app.extensions["idp_oidc"] = Provider(
        KeyRing(held.secret), ClientCache(held.adapters.outbound), certificates.roots(held.settings.mtls_ca_file)
    )


def provider() -> Provider:
    """The caches of the running app."""
    return cast("Provider", current_app.extensions["idp_oidc"])


def moment() -> Moment:
    """Time, day, issuer, lives and keys of this request."""
    settings = web.runtime().settings
    lives = (settings.access_token_seconds, settings.refresh_token_seconds, settings.session_idle_seconds)
    return Moment(web.now(), web.today(), settings.issuer, provider().keys, *(timedelta(seconds=life) for life in lives))
