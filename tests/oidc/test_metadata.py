"""Discovery lists exactly what works."""

import json
from typing import Any

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata
from flask import Flask

from idp.oidc.provider import grants
from tests import people
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of


@pytest.fixture
def document(platform: Flask) -> dict[str, Any]:
    return body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))


@pytest.mark.spec("OIDC Discovery", "3")
def test_the_document_is_valid_and_the_same_at_both_addresses(platform: Flask, document: dict[str, Any]) -> None:
    OpenIDProviderMetadata(document).validate()
    other = platform.test_client().get("/.well-known/oauth-authorization-server", base_url=ISSUER)
    assert other.json == document
    assert document["issuer"] == ISSUER
    assert document["grant_types_supported"] == list(grants(device=False))
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert document["request_uri_parameter_supported"] is False
    assert "licence:mech_electrical" in document["scopes_supported"]


def test_every_endpoint_it_names_is_there(platform: Flask, document: dict[str, Any]) -> None:
    rules = {rule.rule for rule in platform.url_map.iter_rules()}
    named = {value.removeprefix(ISSUER) for name, value in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert named <= rules


@pytest.mark.spec("OIDC Discovery", "4.3")
def test_no_header_changes_the_issuer(platform: Flask) -> None:
    client = platform.test_client()
    poison = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example", "X-Forwarded-Prefix": "/x"}
    answer = client.get("/.well-known/openid-configuration", headers=poison, base_url=ISSUER)
    assert "evil" not in json.dumps(answer.json)
    assert client.get("/.well-known/openid-configuration", base_url="http://evil.example").status_code == 400


def test_every_auth_method_and_algorithm_it_lists_can_be_registered(platform: Flask, document: dict[str, Any], clock: FakeClock) -> None:
    from tests.oidc.test_client_authentication import KEY

    jwks = {"keys": [KEY.as_dict(private=False)]}
    for number, method in enumerate(document["token_endpoint_auth_methods_supported"]):
        secret = "s-0123456789-abcdefghijklmnopqrstuv" if method.startswith("client_secret") else None
        members = {"jwks": jwks} if method == "private_key_jwt" else {}
        RelyingParty(platform, clock, f"rp{number}", secret, token_endpoint_auth_method=method, **members)
    for number, alg in enumerate(document["id_token_signing_alg_values_supported"]):
        RelyingParty(platform, clock, f"alg{number}", id_token_signed_response_alg=alg)


def test_every_prompt_and_mode_it_lists_is_understood(rp: RelyingParty, beijing: Somebody, document: dict[str, Any]) -> None:
    for prompt in document["prompt_values_supported"]:
        assert "error=" not in (rp.authorize(rp.browser(beijing.id), prompt=prompt).location or "")
    for mode in document["response_modes_supported"]:
        response = rp.authorize(rp.browser(beijing.id), response_mode=mode)
        name = "response" if "jwt" in mode else "code"
        assert f'name="{name}"' in response.get_data(as_text=True) if mode.startswith("form_post") else name in answer_of(response)


def test_every_claim_it_lists_is_told(platform: Flask, document: dict[str, Any], clock: FakeClock, beijing: Somebody) -> None:
    from idp.accounts.models import Account
    from idp.db import session, transaction
    from tests.relying_party import claims_of

    with platform.app_context(), transaction():
        people.firm(session.get_one(Account, beijing.id)).uscc = "91440000987654321X"
    scope = "openid profile email phone enterprise licence:export"
    rp = RelyingParty(platform, clock, system="export", scope=scope, backchannel_logout_uri="https://rp.example/bye")
    browser = rp.browser()
    rp.sign_in(browser, beijing.id, only_system="export", entry_remaining=9)
    answer = rp.tokens(browser)
    assert set(claims_of(answer["id_token"])) | set(body_of(rp.userinfo(answer["access_token"]))) == set(document["claims_supported"])
