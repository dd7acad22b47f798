"""The code flow as it should go: from authorize to tokens and userinfo."""

import pytest
from flask import Flask

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of, header_of


@pytest.mark.spec("OIDC Core", "3.1.2.5")
@pytest.mark.spec("RFC 9207", "2")
def test_a_signed_in_person_brings_a_code_with_state_and_issuer(rp: RelyingParty, beijing: Somebody) -> None:
    response = rp.authorize(rp.browser(beijing.id))
    answer = answer_of(response)
    assert answer["state"] == "st-1"
    assert answer["iss"] == ISSUER
    assert set(answer) == {"code", "state", "iss"}
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.spec("OIDC Core", "2")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_id_token_says_who_when_and_how(platform: Flask, clock: FakeClock, beijing: Somebody, alg: str) -> None:
    rp = RelyingParty(platform, clock, id_token_signed_response_alg=alg)
    browser = rp.browser(beijing.id)
    clock.advance(seconds=20)
    answer = rp.tokens(browser)
    token, now = claims_of(answer["id_token"]), int(clock.now().timestamp())
    assert header_of(answer["id_token"])["alg"] == alg
    assert token == {
        "iss": ISSUER,
        "sub": beijing.sub,
        "aud": "rp",
        "exp": now + 600,
        "iat": now,
        "auth_time": now - 20,
        "acr": "urn:licence:acr:password",
        "amr": ["pwd"],
        "nonce": "n-1",
        "at_hash": token["at_hash"],
    }


@pytest.mark.spec("RFC 9068", "2")
@pytest.mark.spec("RFC 8707", "2")
def test_the_access_token_is_for_the_clients_own_system(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    answer = rp.tokens(rp.browser(beijing.id))
    token, now = claims_of(answer["access_token"]), int(clock.now().timestamp())
    assert header_of(answer["access_token"])["typ"] == "at+jwt"
    assert token["aud"] == ["urn:licence:system:export", ISSUER]
    assert (token["client_id"], token["sub"], token["iat"], token["exp"]) == ("rp", beijing.sub, now, now + 600)
    assert token["scope"] == answer["scope"] == "openid profile email phone enterprise licence:export"
    assert len(token["jti"]) >= 40
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 600
    assert "refresh_token" not in answer


@pytest.mark.spec("OIDC Core", "5.3")
def test_userinfo_tells_what_the_scopes_release(rp: RelyingParty, beijing: Somebody) -> None:
    answer = rp.tokens(rp.browser(beijing.id))
    told = body_of(rp.userinfo(answer["access_token"]))
    assert told["sub"] == beijing.sub == claims_of(answer["id_token"])["sub"]
    assert (told["name"], told["preferred_username"]) == ("王小明", "0441987654321-beijing")
    assert (told["email"], told["email_verified"], told["phone_number_verified"]) == ("wang@example.com", True, False)
    assert (told["enterprise_code"], told["enterprise_name"]) == ("0441987654321", "广东示例进出口有限公司")
    assert told["licences"] == ["export"]
    assert told["legacy_usernames"] == ["beijing"]
    assert "uscc" not in told


@pytest.mark.spec("OIDC Core", "5.4")
def test_userinfo_keeps_to_the_scopes(rp: RelyingParty, beijing: Somebody) -> None:
    token = rp.tokens(rp.browser(beijing.id), scope="openid")["access_token"]
    assert rp.userinfo(token).json == {"sub": beijing.sub}


@pytest.mark.spec("OIDC Core", "5.4")
def test_old_names_are_for_the_old_system_only(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    hall = RelyingParty(platform, clock, scope="openid licence:export")
    told = hall.userinfo(hall.tokens(hall.browser(beijing.id))["access_token"]).json
    assert told == {"sub": beijing.sub, "licences": ["export"]}


@pytest.mark.spec("OIDC Form Post", "2")
def test_form_post_sends_the_code_by_a_form_with_a_visible_button(rp: RelyingParty, beijing: Somebody) -> None:
    response = rp.authorize(rp.browser(beijing.id), response_mode="form_post", state='"><script>x')
    page = response.get_data(as_text=True)
    assert response.status_code == 200
    assert 'action="https://rp.example/callback"' in page
    assert 'name="code"' in page
    assert 'name="iss" value="http://127.0.0.1:8000"' in page
    assert "&#34;&gt;&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert 'src="/static/submit.js"' in page
    assert 'id="continue"' in page
    assert "https://rp.example" in response.headers["Content-Security-Policy"].split("form-action")[1]
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.spec("OIDC Form Post", "2")
def test_form_post_is_for_errors_too(rp: RelyingParty, beijing: Somebody) -> None:
    page = rp.authorize(rp.browser(), response_mode="form_post", prompt="none").get_data(as_text=True)
    assert 'name="error" value="login_required"' in page


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_a_posted_request_goes_on_by_our_own_get(rp: RelyingParty, beijing: Somebody) -> None:
    stranger, browser = rp.browser(), rp.browser(beijing.id)
    posted = stranger.post("/oauth2/authorize", data=rp.request(), base_url=ISSUER)
    assert posted.status_code == 303
    assert posted.location.startswith("/oauth2/authorize/")
    # no cookie came, so none may be overwritten
    assert "Set-Cookie" not in posted.headers
    assert "code" in answer_of(browser.get(posted.location, base_url=ISSUER))
    # the first browser has it now
    assert stranger.get(posted.location, base_url=ISSUER).status_code == 400


@pytest.mark.requirement("R54")
def test_without_a_session_the_request_waits_for_the_sign_in(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser()
    sent = rp.authorize(browser)
    assert sent.location.startswith("/signin/")
    page = browser.get(sent.location, base_url=ISSUER, follow_redirects=True)
    assert page.status_code == 200
    assert "https://rp.example" in page.headers["Content-Security-Policy"].split("form-action")[1]


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_the_denial_of_the_sign_in_is_access_denied(rp: RelyingParty, platform: Flask) -> None:
    from idp.db import session
    from idp.signin.models import SignInTransaction

    browser = rp.browser()
    location = rp.authorize(browser).location
    with platform.app_context():
        row = session.get_one(SignInTransaction, location.split("/")[2].split("?")[0])
        cancel, resume = row.cancel_to, row.return_to
    answer = answer_of(browser.get(cancel, base_url=ISSUER))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st-1", ISSUER)
    # another browser has no business with it
    assert rp.browser().get(cancel, base_url=ISSUER).status_code == 400
    assert rp.browser().get(resume, base_url=ISSUER).status_code == 400
