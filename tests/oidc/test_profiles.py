"""What a profile demands of a registration (FAPI 2.0 Security Profile §5.3, §5.4), member by member."""

from typing import Any

import pytest

from idp.errors import BadInput
from idp.oidc.profiles import DEVICE_CODE
from idp.oidc.registration import judge

GOOD: dict[str, Any] = {
    "client_id": "x",
    "redirect_uris": ["https://rp.example/cb"],
    "jwks_uri": "https://rp.example/jwks",
    "profile": "fapi2-security",
    "token_endpoint_auth_method": "private_key_jwt",
    "dpop_bound_access_tokens": True,
}
SIGNED = (
    *("token_endpoint_auth_signing_alg", "request_object_signing_alg", "id_token_signed_response_alg"),
    *("userinfo_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg"),
)


@pytest.mark.spec("FAPI 2.0 Security Profile", "5.4.1")
@pytest.mark.parametrize("member", SIGNED)
def test_rs256_signs_nothing(member: str) -> None:
    assert getattr(judge({**GOOD, member: "ES256"}), member) == "ES256"
    assert getattr(judge({**GOOD, "profile": "oidc", member: "RS256"}), member) == "RS256"
    with pytest.raises(BadInput, match=member):
        judge({**GOOD, member: "RS256"})


@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.2.1")
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"require_pkce": False}, "require_pkce"),
        ({"assertion_audience": "endpoint"}, "assertion_audience"),
        ({"dpop_bound_access_tokens": False}, "needs dpop_bound_access_tokens or"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method"),
    ],
)
@pytest.mark.parametrize("profile", ["fapi2-security", "fapi2-message-signing"])
def test_nothing_of_it_can_be_left_out(profile: str, changes: dict[str, Any], word: str) -> None:
    assert judge({**GOOD, "profile": profile}).fapi
    with pytest.raises(BadInput, match=word):
        judge({**GOOD, "profile": profile, **changes})


@pytest.mark.parametrize("profile", ["oidc", "fapi2-security"])
def test_tokens_are_bound_to_one_thing(profile: str) -> None:
    with pytest.raises(BadInput, match="exclude each other"):
        judge({**GOOD, "profile": profile, "tls_client_certificate_bound_access_tokens": True})


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"require_pushed_authorization_requests": True}, "require_pushed_authorization_requests"),
        ({"require_signed_request_object": True}, "require_signed_request_object"),
        ({"profile": "fapi2-security"}, "fapi2-security"),
        ({"profile": "fapi2-message-signing"}, "fapi2-message-signing"),
    ],
)
@pytest.mark.parametrize("grants", [[DEVICE_CODE], ["authorization_code", DEVICE_CODE, "refresh_token"]])
def test_a_device_neither_pushes_nor_signs(grants: list[str], members: dict[str, Any], word: str) -> None:
    device = {**GOOD, "profile": "oidc", "grant_types": grants}
    assert judge(device).grant_types == tuple(grants)
    assert judge({**device, **members, "grant_types": ["authorization_code"]})
    with pytest.raises(BadInput, match=f"{word} does not go with {DEVICE_CODE}"):
        judge({**device, **members})
