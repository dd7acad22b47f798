"""Only an ID token is a hint: nothing else that our keys sign says who signed in."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of, claims_of, header_of

AFTER = "https://rp.example/after"


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, post_logout_redirect_uris=[AFTER], userinfo_signed_response_alg="ES256")


@pytest.fixture
def browser(rp: RelyingParty, beijing: Somebody) -> FlaskClient:
    return rp.browser(beijing.id)


def told(rp: RelyingParty, browser: FlaskClient) -> str:
    """A signed userinfo answer: same issuer, audience, subject and type as an ID token."""
    answer = rp.userinfo(rp.tokens(browser)["access_token"]).get_data(as_text=True)
    assert (claims_of(answer)["iss"], claims_of(answer)["aud"], header_of(answer)["typ"]) == (ISSUER, "rp", "JWT")
    return answer


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_userinfo_is_no_hint_at_authorization(rp: RelyingParty, browser: FlaskClient) -> None:
    assert answer_of(rp.authorize(browser, prompt="none", id_token_hint=told(rp, browser)))["error"] == "invalid_request"


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_userinfo_is_no_hint_at_sign_out(rp: RelyingParty, browser: FlaskClient) -> None:
    asked = {"id_token_hint": told(rp, browser), "post_logout_redirect_uri": AFTER}
    assert browser.get("/oauth2/logout", query_string=asked, base_url=ISSUER).status_code == 200
    assert "code" in answer_of(rp.authorize(browser, prompt="none"))
