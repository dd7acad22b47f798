"""openid-client, which checks every answer more strictly than most relying parties do."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.interop.driven import Driven, Failed
from tests.interop.served import NAME, SECRET, Platform
from tests.interop.visitor import Arrival, Visitor

pytestmark = pytest.mark.slow

CALLBACK = "http://127.0.0.1:18999/callback"
AFTERWARDS = "http://127.0.0.1:18999/bye"
SCOPE = "openid profile email phone enterprise"


def register(platform: Platform, client: Driven, client_id: str, **members: Any) -> dict[str, Any]:
    """Register with the platform, and let the client discover it."""
    method = members.setdefault("token_endpoint_auth_method", "client_secret_basic")
    if method == "private_key_jwt":
        members["jwks"] = {"keys": [client.ask("make_key")]}
    members = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [AFTERWARDS], "first_party": True, "scope": SCOPE, **members}
    platform.add_client(client_id, **members)
    metadata = {"id_token_signed_response_alg": members.get("id_token_signed_response_alg", "RS256")}
    found: dict[str, Any] = client.ask("discover", issuer=platform.issuer, client_id=client_id, metadata=metadata, method=method, secret=SECRET)
    return found


def authorize(client: Driven, visitor: Visitor, **parameters: str) -> Arrival:
    asked = {"redirect_uri": CALLBACK, "scope": SCOPE, **parameters}
    return visitor.go(client.ask("authorize", parameters=asked), until=CALLBACK)


def tokens(client: Driven, visitor: Visitor, checks: Mapping[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
    arrived = authorize(client, visitor, **parameters)
    answer: dict[str, Any] = client.ask("callback", url=arrived.url, form=arrived.form or None, checks=checks or {})
    return answer


@pytest.mark.spec("OIDC Core", "9")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"])
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_code_flow_of_every_kind_of_client(platform: Platform, client: Driven, visitor: Visitor, method: str, alg: str) -> None:
    register(platform, client, f"kind-{method}-{alg}", token_endpoint_auth_method=method, id_token_signed_response_alg=alg)
    answer = tokens(client, visitor)
    claims = answer["claims"]
    assert claims["iss"] == platform.issuer
    told = client.ask("userinfo", sub=claims["sub"])
    assert told["preferred_username"] == NAME
    assert told["sub"] == claims["sub"]


@pytest.mark.spec("OIDC Form Post", "2")
def test_form_post(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "form-post")
    arrived = authorize(client, visitor, response_mode="form_post")
    assert "?" not in arrived.url
    assert client.ask("callback", url=arrived.url, form=arrived.form)["claims"]["iss"] == platform.issuer
    refused = authorize(client, visitor, response_mode="form_post", prompt="none", max_age="0")
    with pytest.raises(Failed) as caught:
        client.ask("callback", url=refused.url, form=refused.form)
    assert caught.value.error == "login_required"


def test_a_stranger_is_agreed_to(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "stranger", first_party=False)
    tokens(client, visitor)
    assert any(url.endswith("/consent") for url in visitor.seen)


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_max_age_and_prompt(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "ages")
    first = tokens(client, visitor, {"maxAge": 10000}, max_age="10000")["claims"]
    silent = tokens(client, visitor, prompt="none")["claims"]
    assert silent["auth_time"] == first["auth_time"]
    assert len(visitor.seen) == 1
    tokens(client, visitor, {"maxAge": 0}, max_age="0")
    assert any("/signin/" in url for url in visitor.seen)
    tokens(client, visitor, prompt="login")
    assert any("/signin/" in url for url in visitor.seen)


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_comes_back(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "leaver")
    tokens(client, visitor)
    left = visitor.go(client.ask("end_session", parameters={"post_logout_redirect_uri": AFTERWARDS, "state": "s-1"}), until=AFTERWARDS)
    assert left.url == f"{AFTERWARDS}?state=s-1"
    with pytest.raises(Failed) as caught:
        client.ask("userinfo")
    assert caught.value.status == 401
    refused = authorize(client, visitor, prompt="none")
    with pytest.raises(Failed) as caught:
        client.ask("callback", url=refused.url)
    assert caught.value.error == "login_required"


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_keys_change_under_a_running_client(platform: Platform, client: Driven, visitor: Visitor) -> None:
    """The client keeps the JWKS that it fetched before: the key that signs next was in it."""
    register(platform, client, "rotation")
    before = tokens(client, visitor)
    platform.age_keys()
    platform.idp("keys", "rotate")
    after = tokens(client, visitor)
    assert after["header"]["kid"] != before["header"]["kid"]
    for answer in (before, after):
        assert client.ask("userinfo", token=answer["access_token"], sub=answer["claims"]["sub"])


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_a_withdrawn_key_takes_its_tokens_along(platform: Platform, client: Driven, visitor: Visitor) -> None:
    platform.wait_until_published()  # another test may just have changed the keys
    register(platform, client, "withdrawal", id_token_signed_response_alg="ES256")
    before = tokens(client, visitor)
    platform.age_keys()
    platform.idp("keys", "withdraw", before["header"]["kid"])
    with pytest.raises(Failed) as caught:
        client.ask("userinfo", token=before["access_token"])
    assert caught.value.status == 401
    after = tokens(client, visitor)
    assert after["header"]["kid"] != before["header"]["kid"]
    assert client.ask("userinfo", sub=after["claims"]["sub"])


@pytest.mark.spec("RFC 9700", "4.8.2")
def test_a_code_is_worth_nothing_to_another_verifier_and_nothing_twice(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "thief")
    arrived = authorize(client, visitor)
    for checks in ({"pkceCodeVerifier": "x" * 43}, {"pkceCodeVerifier": None}):
        with pytest.raises(Failed) as caught:
            client.ask("callback", url=arrived.url, checks=checks)
        assert caught.value.error == "invalid_grant"
    assert client.ask("callback", url=arrived.url)["access_token"]
    with pytest.raises(Failed) as caught:
        client.ask("callback", url=arrived.url)
    assert caught.value.error == "invalid_grant"
    with pytest.raises(Failed) as caught:
        client.ask("userinfo")
    assert caught.value.status == 401


def test_a_wrong_secret_is_told_as_the_specification_says(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "forgetful")
    client.ask("discover", issuer=platform.issuer, client_id="forgetful", metadata={}, method="client_secret_basic", secret="x" * 40)
    arrived = authorize(client, visitor)
    with pytest.raises(Failed) as caught:
        client.ask("callback", url=arrived.url)
    assert caught.value.status == 401


REFRESHING = ["authorization_code", "refresh_token"]


@pytest.mark.spec("RFC 6749", "6")
@pytest.mark.spec("OIDC Core", "12.2")
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_refresh(platform: Platform, client: Driven, visitor: Visitor, method: str) -> None:
    register(platform, client, f"refresher-{method}", token_endpoint_auth_method=method, grant_types=REFRESHING)
    first = tokens(client, visitor)
    second = client.ask("refresh")
    assert second["claims"]["sub"] == first["claims"]["sub"]
    assert client.ask("userinfo", token=second["access_token"], sub=first["claims"]["sub"])
    # RFC 9700 §4.14: only who cannot prove itself gets another one
    assert ("refresh_token" in second) is (method == "none")
    assert client.ask("refresh", parameters={"scope": "openid"})["scope"] == "openid"
    with pytest.raises(Failed) as caught:
        client.ask("refresh", parameters={"scope": "openid licence:export"})
    assert caught.value.error == "invalid_scope"


@pytest.mark.spec("RFC 7009", "2")
@pytest.mark.spec("RFC 7662", "2")
def test_introspection_and_revocation(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "resource", grant_types=REFRESHING, system="mech_electrical", scope="openid licence:mech_electrical")
    answer = tokens(client, visitor, scope="openid licence:mech_electrical")
    for kind in ("access_token", "refresh_token"):
        assert client.ask("introspect", token=answer[kind])["active"] is True
    client.ask("revoke", token=answer["access_token"], parameters={"token_type_hint": "refresh_token"})
    assert client.ask("introspect", token=answer["access_token"]) == {"active": False}
    client.ask("revoke", token=answer["refresh_token"])
    assert client.ask("introspect", token=answer["refresh_token"]) == {"active": False}
    with pytest.raises(Failed) as caught:
        client.ask("refresh")
    assert caught.value.error == "invalid_grant"
    client.ask("revoke", token="unknown")


@pytest.mark.spec("RFC 6749", "4.4")
def test_a_client_in_its_own_name(platform: Platform, client: Driven) -> None:
    register(platform, client, "machine", grant_types=["authorization_code", "client_credentials"], token_endpoint_auth_method="private_key_jwt")
    answer = client.ask("client_credentials", parameters={"scope": "enterprise"})
    assert answer["scope"] == "enterprise"
    with pytest.raises(Failed) as caught:
        client.ask("userinfo", token=answer["access_token"])
    assert caught.value.status in (401, 403)


@pytest.mark.spec("OIDC Core", "5.3.2")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_signed_userinfo(platform: Platform, client: Driven, visitor: Visitor, alg: str) -> None:
    register(platform, client, f"signed-{alg}", userinfo_signed_response_alg=alg)
    metadata = {"userinfo_signed_response_alg": alg}
    client.ask("discover", issuer=platform.issuer, client_id=f"signed-{alg}", metadata=metadata, method="client_secret_basic", secret=SECRET)
    answer = tokens(client, visitor)
    told = client.ask("userinfo", sub=answer["claims"]["sub"])
    assert told["preferred_username"] == NAME
    assert told["aud"] == f"signed-{alg}"


@pytest.mark.spec("OIDC Core", "8")
def test_pairwise_subjects(platform: Platform, client: Driven, visitor: Visitor) -> None:
    subs, elsewhere = set(), "https://rp.test/callback"  # loopback is no sector
    for kind in ("public", "pairwise"):
        register(platform, client, f"subject-{kind}", subject_type=kind, redirect_uris=[elsewhere])
        arrived = visitor.go(client.ask("authorize", parameters={"redirect_uri": elsewhere, "scope": SCOPE}), until=elsewhere)
        sub = client.ask("callback", url=arrived.url, form=None, checks={})["claims"]["sub"]
        assert client.ask("userinfo", sub=sub)["sub"] == sub
        subs.add(sub)
    assert len(subs) == 2


@pytest.mark.spec("OIDC Core", "5.5")
def test_single_claims(platform: Platform, client: Driven, visitor: Visitor) -> None:
    register(platform, client, "picky")
    asked = {"userinfo": {"preferred_username": {"essential": True}}, "id_token": {"auth_time": {"essential": True}}}
    answer = tokens(client, visitor, scope="openid", claims=json.dumps(asked))
    assert client.ask("userinfo", sub=answer["claims"]["sub"])["preferred_username"] == NAME


@pytest.mark.spec("OIDC Registration", "3.1")
@pytest.mark.spec("RFC 7591", "3")
def test_a_client_registers_itself(platform: Platform, client: Driven, visitor: Visitor) -> None:
    token = json.loads(platform.idp("client", "token", "--uses", "1", "--json"))["initial_access_token"]
    metadata = {"redirect_uris": [CALLBACK], "client_name": "driver", "client_name#en": "Driver", "token_endpoint_auth_method": "client_secret_post"}
    made = client.ask("register", issuer=platform.issuer, metadata=metadata, token=token)
    assert made["client_name#en"] == "Driver"
    answer = tokens(client, visitor)
    assert any(url.endswith("/consent") for url in visitor.seen), "it is a stranger"
    assert client.ask("userinfo", sub=answer["claims"]["sub"])
    with pytest.raises(Failed) as caught:
        client.ask("register", issuer=platform.issuer, metadata=metadata, token=token)
    assert caught.value.status == 401
