"""CORS in one place: public documents for everybody, token, userinfo, revoke and PAR for registered origins, authorize for nobody."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.command_line import idp
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty

MINE, FOREIGN = {"Origin": "https://rp.example"}, {"Origin": "https://evil.example"}
CALLED = ("/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke", "/oauth2/par")


def allowed(answer: TestResponse) -> str | None:
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth2/jwks"])
def test_public_documents_are_for_everybody(platform: Flask, path: str) -> None:
    for headers in ({}, MINE, FOREIGN):
        assert allowed(platform.test_client().get(path, headers=headers, base_url=ISSUER)) == "*"


@pytest.mark.spec("Fetch", "CORS")
@pytest.mark.parametrize("path", CALLED)
def test_a_registered_origin_reads_refusals_too(rp: RelyingParty, platform: Flask, path: str) -> None:
    answer = platform.test_client().post(path, headers=MINE, base_url=ISSUER)
    assert 400 <= answer.status_code < 500
    assert allowed(answer) == "https://rp.example"
    assert answer.headers["Access-Control-Expose-Headers"] == "DPoP-Nonce, WWW-Authenticate"
    assert "Origin" in answer.headers["Vary"]
    for origin in (
        "https://evil.example",
        "http://rp.example",
        "https://rp.example:444",
        "https://rp.example/",
        "null",
        "https://RP.example",
        "é",
        "x" * 999,
    ):
        answer = platform.test_client().post(path, headers={"Origin": origin}, base_url=ISSUER)
        assert allowed(answer) is None
        assert "Origin" in answer.headers["Vary"]
    assert allowed(platform.test_client().post(path, base_url=ISSUER)) is None


@pytest.mark.parametrize("path", CALLED)
def test_preflight(rp: RelyingParty, platform: Flask, path: str) -> None:
    asked = {**MINE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, dpop"}
    answer = platform.test_client().options(path, headers=asked, base_url=ISSUER)
    assert answer.status_code == 200
    assert allowed(answer) == "https://rp.example"
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, DPoP, Content-Type"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    answer = platform.test_client().options(path, headers={**asked, **FOREIGN}, base_url=ISSUER)
    assert allowed(answer) is None
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_userinfo_is_read_by_the_clients_page(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    answer = platform.test_client().get("/oauth2/userinfo", headers={**MINE, "Authorization": f"Bearer {token}"}, base_url=ISSUER)
    assert (answer.status_code, allowed(answer)) == (200, "https://rp.example")


def test_authorize_and_pages_are_for_nobody(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    for path in ("/oauth2/authorize", "/oauth2/logout", "/", "/help", "/oauth2/register", "/oauth2/introspect"):
        for method in ("GET", "POST", "OPTIONS"):
            assert allowed(browser.open(path, method=method, headers=MINE, base_url=ISSUER)) is None, (method, path)
    answer = browser.get("/oauth2/authorize", query_string=rp.request(), headers=MINE, base_url=ISSUER)
    assert allowed(answer) is None


def test_origins_follow_the_client(platform: Flask, clock: FakeClock) -> None:
    def seen(origin: str) -> bool:
        return allowed(platform.test_client().post("/oauth2/token", headers={"Origin": origin}, base_url=ISSUER)) is not None

    RelyingParty(platform, clock, redirect_uris=["https://spa.example:8443/cb", "http://127.0.0.1:5000/cb"])
    native = ["com.example.app:/cb", "http://127.0.0.1/cb"]
    RelyingParty(platform, clock, "native", None, token_endpoint_auth_method="none", application_type="native", redirect_uris=native)
    assert seen("https://spa.example:8443")
    assert seen("http://127.0.0.1:5000")
    assert not seen("https://spa.example")
    assert not seen("com.example.app:")
    idp(platform, "client", "disable", "rp")
    assert not seen("https://spa.example:8443")
    idp(platform, "client", "enable", "rp")
    assert seen("https://spa.example:8443")
    idp(platform, "client", "delete", "rp", "--yes")
    assert not seen("https://spa.example:8443")
