"""Pushed authorization requests (RFC 9126): what may be pushed, who may start with it, and that it is answered once."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc.models import ClientRecord, Grant, PushedRequest
from tests.fakes import FakeClock
from tests.fapi import KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_gone import ends_after_the_checks
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of

PREFIX = "urn:ietf:params:oauth:request_uri:"


def push(rp: RelyingParty, headers: dict[str, str] | None = None, /, **changes: str | None) -> TestResponse:
    """A pushed request by the client's own method; a change of None leaves a parameter out."""
    proof = rp.proven() if isinstance(rp, KeyedParty) else {}
    own = rp.basic() if rp.secret is not None else {}
    form = {**rp.request(**changes), **proof}
    return rp.app.test_client().post("/oauth2/par", data=form, headers={**own, **(headers or {})}, base_url=ISSUER)


def pushed(rp: RelyingParty, **changes: str | None) -> str:
    answer = push(rp, **changes)
    assert answer.status_code == 201, answer.json
    return str(body_of(answer)["request_uri"])


def start(rp: RelyingParty, browser: FlaskClient, request_uri: str, **more: str) -> TestResponse:
    asked = {"client_id": rp.client_id, "request_uri": request_uri, **more}
    return browser.get("/oauth2/authorize", query_string={name: value for name, value in asked.items() if value}, base_url=ISSUER)


def refused(answer: TestResponse, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json) == (status, {"error": error})
    assert answer.headers["Cache-Control"] == "no-store"


def page(answer: TestResponse) -> None:
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "Location" not in answer.headers
    assert "error" in answer.get_data(as_text=True)


@pytest.mark.spec("RFC 9126", "2.2")
def test_a_pushed_request_becomes_a_code(rp: RelyingParty, beijing: Somebody) -> None:
    answer = push(rp, nonce="pushed")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    told = body_of(answer)
    assert set(told) == {"request_uri", "expires_in"}
    assert told["expires_in"] == 90
    assert len(told["request_uri"].removeprefix(PREFIX)) == 43
    back = answer_of(start(rp, rp.browser(beijing.id), told["request_uri"]))
    assert (back["state"], back["iss"]) == ("st-1", ISSUER)
    assert claims_of(body_of(rp.redeem(back["code"]))["id_token"])["nonce"] == "pushed"


def test_the_handle_stands_nowhere_in_the_database(rp: RelyingParty, platform: Flask) -> None:
    handle = pushed(rp).removeprefix(PREFIX)
    with platform.app_context():
        row = session.query(PushedRequest).one()
        assert handle not in f"{row.digest} {row.parameters}"
        assert "client_secret" not in row.parameters


@pytest.mark.spec("RFC 9126", "4")
def test_what_stands_beside_it_does_not_count(rp: RelyingParty, beijing: Somebody) -> None:
    more = {"state": "other", "redirect_uri": "https://evil.example", "scope": "openid", "prompt": "nonsense", "request": "a.b.c"}
    assert answer_of(start(rp, rp.browser(beijing.id), pushed(rp), **more))["state"] == "st-1"


@pytest.mark.spec("RFC 9126", "2.3")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "openid licence:import"}, "invalid_scope"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"request_uri": PREFIX + "x" * 43}, "invalid_request"),
        ({"request_uri": "https://rp.example/request"}, "invalid_request"),
        ({"request": "a.b.c"}, "invalid_request_object"),
        ({"request": "x" * 16385}, "invalid_request"),
        ({"state": "s" * 2001}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_a_fault_is_json(rp: RelyingParty, changes: dict[str, str | None], error: str) -> None:
    refused(push(rp, **changes), error)


def test_what_may_not_even_authorize_may_not_push(platform: Flask, clock: FakeClock) -> None:
    machine = RelyingParty(platform, clock, "machine", grant_types=["client_credentials"], redirect_uris=["https://rp.example/callback"])
    refused(push(machine), "unauthorized_client")


@pytest.mark.spec("RFC 9126", "2.1")
def test_only_its_own_client_pushes(rp: RelyingParty, public: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    refused(push(rp, client_id="public"), "invalid_client", 401)
    wrong = platform.test_client().post("/oauth2/par", data=rp.request(), base_url=ISSUER)
    refused(wrong, "invalid_client", 401)
    assert push(rp, client_id=None).status_code == 201
    assert push(public).status_code == 201
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = platform.test_client().open("/oauth2/par", method=method, base_url=ISSUER)
        refused(answer, "invalid_request", 405)
        assert answer.headers["Allow"] == "POST"
    refused(platform.test_client().post("/oauth2/par?a=b", data=rp.request(), headers=rp.basic(), base_url=ISSUER), "invalid_request")
    huge = {**rp.request(), "x": "y" * 70_000}
    assert platform.test_client().post("/oauth2/par", data=huge, headers=rp.basic(), base_url=ISSUER).status_code in (400, 413)


def test_an_assertion_is_spent_on_refusals_too(platform: Flask, clock: FakeClock) -> None:
    keyed = KeyedParty(platform, clock)
    shown = keyed.proven()
    for changes, status in (({"response_type": "token"}, 400), ({}, 401)):
        form = {**keyed.request(**changes), **shown}
        assert platform.test_client().post("/oauth2/par", data=form, base_url=ISSUER).status_code == status
    with platform.app_context():
        assert session.query(PushedRequest).count() == 0
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 2


@pytest.mark.spec("RFC 9126", "4")
def test_unknown_expired_and_anothers_are_a_page(
    rp: RelyingParty, public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock
) -> None:
    browser = rp.browser(beijing.id)
    mine = pushed(rp)
    page(start(public, browser, mine))
    page(start(rp, browser, mine, client_id=""))
    for unknown in (PREFIX, PREFIX + "x", PREFIX + "x" * 43, mine + "x", mine.upper(), PREFIX + "é" * 43):
        if unknown.startswith(PREFIX):
            page(start(rp, browser, unknown))
    clock.advance(seconds=89)
    assert "code" in answer_of(start(rp, browser, mine))
    late = pushed(rp)
    clock.advance(seconds=90)
    page(start(rp, browser, late))
    off = pushed(rp)
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "rp").disabled_at = clock.now()
    page(start(rp, browser, off))


def test_a_request_uri_elsewhere_is_not_supported(rp: RelyingParty, beijing: Somebody) -> None:
    for changes in ({}, {"request": "a.b.c"}):
        answer = rp.authorize(rp.browser(beijing.id), request_uri="https://rp.example/request", **changes)
        assert answer_of(answer)["error"] == "request_uri_not_supported"


# --- one answer -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 9126", "7.3")
@pytest.mark.parametrize("posted", [False, True])
def test_the_sign_in_may_outlast_it_and_is_answered_once(rp: RelyingParty, beijing: Somebody, clock: FakeClock, posted: bool) -> None:
    browser, uri = rp.browser(), pushed(rp)
    if posted:
        asked = {"client_id": "rp", "request_uri": uri}
        waiting = [browser.post("/oauth2/authorize", data=asked, base_url=ISSUER).location for _ in range(2)]
    else:
        signins = [start(rp, browser, uri).location for _ in range(2)]
        clock.advance(seconds=100)
        for signin in signins:
            # the page can be loaded again
            assert browser.get(signin, base_url=ISSUER, follow_redirects=True).status_code == 200
        waiting = [_return_to(rp, signin) for signin in signins]
    clock.advance(minutes=20)
    page(start(rp, browser, uri))
    rp.sign_in(browser, beijing.id)
    code = answer_of(browser.get(waiting[0], base_url=ISSUER))["code"]
    for again in (waiting[1], waiting[0]):
        answer = answer_of(browser.get(again, base_url=ISSUER))
        assert (answer["error"], answer["state"], answer["iss"]) == ("invalid_request_uri", "st-1", ISSUER)
    assert rp.redeem(code).status_code == 200
    with rp.app.app_context():
        assert session.query(Grant).count() == 1


def _return_to(rp: RelyingParty, signin: str) -> str:
    from idp.signin.models import SignInTransaction

    with rp.app.app_context():
        return session.get_one(SignInTransaction, signin.split("/")[2].split("?")[0]).return_to


def test_a_no_is_an_answer_too(rp: RelyingParty, beijing: Somebody) -> None:
    browser, uri = rp.browser(), pushed(rp)
    waiting = [_return_to(rp, start(rp, browser, uri).location) for _ in range(2)]
    assert answer_of(browser.get(waiting[0] + "/cancelled", base_url=ISSUER))["error"] == "access_denied"
    rp.sign_in(browser, beijing.id)
    assert answer_of(browser.get(waiting[1], base_url=ISSUER))["error"] == "invalid_request_uri"
    assert answer_of(browser.get(waiting[1] + "/cancelled", base_url=ISSUER))["error"] == "invalid_request_uri"
    page(start(rp, browser, uri))
    with rp.app.app_context():
        assert session.query(Grant).count() == 0


def test_a_no_after_the_code_changes_nothing(rp: RelyingParty, beijing: Somebody) -> None:
    browser, uri = rp.browser(), pushed(rp, prompt="login")
    waiting = [_return_to(rp, start(rp, browser, uri).location) for _ in range(2)]
    rp.sign_in(browser, beijing.id)
    code = answer_of(browser.get(waiting[0], base_url=ISSUER))["code"]
    assert answer_of(browser.get(waiting[1] + "/cancelled", base_url=ISSUER))["error"] == "invalid_request_uri"
    assert rp.redeem(code).status_code == 200


def test_a_consent_page_is_no_answer_but_what_is_said_there_is(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    stranger = RelyingParty(platform, clock, "stranger", first_party=False)
    for action, wanted in (("deny", "access_denied"), ("allow", None)):
        browser, uri = stranger.browser(beijing.id), pushed(stranger)
        shown = [_consent(browser, start(stranger, browser, uri)) for _ in range(2)]
        answers = [answer_of(browser.post(path, data={**fields, "action": action}, base_url=ISSUER)) for path, fields in shown]
        assert [answer.get("error") for answer in answers] == [wanted, "invalid_request_uri"]


def _consent(browser: FlaskClient, answer: TestResponse) -> tuple[str, dict[str, str]]:
    from tests.person import ShownPage

    while answer.status_code == 303:
        path = answer.location
        answer = browser.get(path, base_url=ISSUER)
    parsed = ShownPage()
    parsed.feed(answer.get_data(as_text=True))
    return path, parsed.fields


def test_a_silent_error_is_an_answer(rp: RelyingParty, beijing: Somebody) -> None:
    uri = pushed(rp, prompt="none")
    assert answer_of(start(rp, rp.browser(), uri))["error"] == "login_required"
    page(start(rp, rp.browser(beijing.id), uri))
    assert "code" in answer_of(start(rp, rp.browser(beijing.id), pushed(rp, prompt="none")))


def test_without_the_right_the_way_back_is_the_answer(rp: RelyingParty, shanghai: Somebody) -> None:
    browser = rp.browser(shanghai.id)
    shown = browser.get(start(rp, browser, pushed(rp)).location, base_url=ISSUER)
    assert shown.status_code == 403
    action = shown.get_data(as_text=True).split('action="')[1].split('"')[0]
    assert answer_of(browser.get(action, base_url=ISSUER))["error"] == "access_denied"
    assert answer_of(browser.get(action, base_url=ISSUER))["error"] == "invalid_request_uri"


def test_form_post_and_languages_come_out_of_it(rp: RelyingParty, beijing: Somebody) -> None:
    shown = start(rp, rp.browser(beijing.id), pushed(rp, response_mode="form_post")).get_data(as_text=True)
    assert 'name="code"' in shown
    browser = rp.browser()
    signin = browser.get(start(rp, browser, pushed(rp, ui_locales="en")).location, base_url=ISSUER, follow_redirects=True)
    assert '<html lang="en">' in signin.get_data(as_text=True)
    assert "error" in start(rp, browser, PREFIX, ui_locales="en").get_data(as_text=True)


def test_a_client_that_ends_meanwhile_leaves_nothing(rp: RelyingParty, platform: Flask, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_after_the_checks(platform, clock, monkeypatch, "disable")
    refused(push(rp), "invalid_client", 401)
    with platform.app_context():
        assert session.query(PushedRequest).count() == 0


def test_a_deleted_client_takes_its_requests_along(rp: RelyingParty, platform: Flask) -> None:
    pushed(rp)
    with platform.app_context(), transaction():
        session.delete(session.get_one(ClientRecord, "rp"))
    with platform.app_context():
        assert session.query(PushedRequest).count() == 0
