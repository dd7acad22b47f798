"""Who a client is, at the endpoints that it calls itself (RFC 6749 §2.3, OIDC Core §9).

Unknown, disabled and wrong are one answer. Each client uses exactly the method it is registered with, and no request two of them.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from idp import opaque_tokens
from idp.oidc import certificates, client_assertions
from idp.oidc.certificates import Connection
from idp.oidc.clients import Client, ClientCache
from idp.oidc.jti import Jti
from idp.oidc.refusal import Refused
from idp.oidc.sender import NOBODY as NOTHING_SHOWN
from idp.oidc.sender import Sender

MAX_HEADER_CHARACTERS = 2048
MAX_SECRET_CHARACTERS = 512
NOBODY = opaque_tokens.digest("no client has this secret")


@dataclass(frozen=True)
class Credentials:
    """What a request shows: the method it stands for, the client it claims, and the secret or assertion."""

    method: str
    client_id: str
    proof: str = ""


@dataclass(frozen=True)
class Authenticated:
    """A proven client, and what it showed beside that its tokens can be bound to.

    `jti` (of the assertion) and `sender.jti` (of the DPoP proof) have still to be spent in the transaction that answers.
    """

    client: Client
    jti: Jti | None = None
    sender: Sender = NOTHING_SHOWN

    @property
    def spends(self) -> bool:
        """Whether answering it uses something up."""
        return self.jti is not None or self.sender.jti is not None


def refused(reason: str, claimed: str | None) -> Refused:
    """The one answer to every failed proof."""
    return Refused("invalid_client", reason, 401, client_id=claimed)


def credentials(header: str | None, form: Mapping[str, str]) -> Credentials | Refused:
    """Read what a request shows; two methods at once are refused (RFC 6749 §2.3)."""
    methods = [name for name in ("client_secret", "client_assertion") if name in form]
    if len(methods) + (header is not None) > 1:
        return Refused("invalid_request", "two_methods")
    if header is not None:
        return _basic(header, form.get("client_id"))
    if "client_assertion" in form or "client_assertion_type" in form:
        return _assertion(form)
    claimed = form.get("client_id", "")
    if not claimed:
        return refused("no_credentials", None)
    return Credentials("client_secret_post", claimed, form["client_secret"]) if "client_secret" in form else Credentials("none", claimed)


def _basic(header: str, claimed: str | None) -> Credentials | Refused:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > MAX_HEADER_CHARACTERS:
        return refused("header", claimed)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        # RFC 6749 §2.3.1: both parts are form-encoded before Basic joins them
        name, secret = (unquote_plus(part, errors="strict") for part in text.split(":", 1))
    except (binascii.Error, ValueError):
        return refused("header", claimed)
    if not name or (claimed is not None and claimed != name):
        return refused("client_id_differs", claimed)
    return Credentials("client_secret_basic", name, secret)


def _assertion(form: Mapping[str, str]) -> Credentials | Refused:
    if form.get("client_assertion_type") != client_assertions.TYPE or "client_assertion" not in form:
        return refused("assertion_type", form.get("client_id"))
    name = client_assertions.claimed_client(form["client_assertion"])
    if not name or form.get("client_id", name) != name:
        return refused("client_id_differs", form.get("client_id"))
    return Credentials("private_key_jwt", name, form["client_assertion"])


def authenticate(
    shown: Credentials, connection: Connection, cache: ClientCache, issuer: str, token_endpoint: str, now: datetime
) -> Authenticated | Refused:
    """Prove the client. `token_endpoint` is a URL that compat clients may name as the audience, whatever they call (OIDC Core §9)."""
    client = cache.find(shown.client_id)
    if client is None:
        # the same work as for a wrong secret
        opaque_tokens.same(opaque_tokens.digest(shown.proof[:MAX_SECRET_CHARACTERS]), NOBODY)
        return refused("unknown", shown.client_id)
    own = client.registration
    certified = own.token_endpoint_auth_method in certificates.METHODS
    # RFC 8705 §2: such a client says its name alone; the certificate of another client's connection is no method
    if shown.method != ("none" if certified else own.token_endpoint_auth_method):
        return refused("method", client.client_id)
    if own.public:
        return Authenticated(client)
    if certified:
        reason = _certificate_fault(client, connection, now)
        return refused(reason, client.client_id) if reason else Authenticated(client)
    if own.has_secret:
        return Authenticated(client) if _has_secret(client, shown.proof, now) else refused("secret", client.client_id)
    audiences = (issuer, token_endpoint) if own.assertion_audience == "compat" else (issuer,)
    jti = client_assertions.judge(shown.proof, client, audiences, now)
    return refused(jti, client.client_id) if isinstance(jti, str) else Authenticated(client, jti)


def _certificate_fault(client: Client, connection: Connection, now: datetime) -> str | None:
    """What is wrong with the client's certificate (for the audit); None if it proves the client."""
    shown = connection.certificate
    if shown is None:
        return "certificate_missing"
    if client.registration.token_endpoint_auth_method == certificates.SELF_SIGNED:
        return None if client.has_certificate(shown.x5t, now) else "certificate_unknown"
    # the name first: it is cheap
    if not certificates.named(shown, client.registration):
        return "certificate_name"
    return None if certificates.issued(shown, connection.roots, now) else "certificate_issuer"


def _has_secret(client: Client, secret: str, now: datetime) -> bool:
    shown = opaque_tokens.digest(secret[:MAX_SECRET_CHARACTERS])
    found = [opaque_tokens.same(shown, each.digest) and (each.expires_at is None or now < each.expires_at) for each in client.secrets]
    return any(found)
