"""RP-initiated logout: at once only for a proven request about this very person; otherwise a question."""

from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.db import session
from idp.sessions.models import Session
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of

AFTER = "https://rp.example/after?x=1"


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, post_logout_redirect_uris=[AFTER])


def leave(browser: FlaskClient, **sent: str) -> TestResponse:
    return browser.get("/oauth2/logout", query_string=sent, base_url=ISSUER)


def signed_in(rp: RelyingParty, browser: FlaskClient) -> bool:
    return "code" in answer_of(rp.authorize(browser, prompt="none"))


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
@pytest.mark.requirement("R76")
def test_a_proven_request_signs_out_and_goes_back(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    tokens = rp.tokens(browser)
    clock.advance(minutes=20)  # an expired hint is fine
    response = leave(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="s 1")
    assert (response.status_code, response.location) == (303, AFTER + "&state=s+1")
    assert not signed_in(rp, browser)
    assert rp.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"post_logout_redirect_uri": "https://rp.example/after"},
        {"post_logout_redirect_uri": AFTER + "&y=2"},
        {"post_logout_redirect_uri": "JaVaScRiPt:alert(1)"},
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"id_token_hint": ""},
        {"id_token_hint": "eyJhbGciOiJub25lIn0.e30."},
        {"client_id": "other"},
    ],
)
def test_anything_else_asks_first_and_stays_here(rp: RelyingParty, beijing: Somebody, change: dict[str, str]) -> None:
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]
    page = leave(browser, **{"id_token_hint": hint, "post_logout_redirect_uri": AFTER, **change, "ui_locales": "en"})
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "error" in text
    assert signed_in(rp, browser)
    token = text.split('name="csrf_token" value="')[1].split('"')[0]
    assert browser.post("/oauth2/logout/confirm", data={}, base_url=ISSUER).status_code == 403
    done = browser.post("/oauth2/logout/confirm", data={"csrf_token": token}, base_url=ISSUER, follow_redirects=True)
    assert "signed out" in done.get_data(as_text=True)
    assert not signed_in(rp, browser)


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
@pytest.mark.parametrize("sent", [{}, {"state": "s"}, {"client_id": "rp"}, {"logout_hint": "x", "ui_locales": "xx"}, {"id_token_hint": "HINT"}])
def test_a_request_that_names_no_address_asks_without_talk_of_errors(rp: RelyingParty, beijing: Somebody, sent: dict[str, str]) -> None:
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]
    page = leave(browser, **{"ui_locales": "en", **{name: value.replace("HINT", hint) for name, value in sent.items()}})
    assert page.status_code == 200
    assert "(error)" not in page.get_data(as_text=True)
    assert signed_in(rp, browser)
    assert "signed out" in leave(rp.browser(), **{**sent, "ui_locales": "en"}).get_data(as_text=True)


def test_who_is_not_signed_in_hears_of_a_faulty_request_too(rp: RelyingParty) -> None:
    text = leave(rp.browser(), post_logout_redirect_uri=AFTER, ui_locales="en").get_data(as_text=True)
    assert "error" in text
    assert "signed out" in text


def test_another_clients_address_is_not_gone_to(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    RelyingParty(platform, clock, "other", post_logout_redirect_uris=["https://other.example/after"])
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]
    for client_id in ("other", "rp"):
        page = leave(browser, id_token_hint=hint, post_logout_redirect_uri="https://other.example/after", client_id=client_id)
        assert page.status_code == 200
    assert signed_in(rp, browser)
    done = leave(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER, client_id="rp", logout_hint="x")
    assert done.location == AFTER
    assert not signed_in(rp, browser)


def test_a_wish_for_a_language_survives_the_post(rp: RelyingParty) -> None:
    posted = rp.browser().post("/oauth2/logout", data={"post_logout_redirect_uri": AFTER, "ui_locales": "en"}, base_url=ISSUER)
    assert "signed out" in rp.browser().get(posted.location, base_url=ISSUER).get_data(as_text=True)


def test_a_bare_cross_site_request_signs_nobody_out(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    leave(browser)
    posted = browser.post("/oauth2/logout", base_url=ISSUER, content_type="application/x-www-form-urlencoded")
    browser.get(posted.location, base_url=ISSUER)
    assert signed_in(rp, browser)


def test_the_hint_of_another_person_asks_first(rp: RelyingParty, beijing: Somebody, shanghai: Somebody) -> None:
    mine, other = rp.browser(beijing.id), rp.browser(shanghai.id)
    hint = rp.tokens(mine)["id_token"]
    assert leave(other, id_token_hint=hint, post_logout_redirect_uri=AFTER).status_code == 200
    assert signed_in(rp, other)


def test_an_access_token_is_no_hint(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    token = rp.tokens(browser)["access_token"]
    assert leave(browser, id_token_hint=token, post_logout_redirect_uri=AFTER).status_code == 200
    assert signed_in(rp, browser)


def test_a_posted_request_goes_on_by_our_own_get(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]
    posted = rp.browser().post("/oauth2/logout", data={"id_token_hint": hint, "post_logout_redirect_uri": AFTER}, base_url=ISSUER)
    assert quote(hint) not in posted.location
    assert "Set-Cookie" not in posted.headers
    assert browser.get(posted.location, base_url=ISSUER).location == AFTER
    assert not signed_in(rp, browser)


def test_without_a_session_the_proven_request_still_goes_back(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]
    for _ in range(2):
        assert leave(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER).location == AFTER


@pytest.mark.requirement("R77")
def test_a_proven_request_ends_an_idle_session_too(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    tokens = rp.tokens(browser)
    clock.advance(minutes=31)
    assert leave(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER).status_code == 303
    with platform.app_context():
        assert session.scalars(select(Session.end_reason)).all() == ["signed_out"]
