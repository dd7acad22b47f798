"""Only an ID token is a hint: nothing else that our keys sign says who signed in."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp.db import transaction
from idp.oidc import keys
from tests.conftest import SECRET as PLATFORM_SECRET
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
def test_a_hint_counts_as_long_as_a_session_can_last_after_its_key_retired(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock
) -> None:
    clock.advance(hours=24)
    hint = rp.tokens(rp.browser(beijing.id))["id_token"]
    with platform.app_context(), transaction():
        assert keys.rotate("ES256", keys.make("ES256", PLATFORM_SECRET), clock.now())
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER}
    # a session lives 12 hours, and its last ID token may be signed a moment before the key retires
    clock.advance(hours=12, minutes=59)
    late = rp.browser(beijing.id)
    assert "code" in answer_of(rp.authorize(late, prompt="none", id_token_hint=hint))
    assert late.get("/oauth2/logout", query_string=asked, base_url=ISSUER).location == AFTER
    clock.advance(minutes=1)
    assert late.get("/oauth2/logout", query_string=asked, base_url=ISSUER).status_code == 200


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_userinfo_is_no_hint_at_sign_out(rp: RelyingParty, browser: FlaskClient) -> None:
    asked = {"id_token_hint": told(rp, browser), "post_logout_redirect_uri": AFTER}
    assert browser.get("/oauth2/logout", query_string=asked, base_url=ISSUER).status_code == 200
    assert "code" in answer_of(rp.authorize(browser, prompt="none"))
