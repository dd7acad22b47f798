"""GET, POST /oauth2/userinfo (OIDC Core §5.3): claims about the person, for a Bearer access token that still lives."""

from typing import Any

from flask import Response, request
from sqlalchemy import bindparam, select

from idp import web
from idp.accounts.models import Account
from idp.db import session
from idp.enterprises.models import Enterprise
from idp.entitlements import rules as entitlements
from idp.oidc import claims, scopes
from idp.oidc.endpoints import answers, body
from idp.oidc.endpoints.blueprint import blueprint, moment, provider
from idp.oidc.models import Grant
from idp.oidc.refusal import Refused
from idp.oidc.tokens import ACCESS_TOKEN_TYPE

_FIND = (
    select(Grant.account_id, Grant.client_id, Grant.expires_at, Account.sub)
    .join(Account, Account.id == Grant.account_id)
    .join(Enterprise, Enterprise.id == Account.enterprise_id)
    .where(
        Grant.id == bindparam("grant_id"),
        Grant.ended_at.is_(None),
        Grant.epoch == Account.epoch,
        Account.status == "active",
        Enterprise.status == "active",
    )
)


@blueprint.route("/oauth2/userinfo", methods=["GET", "POST"])
@web.access.protocol
def userinfo() -> Response:
    """The claims that the token's scopes release now, or an error of RFC 6750 §3."""
    shown = _token()
    if isinstance(shown, Refused):
        return _challenge(shown)
    told = _told(shown)
    return _challenge(told) if isinstance(told, Refused) else answers.as_json(told)


def _challenge(no: Refused) -> Response:
    # RFC 6750 §3.1: who shows nothing is told nothing but the scheme
    error = f', error="{no.error}"' if no.error else ""
    body_ = {"error": no.error} if no.error else {}
    return answers.as_json(body_, no.status, **{"WWW-Authenticate": f'Bearer realm="userinfo"{error}'})


def _token() -> str | Refused:
    """The access token from the one place where it was sent: the header, or a POST form (RFC 6750 §2.1, §2.2); never the query."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if "access_token" in request.args:
        return Refused("invalid_request", "query")
    in_form = ""
    if request.method == "POST" and request.mimetype == body.FORM:
        form = body.form()
        if isinstance(form, Refused):
            return form
        in_form = form.get("access_token", "")
    if scheme and in_form:
        return Refused("invalid_request", "two_tokens")
    if in_form:
        return in_form
    return token.strip() if scheme.lower() == "bearer" and token.strip() else Refused("", "no_token", 401)


def _told(token: str) -> dict[str, Any] | Refused:
    at = moment()
    found = at.keys.latest().verified(token, (ACCESS_TOKEN_TYPE,), at.now)
    invalid = Refused("invalid_token", "token", 401)
    if found is None or found.get("iss") != at.issuer or not at.now.timestamp() < found["exp"]:
        return invalid
    audience = found["aud"] if isinstance(found["aud"], list) else [found["aud"]]
    granted = scopes.split(found["scope"])
    if at.issuer not in audience:
        return invalid
    if "openid" not in granted:
        return Refused("insufficient_scope", "openid", 403)
    grant = session.connection().execute(_FIND, {"grant_id": int(found["gid"])}).one_or_none()
    if grant is None or at.now >= grant.expires_at:
        return invalid
    return _claims(grant, granted) or invalid


def _claims(grant: Any, granted: tuple[str, ...]) -> dict[str, Any] | None:
    """None if the client is no longer registered or is disabled."""
    client = provider().clients.find(grant.client_id)
    if client is None:
        return None
    left = [scope for scope in granted if scope in client.registration.scopes]
    if scopes.systems_of(left):
        left = list(scopes.entitled(left, entitlements.open_systems(grant.account_id, web.today())))
    return claims.userinfo(grant.account_id, grant.sub, left, client.registration.system)
