"""Clients that are not the ministry's own get tokens only after a yes on our own page."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of


@pytest.fixture
def stranger(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "stranger", first_party=False, client_name="<b>物流\u3000公司</b>", scope="openid email licence:export")


def page(browser: FlaskClient, location: str) -> tuple[str, str, dict[str, str]]:
    """Follow to the consent page: its address, its text, its hidden fields."""
    response = browser.get(location, base_url=ISSUER, follow_redirects=True)
    assert response.status_code == 200
    text = response.get_data(as_text=True)
    fields = {name: text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("csrf_token", "seal")}
    assert "https://rp.example" in response.headers["Content-Security-Policy"].split("form-action")[1]
    return response.request.path, text, fields


@pytest.mark.requirement("R81")
def test_yes_brings_the_code_and_the_page_names_what_is_shared(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    path, text, fields = page(browser, stranger.authorize(browser).location)
    assert "&lt;b&gt;物流" in text
    assert "rp.example" in text
    assert "电子邮箱" in text
    assert "出口许可证" in text
    assert 'value="allow"' in text
    assert 'value="deny"' in text
    answer = answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))
    assert stranger.redeem(answer["code"]).status_code == 200


def test_no_is_access_denied(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    path, _, fields = page(browser, stranger.authorize(browser).location)
    answer = answer_of(browser.post(path, data={**fields, "action": "deny"}, base_url=ISSUER))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st-1", ISSUER)


def test_a_forged_yes_is_no_yes(stranger: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    path, _, fields = page(browser, stranger.authorize(browser, scope="openid").location)
    assert browser.post(path, data={"action": "allow", "seal": fields["seal"]}, base_url=ISSUER).status_code == 403
    foreign = browser.post(path, data={**fields, "action": "allow"}, headers={"Origin": "https://evil.example"}, base_url=ISSUER)
    assert foreign.status_code == 403
    assert browser.post(path, data={**fields, "action": "perhaps"}, base_url=ISSUER).status_code == 400
    # another browser's page
    assert stranger.browser(beijing.id).get(path, base_url=ISSUER).status_code == 400
    # somebody else has signed in since the page was shown
    stranger.sign_in(browser, shanghai.id)
    again = browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER)
    assert again.location.endswith("/consent")


def test_prompt_consent_asks_for_the_ministrys_own_too(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    path, _, fields = page(browser, rp.authorize(browser, prompt="consent").location)
    assert "code" in answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))


def test_the_page_leads_to_the_sign_in_when_nobody_is_there(stranger: RelyingParty, beijing: Somebody) -> None:
    browser = stranger.browser(beijing.id)
    path, _, _ = page(browser, stranger.authorize(browser).location)
    browser.delete_cookie("session", domain="127.0.0.1")
    assert browser.get(path, base_url=ISSUER).location.startswith("/signin/")
