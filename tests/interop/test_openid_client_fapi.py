"""openid-client in its shapes of FAPI 2.0: pushed and signed requests, JARM, tokens bound to a DPoP key."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.interop.driven import Driven, Failed
from tests.interop.served import NAME, Platform
from tests.interop.visitor import Arrival, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.spec("FAPI 2.0 Security Profile", "5.3")]

CALLBACK = "http://127.0.0.1:18999/callback"
SCOPE = "openid profile email phone enterprise"
# what a client is whose tokens are bound to a DPoP key, and what its request is like
SECURITY: dict[str, Any] = {"profile": "fapi2-security", "dpop_bound_access_tokens": True}
SIGNED: dict[str, Any] = {"profile": "fapi2-message-signing", "dpop_bound_access_tokens": True}


def register(platform: Platform, client: Driven, client_id: str, alg: str = "ES256", **members: Any) -> None:
    """Register a client that proves itself by a key with the platform, and let the client discover it."""
    members = {"redirect_uris": [CALLBACK], "first_party": True, "scope": SCOPE, "token_endpoint_auth_method": "private_key_jwt", **members}
    members["jwks"] = {"keys": [client.ask("make_key", alg=alg)]}
    platform.add_client(client_id, **members)
    metadata = {
        "id_token_signed_response_alg": "ES256",
        "authorization_signed_response_alg": "ES256",
        "introspection_signed_response_alg": "ES256",
    }
    jarm = members["profile"] == "fapi2-message-signing"
    client.ask("discover", issuer=platform.issuer, client_id=client_id, metadata=metadata, method="private_key_jwt", jarm=jarm)
    if members.get("dpop_bound_access_tokens"):
        client.ask("prove", alg=alg)


def authorize(client: Driven, visitor: Visitor, *, signed: bool = False, **parameters: str) -> Arrival:
    asked = {"redirect_uri": CALLBACK, "scope": SCOPE, **parameters}
    url = client.ask("authorize", parameters=asked, pushed=True, signed=signed)
    assert "request_uri=urn%3Aietf" in url
    assert "redirect_uri=" not in url
    return visitor.go(url, until=CALLBACK)


def tokens(client: Driven, visitor: Visitor, *, signed: bool = False, **parameters: str) -> dict[str, Any]:
    arrived = authorize(client, visitor, signed=signed, **parameters)
    answer: dict[str, Any] = client.ask("callback", url=arrived.url, form=arrived.form or None)
    return answer


def good(platform: Platform, client: Driven, answer: Mapping[str, Any], token_type: str = "dpop") -> None:
    """The tokens are what they should be, and userinfo takes them."""
    claims = answer["claims"]
    assert (claims["iss"], answer["header"]["alg"], answer["token_type"].lower()) == (platform.issuer, "ES256", token_type)
    told = client.ask("userinfo", token=answer["access_token"], sub=claims["sub"])
    assert told["preferred_username"] == NAME


def refused(client: Driven, verb: str, **given: Any) -> Failed:
    with pytest.raises(Failed) as caught:
        client.ask(verb, **given)
    return caught.value


@pytest.mark.spec("RFC 9126", "2")
@pytest.mark.spec("RFC 9449", "8")
@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
def test_pushed_requests_and_bound_tokens(platform: Platform, client: Driven, visitor: Visitor, alg: str) -> None:
    """The library learns the nonce from the first refusal, and sends each request again."""
    register(platform, client, f"security-{alg}", alg, **SECURITY)
    good(platform, client, tokens(client, visitor))
    assert any(url.endswith("/password") for url in visitor.seen)
    silent = tokens(client, visitor, prompt="none")
    good(platform, client, silent)
    assert len(visitor.seen) == 1


@pytest.mark.spec("RFC 9449", "5")
def test_refresh_with_the_key_and_with_a_new_one(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "refresher", grant_types=["authorization_code", "refresh_token"], **SECURITY)
    first = tokens(client, visitor)
    second = client.ask("refresh")
    # FAPI 2.0 Security Profile §5.3.2.1: no rotation
    assert "refresh_token" not in second
    good(platform, client, second)
    # of a confidential client the refresh token is bound to the client
    client.ask("prove")
    third = client.ask("refresh")
    good(platform, client, third)
    for old in (first, second):
        assert refused(client, "userinfo", token=old["access_token"]).status == 401


@pytest.mark.spec("RFC 9449", "10")
def test_a_code_is_bound_to_the_key_that_pushed(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "binder", **SECURITY)
    arrived = authorize(client, visitor)
    client.ask("prove")
    assert refused(client, "callback", url=arrived.url).error in ("invalid_grant", "invalid_dpop_proof")


@pytest.mark.spec("JARM", "2")
@pytest.mark.spec("RFC 9101", "5")
@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3")
@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
def test_signed_requests_and_signed_answers(platform: Platform, client: Driven, visitor: Visitor, alg: str) -> None:
    register(platform, client, f"signing-{alg}", alg, **SIGNED)
    good(platform, client, tokens(client, visitor, signed=True))
    assert any(url.endswith("/password") for url in visitor.seen)
    good(platform, client, tokens(client, visitor, signed=True, prompt="none"))
    assert len(visitor.seen) == 1


@pytest.mark.spec("JARM", "2.3.4")
def test_who_must_sign_may_not_leave_it_out(platform: Platform, client: Driven) -> None:
    register(platform, client, "unsigned", **SIGNED)
    asked = {"redirect_uri": CALLBACK, "scope": SCOPE}
    assert refused(client, "authorize", parameters=asked, pushed=True).error in ("invalid_request", "invalid_request_object")


@pytest.mark.spec("JARM", "2.1")
@pytest.mark.parametrize("shape", ["security", "signing"])
def test_a_person_who_says_no_is_told_inside_the_answer(platform: Platform, client: Driven, visitor: Visitor, shape: str) -> None:
    """On the page of the sign-in, on the page of consent, and without any page."""
    signed = shape == "signing"
    register(platform, client, f"refused-{shape}", first_party=False, **(SIGNED if signed else SECURITY))
    arrived = authorize(client, visitor, signed=signed, prompt="none")
    assert refused(client, "callback", url=arrived.url).error == "login_required"
    visitor.refuses = True
    arrived = authorize(client, visitor, signed=signed)
    assert ("error=" in arrived.url) is not signed
    assert refused(client, "callback", url=arrived.url).error == "access_denied"
    visitor.refuses = False
    good(platform, client, tokens(client, visitor, signed=signed))
    visitor.refuses = True
    arrived = authorize(client, visitor, signed=signed, prompt="consent")
    assert visitor.seen[-1].endswith("/consent")
    assert refused(client, "callback", url=arrived.url).error == "access_denied"


@pytest.mark.spec("RFC 9126", "4")
def test_a_pushed_request_is_answered_once(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "once", **SECURITY)
    url = client.ask("authorize", parameters={"redirect_uri": CALLBACK, "scope": SCOPE}, pushed=True)
    assert "code=" in visitor.go(url, until=CALLBACK).url
    again = visitor.go(url, until=CALLBACK)
    assert "code=" not in again.url


def test_without_a_pushed_request_nothing_begins(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "front", **SECURITY)
    arrived = visitor.go(client.ask("authorize", parameters={"redirect_uri": CALLBACK, "scope": SCOPE}), until=CALLBACK)
    assert "code=" not in arrived.url
    assert not any("/signin/" in url for url in visitor.seen)
