"""What a process keeps of the OpenID Provider, and the tables of what it speaks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.x509.verification import Store

from idp.oidc import tokens
from idp.oidc.client_authentication import Authenticated
from idp.oidc.clients import ClientCache
from idp.oidc.grants import authorization_code, client_credentials, device_code, refresh_token
from idp.oidc.keys import KeyRing
from idp.oidc.refusal import Refused
from idp.oidc.registration import DEVICE_CODE

Planner = Callable[[Mapping[str, str], Authenticated, tokens.Moment], tokens.Plan | Refused]

# grant_type → how it gets from a form to a plan
GRANTS: dict[str, Planner] = {
    "authorization_code": authorization_code.plan,
    "refresh_token": refresh_token.plan,
    "client_credentials": client_credentials.plan,
    DEVICE_CODE: device_code.plan,
}


def grants(*, device: bool) -> dict[str, Planner]:
    """What of GRANTS is switched on."""
    return {name: planner for name, planner in GRANTS.items() if device or name != DEVICE_CODE}


@dataclass
class Prebuilt:
    """Public bytes that are built again every few seconds at most, with their ETag."""

    built_at: float = 0.0
    body: bytes = b""
    etag: str = ""


@dataclass
class Provider:
    """The caches of one app: keys and clients by version, the CAs of clients' certificates, the public documents as bytes."""

    keys: KeyRing
    clients: ClientCache = field(default_factory=ClientCache)
    roots: Store | None = None
    documents: dict[str, Prebuilt] = field(default_factory=dict)
