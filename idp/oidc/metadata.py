"""The discovery document (OIDC Discovery §3, RFC 8414): exactly what works, and every list whose absence would mean a default."""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from idp.oidc import acr, checks, claims, profiles, scopes
from idp.oidc.authorization_request import RESPONSE_MODES
from idp.oidc.keys import ALGORITHMS
from idp.oidc.registration import ASSERTION_ALGORITHMS, DEVICE_CODE

AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
ENDPOINTS = {
    "authorization_endpoint": "/oauth2/authorize",
    "pushed_authorization_request_endpoint": "/oauth2/par",
    "token_endpoint": "/oauth2/token",
    "userinfo_endpoint": "/oauth2/userinfo",
    "introspection_endpoint": "/oauth2/introspect",
    "revocation_endpoint": "/oauth2/revoke",
    "jwks_uri": "/oauth2/jwks",
    "end_session_endpoint": "/oauth2/logout",
}
REGISTRATION_PATH = "/oauth2/register"
DEVICE_PATH = "/oauth2/device"


# what clients call themselves, and so may call with a certificate (RFC 8705 §5); authorize is for browsers
ALIASED = (
    *("token_endpoint", "pushed_authorization_request_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"),
    "device_authorization_endpoint",
)
ALIASED_PATHS = frozenset({**ENDPOINTS, "device_authorization_endpoint": DEVICE_PATH}[name] for name in ALIASED)


def with_certificates(told: dict[str, Any], methods: Sequence[str], base_url: str) -> dict[str, Any]:
    """The document with mutual TLS (RFC 8705): `methods` prove clients by certificates; `base_url` is their own host, "" = there is none."""
    lists = {name: [*told[name], *methods] for name in told if name.endswith("_endpoint_auth_methods_supported")}
    aliases = {name: base_url + urlsplit(told[name]).path for name in ALIASED if name in told}
    bound = {"tls_client_certificate_bound_access_tokens": True}
    return {**told, **lists, **bound, **({"mtls_endpoint_aliases": aliases} if base_url else {})}


def document(issuer: str, grants: Collection[str], systems: Collection[str], *, registration: bool, ekey: bool = False) -> dict[str, Any]:
    """The metadata of this issuer; `systems` are the codes of the business systems.

    `registration`: clients may register themselves; `ekey`: e-keys are accepted.
    """
    return {
        "issuer": issuer,
        **{name: issuer + path for name, path in ENDPOINTS.items()},
        **({"registration_endpoint": issuer + REGISTRATION_PATH} if registration else {}),
        **({"device_authorization_endpoint": issuer + DEVICE_PATH} if DEVICE_CODE in grants else {}),
        "scopes_supported": [*scopes.STANDARD, *(scopes.LICENCE + system for system in systems)],
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(grants),
        "subject_types_supported": ["public", "pairwise"],
        "acr_values_supported": acr.offered(ekey=ekey),
        "id_token_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [method for method in AUTH_METHODS if method != "none"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "introspection_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(profiles.ALGORITHMS),
        "prompt_values_supported": sorted(checks.PROMPTS),
        "claim_types_supported": ["normal"],
        "claims_supported": list(claims.SUPPORTED),
        "claims_parameter_supported": True,
        "userinfo_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "authorization_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "require_pushed_authorization_requests": False,
        "request_parameter_supported": True,
        "request_object_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        # left out it would mean true
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "ui_locales_supported": ["zh-CN", "en"],
    }
