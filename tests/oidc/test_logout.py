"""RP-initiated logout: at once only for a proven request about this very person; otherwise a question."""

from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp import limits
from idp.db import session, transaction
from idp.oidc import clients
from idp.oidc.models import ClientRecord, LogoutRequestRecord
from idp.oidc.registration import judge
from idp.sessions.models import Session
from idp.signin import room
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of

AFTER = "https://rp.example/after?x=1"


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, post_logout_redirect_uris=[AFTER])


def leave(browser: FlaskClient, **sent: Any) -> TestResponse:
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


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_every_parameter_is_optional(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    posted = browser.post("/oauth2/logout", base_url=ISSUER)
    assert posted.status_code == 303
    page = browser.get(posted.location + "?ui_locales=en", base_url=ISSUER)
    assert page.status_code == 200
    assert "(error)" not in page.get_data(as_text=True)
    assert signed_in(rp, browser)
    assert browser.post("/oauth2/logout", json={}, base_url=ISSUER).status_code == 400


@pytest.mark.spec("OIDC RP-Initiated Logout", "3")
@pytest.mark.parametrize("change", [{"state": "s" * 2001}, {"state": ["a", "b"]}, {"client_id": ["rp", "rp"]}, {"client_id": "r" * 129}])
def test_what_cannot_be_said_back_is_not_left_out(rp: RelyingParty, beijing: Somebody, change: dict[str, Any]) -> None:
    browser = rp.browser(beijing.id)
    asked = {"id_token_hint": rp.tokens(browser)["id_token"], "post_logout_redirect_uri": AFTER, **change}
    posted = browser.post("/oauth2/logout", data=asked, base_url=ISSUER)
    for page in (leave(browser, **asked), browser.get(posted.location, base_url=ISSUER)):
        assert page.status_code == 200
        assert "Location" not in page.headers
    assert signed_in(rp, browser)
    assert leave(browser, **{**asked, "client_id": "rp", "state": "s" * 2000}).location == f"{AFTER}&state={'s' * 2000}"


@pytest.mark.store
def test_only_what_is_proven_is_kept_and_only_so_often(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RULES", (limits.Rule("minute", 20, 60),))
    browser = rp.browser(beijing.id)
    hint = rp.tokens(browser)["id_token"]

    def post(**sent: str) -> TestResponse:
        return rp.browser().post("/oauth2/logout", data=sent, base_url=ISSUER)

    for sent in ({"id_token_hint": "x" * 8000}, {"id_token_hint": "x", "post_logout_redirect_uri": AFTER}, {"state": "s"}):
        assert post(**sent).status_code == 303
    with platform.app_context():
        assert session.query(LogoutRequestRecord).count() == 0
    answers = [post(id_token_hint=hint, post_logout_redirect_uri=AFTER) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [303] * 20 + [429]
    assert answers[-1].mimetype == "text/html"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    with platform.app_context():
        kept = session.scalars(select(LogoutRequestRecord.parameters)).all()
    assert kept == [{"client_id": "rp", "sub": beijing.sub, "uri": AFTER, "state": ""}] * 20
    clock.advance(minutes=1)
    assert browser.get(post(id_token_hint=hint, post_logout_redirect_uri=AFTER).location, base_url=ISSUER).location == AFTER


def test_a_posted_request_is_judged_by_what_its_client_is_now(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    asked = {"id_token_hint": rp.tokens(browser)["id_token"], "post_logout_redirect_uri": AFTER, "ui_locales": "en"}
    posted = rp.browser().post("/oauth2/logout", data=asked, base_url=ISSUER)
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp", with_for_update=True)
        elsewhere = judge({**row.registration, "post_logout_redirect_uris": ["https://rp.example/elsewhere"]})
        assert clients.update(row, elsewhere, None, clock.now()) == "updated"
    assert "(error)" in browser.get(posted.location, base_url=ISSUER).get_data(as_text=True)
    assert signed_in(rp, browser)


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
