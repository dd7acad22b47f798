"""`idp dev conformance`: what the certification suite needs, at once and again."""

import json
from typing import Any

import pytest
from flask import Flask

from idp.db import session
from idp.oidc.models import ClientRecord
from tests.command_line import idp
from tests.fakes import FakeWeb
from tests.oidc.test_client_authentication import basic
from tests.person import Person
from tests.relying_party import ISSUER, body_of, claims_of

BASE = "https://localhost.emobix.co.uk:8443/test/a/licence-idp"


def prepared(platform: Flask, *words: str) -> dict[str, Any]:
    said = idp(platform, "dev", "conformance", "--json", *words)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_the_person_signs_in_without_any_first_run_page_and_has_every_claim(platform: Flask) -> None:
    facts = prepared(platform)
    person, (client, _, second) = Person(platform), facts["clients"]
    asked = {
        "client_id": client["client_id"],
        "redirect_uri": f"{BASE}/callback",
        "response_type": "code",
        "scope": "openid profile email phone enterprise",
        "state": "s",
        "nonce": "n",
    }
    person.page = person.client.get("/oauth2/authorize", query_string=asked, base_url=ISSUER)
    person.open(person.page.location)
    action, fields = person.prepare(**facts["user"])
    answer = person.client.post(action, data=fields)
    while not (answer.location or "").startswith(BASE):
        assert answer.status_code == 303, answer.get_data(as_text=True)
        answer = person.client.get(answer.location)
    code = answer.location.split("code=")[1].split("&")[0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": f"{BASE}/callback"}
    tokens = body_of(platform.test_client().post("/oauth2/token", data=form, headers=basic(*client.values()), base_url=ISSUER))
    stolen = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = platform.test_client().post("/oauth2/token", data=stolen, headers=basic(*second.values()), base_url=ISSUER)
    assert answer.get_json() == {"error": "invalid_grant"}
    told = person.client.get("/oauth2/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}, base_url=ISSUER).get_json()
    assert told["sub"] == claims_of(tokens["id_token"])["sub"]
    wanted = {"name", "preferred_username", "updated_at", "email", "phone_number", "enterprise_code", "uscc", "enterprise_name"}
    assert wanted <= set(told)
    assert (told["email_verified"], told["phone_number_verified"]) == (True, True)


def test_the_second_client_posts_its_secret(platform: Flask) -> None:
    _, client, _ = prepared(platform)["clients"]
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": f"{BASE}/callback", **client}
    assert platform.test_client().post("/oauth2/token", data=form, base_url=ISSUER).json == {"error": "invalid_grant"}


def test_again_means_fresh_secrets_for_the_same_things(platform: Flask) -> None:
    first, second = prepared(platform), prepared(platform, "--suite", "https://suite.example/", "--alias", "x")
    assert first["user"]["username"] == second["user"]["username"]
    assert first["user"]["password"] != second["user"]["password"]
    with platform.app_context():
        rows = session.query(ClientRecord).all()
        assert {row.client_id for row in rows} == {client["client_id"] for client in second["clients"]}
        assert all(len(row.secrets) == 1 for row in rows)
        assert all(uri.startswith("https://suite.example/test/a/x/") for row in rows for uri in row.registration["redirect_uris"])
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://suite.example/test/a/x/callback"}
    for facts, status in ((first, 401), (second, 400)):
        answer = platform.test_client().post("/oauth2/token", data=form, headers=basic(*facts["clients"][0].values()), base_url=ISSUER)
        assert answer.status_code == status


def test_the_table_says_everything_and_what_is_still_missing(platform: Flask, far_servers: FakeWeb) -> None:
    far_servers.refused[f"{BASE}/backchannel_logout"] = "address"
    said = idp(platform, "dev", "conformance")
    for word in ("conformance-basic", "conformance-post", "initial access token", "/.well-known/openid-configuration"):
        assert word in said.out
    for setting in ("IDP_CLIENT_REGISTRATION", "IDP_CAPTCHA", "IDP_OUTBOUND_ALLOW"):
        assert setting in said.out


@pytest.mark.parametrize("suite", ["http://suite.example", "https://suite.example/#x", "javascript:x"])
def test_a_wrong_address_is_named(platform: Flask, suite: str) -> None:
    said = idp(platform, "dev", "conformance", "--suite", suite)
    assert (said.code, "redirect_uris" in said.err) == (1, True)
