"""/oauth2/register (RFC 7591) and /oauth2/register/<client_id> (RFC 7592): clients that register themselves, where the operator allows it.

A registration access token is not rotated: a lost answer would lock a client out of its own registration. It ends with its client,
and by an operator who switches the client off or gives it another secret; `idp client token --for` renews it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, request

from idp import opaque_tokens, web
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import certificates, client_addresses, client_lifecycle, client_names, clients, dynamic_registration
from idp.oidc.dynamic_registration import OWN, POLICIES, Rejected, Wanted
from idp.oidc.endpoints import answers, body
from idp.oidc.endpoints.blueprint import blueprint
from idp.oidc.metadata import REGISTRATION_PATH as PATH
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge
from idp.oidc.scopes import LICENCE, split

MAX_BODY_BYTES = 64 * 1024
MAX_TOKEN_CHARACTERS = 200


@dataclass(frozen=True)
class Shown:
    """What an answer tells only once: a secret that was just made; the registration access token is the caller's own."""

    access_token: str
    secret: str | None = None


def _bearer() -> str:
    """The token in the header, "" if there is none; 404 while registration is switched off."""
    if web.runtime().settings.client_registration == "off":
        abort(404)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(token) <= MAX_TOKEN_CHARACTERS else ""


def _device() -> bool:
    return web.runtime().settings.device_grant == "on"


def _unknown_token() -> Response:
    # RFC 6750 §3; the same for no token, a wrong one, another client's, a used up one
    return answers.as_json({"error": "invalid_token"}, 401, **{"WWW-Authenticate": 'Bearer realm="register", error="invalid_token"'})


def _rejection(no: Rejected) -> Response:
    if no.retry_after is not None:
        # RFC 6585 §4
        return answers.as_json({"error": no.error, "error_description": no.description}, 429, **{"Retry-After": str(no.retry_after)})
    return answers.as_json({"error": no.error, "error_description": no.description}, 400)


def _sent() -> dict[str, Any] | Rejected:
    too_long = Rejected("invalid_client_metadata", f"the body must be application/json of at most {MAX_BODY_BYTES} bytes")
    sent = body.raw(MAX_BODY_BYTES) if request.mimetype == "application/json" else None
    return dynamic_registration.read(sent) if sent is not None else too_long


def _reachable(wanted: Wanted | Rejected, token: str) -> Wanted | Rejected:
    """The metadata again, if it poses as nobody, relies on nothing that is switched off, and every address in it that we would call may be called.

    `token`: by whose leave; it, and the caller's network, may have so many names looked up and no more, whether anything comes of it or not.
    """
    if isinstance(wanted, Rejected):
        return wanted
    missing = certificates.not_offered(wanted.registration, web.runtime().settings) or client_names.fault(wanted.registration)
    if missing is not None:
        return Rejected("invalid_client_metadata", missing)
    session.rollback()  # no connection is held while other servers take their time
    if client_addresses.called(wanted.registration):
        with transaction():
            late = dynamic_registration.too_often(token, web.caller_network(), web.now())
        if late is not None:
            return late
    try:
        client_addresses.judge(wanted.registration, web.runtime().adapters.outbound)
    except BadInput as error:
        return dynamic_registration.rejected(error)
    return wanted


def _told(row: ClientRecord, shown: Shown, status: int = 200) -> Response:
    registration = judge({**row.registration, "client_id": row.client_id})
    told = {
        **dynamic_registration.told(registration, row.unknown),
        "client_id_issued_at": int(row.created_at.timestamp()),
        "registration_access_token": shown.access_token,
        "registration_client_uri": f"{web.runtime().settings.issuer}{PATH}/{row.client_id}",
    }
    # 0: it does not expire (RFC 7591 §3.2.1)
    secret = {"client_secret": shown.secret, "client_secret_expires_at": 0} if shown.secret else {}
    return answers.as_json(told | secret, status)


@blueprint.post(PATH)
@web.access.protocol
def register() -> Response:
    """A new client, by an initial access token; 201 with all that was registered, its secret and its own token shown once."""
    leave = _bearer()
    policy = dynamic_registration.policy_of(leave, web.now()) if leave else None
    # made before the platform went into production
    if policy is None or not dynamic_registration.offered(policy, production=web.runtime().settings.production):
        return _unknown_token()
    sent, client_id = _sent(), f"c{opaque_tokens.make()}"
    wanted = (
        sent if isinstance(sent, Rejected) else _reachable(dynamic_registration.judged(sent, client_id, POLICIES[policy], device=_device()), leave)
    )
    if isinstance(wanted, Rejected):
        return _rejection(wanted)
    secret = clients.make_secret() if wanted.registration.has_secret else None
    shown = Shown(opaque_tokens.make(), secret)
    with transaction():
        if not dynamic_registration.use(leave, web.now()):
            return _unknown_token()
        row = clients.add(wanted.registration, secret, web.now())
        row.unknown, row.access_digest = wanted.unknown, opaque_tokens.digest(shown.access_token)
    return _told(row, shown, 201)


@blueprint.get(f"{PATH}/<client_id>")
@web.access.protocol
def registered(client_id: str) -> Response:
    """What is registered (RFC 7592 §2.1); the secret is not shown again."""
    token = _bearer()
    row = dynamic_registration.client_of(client_id, token)
    return _told(row, Shown(token)) if row is not None else _unknown_token()


@blueprint.put(f"{PATH}/<client_id>")
@web.access.protocol
def change(client_id: str) -> Response:
    """The whole metadata anew (RFC 7592 §2.2); what is left out goes back to its default. What an operator gave stays."""
    token = _bearer()
    row = dynamic_registration.client_of(client_id, token)
    if row is None:
        return _unknown_token()
    sent = _sent()
    if isinstance(sent, Rejected):
        return _rejection(sent)
    wanted = _reachable(_replacement(row, sent), token)
    if isinstance(wanted, Rejected):
        return _rejection(wanted)
    try:
        with transaction():
            return _changed(client_id, token, sent)
    except BadInput as error:
        return _rejection(dynamic_registration.rejected(error))


def _replacement(row: ClientRecord, sent: Mapping[str, Any]) -> Wanted | Rejected:
    # RFC 7592 §2.2: the client says which one it is, and of its secret only the one it has
    if sent.get("client_id") != row.client_id:
        return Rejected("invalid_client_metadata", "client_id: must be this client's own")
    secret = sent.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and opaque_tokens.digest(secret) in {each["digest"] for each in row.secrets}):
        return Rejected("invalid_client_metadata", "client_secret: not this client's own")
    own = {name: value for name, value in row.registration.items() if name in OWN}
    licences = [scope for scope in split(row.registration.get("scope", "")) if scope.startswith(LICENCE)]
    return dynamic_registration.judged(sent, row.client_id, own, licences, device=_device())


def _changed(client_id: str, token: str, sent: Mapping[str, Any]) -> Response:
    """Inside the transaction: all is looked at again, for while other servers were asked an operator may have acted."""
    row = dynamic_registration.client_of(client_id, token, hold=True)
    if row is None:
        return _unknown_token()
    # every address in it is the client's own word, and was judged; what an operator gives is as it is now
    wanted = _replacement(row, sent)
    if isinstance(wanted, Rejected):
        return _rejection(wanted)
    secret = clients.make_secret() if wanted.registration.has_secret and not row.secrets else None
    clients.update(row, wanted.registration, secret, web.now())
    row.unknown = wanted.unknown
    return _told(row, Shown(token, secret))


@blueprint.delete(f"{PATH}/<client_id>")
@web.access.protocol
def unregister(client_id: str) -> Response:
    """Gone (RFC 7592 §2.3), with everything it was given."""
    token = _bearer()
    with transaction():
        if dynamic_registration.client_of(client_id, token, hold=True) is None:
            return _unknown_token()
        client_lifecycle.remove(client_id, web.now())
    return Response(status=204, headers={"Cache-Control": "no-store"})
