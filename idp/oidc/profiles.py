"""Security profiles of clients: what `profile` demands of a registration (FAPI 2.0 Security Profile §5.3, Message Signing §5.3)."""

from typing import Any

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
FAPI = ("fapi2-security", "fapi2-message-signing")
# FAPI 2.0 Security Profile §5.4.1: no RS256
ALGORITHMS = ("PS256", "ES256", "EdDSA", "Ed25519")
_METHODS = ("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth")
_DEFAULTS = dict.fromkeys(("id_token_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg"), "ES256")
_SIGNED = (
    *("token_endpoint_auth_signing_alg", "request_object_signing_alg", "id_token_signed_response_alg", "userinfo_signed_response_alg"),
    *("authorization_signed_response_alg", "introspection_signed_response_alg"),
)


def with_defaults(members: dict[str, Any]) -> dict[str, Any]:
    """The members, with those filled in whose default of the specification a FAPI client may not have."""
    return {**_DEFAULTS, **members} if members.get("profile") in FAPI else members


def fault(own: Any) -> str | None:
    """Why this registration does not meet its profile, or demands what excludes each other; None if there is no such thing."""
    # FAPI 2.0 Security Profile §5.3.2.1: an answer comes back to who asked; and a device's request is neither pushed nor signed
    for name, demanded in (
        (own.profile, own.profile in FAPI),
        ("require_pushed_authorization_requests", own.require_pushed_authorization_requests),
        ("require_signed_request_object", own.require_signed_request_object),
    ):
        if demanded and DEVICE_CODE in own.grant_types:
            return f"{name} does not go with {DEVICE_CODE}"
    if own.tls_client_certificate_bound_access_tokens and own.dpop_bound_access_tokens:
        return "dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens exclude each other"
    if own.profile not in FAPI:
        return None
    if own.token_endpoint_auth_method not in _METHODS:
        return f"{own.profile} needs token_endpoint_auth_method to be one of {', '.join(_METHODS)}"
    if not own.dpop_bound_access_tokens and not own.tls_client_certificate_bound_access_tokens:
        return f"{own.profile} needs dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens"
    if not own.require_pkce or own.assertion_audience != "issuer":
        return f"{own.profile} leaves no choice about require_pkce and assertion_audience"
    weak = [name for name in _SIGNED if getattr(own, name) not in (*ALGORITHMS, None)]
    return f"{weak[0]}: {own.profile} allows {', '.join(ALGORITHMS)}" if weak else None
