"""One redemption, in order, and what each refusal leaves behind."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from idp.accounts.models import Account
from idp.audit import provider
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc.models import AuthorizationCode, Grant
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, VERIFIER, RelyingParty, body_of, digest_of


def refused(response: TestResponse, error: str = "invalid_grant", status: int = 400) -> None:
    assert (response.status_code, response.json) == (status, {"error": error})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"


def grant_reason(platform: Flask) -> str | None:
    with platform.app_context():
        return session.scalar(select(Grant.end_reason))


@pytest.mark.store
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_a_replayed_code_is_refused_and_what_came_of_it_ends(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    code = rp.code(rp.browser(beijing.id))
    tokens = body_of(rp.redeem(code))
    assert rp.userinfo(tokens["access_token"]).status_code == 200
    clock.advance(minutes=5)  # later than the code's own life
    refused(rp.redeem(code))
    assert rp.userinfo(tokens["access_token"]).status_code == 401
    assert grant_reason(platform) == "code_replayed"
    with platform.app_context():
        events = session.scalars(select(AuditEvent.event).where(AuditEvent.event.like("oidc.%"))).all()
    assert "oidc.grant.ended" in events


@pytest.mark.spec("RFC 6749", "5.2")
def test_another_clients_code_is_refused_and_nothing_else_happens(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    other = RelyingParty(platform, clock, "other", redirect_uris=[rp.redirect_uri])
    code = rp.code(rp.browser(beijing.id))
    refused(other.redeem(code))
    assert rp.redeem(code).status_code == 200
    refused(other.redeem(code))
    assert grant_reason(platform) is None


@pytest.mark.spec("RFC 6749", "4.1.3")
@pytest.mark.parametrize("uri", [None, "https://rp.example/callback/", "https://evil.example/"])
def test_the_redirect_uri_must_be_the_same(rp: RelyingParty, beijing: Somebody, uri: str | None) -> None:
    code = rp.code(rp.browser(beijing.id))
    refused(rp.redeem(code, redirect_uri=uri))
    assert rp.redeem(code).status_code == 200


@pytest.mark.spec("RFC 7636", "4.6")
@pytest.mark.parametrize("verifier", [None, "", "short", VERIFIER + "x", VERIFIER + "\n", "é" * 43, "x" * 129])
def test_a_challenge_that_was_sent_is_always_enforced(rp: RelyingParty, beijing: Somebody, verifier: str | None) -> None:
    code = rp.code(rp.browser(beijing.id))
    refused(rp.redeem(code, code_verifier=verifier))
    assert rp.redeem(code).status_code == 200


@pytest.mark.spec("RFC 9700", "4.8.2")
def test_a_verifier_without_a_challenge_is_a_downgrade(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, require_pkce=False)
    browser = rp.browser(beijing.id)
    bare: dict[str, str | None] = {"code_challenge": None, "code_challenge_method": None}
    refused(rp.redeem(rp.code(browser, **bare)))
    assert rp.redeem(rp.code(browser, **bare), code_verifier=None).status_code == 200
    refused(rp.redeem(rp.code(browser), code_verifier=None))


def test_a_code_lives_a_minute_from_its_issue_not_from_the_sign_in(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    clock.advance(minutes=25)
    early, late = rp.code(browser), rp.code(browser)
    clock.advance(seconds=59)
    assert rp.redeem(early).status_code == 200
    clock.advance(seconds=1)
    refused(rp.redeem(late))


def test_codes_and_tokens_do_not_stand_in_the_database(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    code = rp.code(rp.browser(beijing.id))
    with platform.app_context():
        assert session.scalars(select(AuthorizationCode.digest)).all() == [digest_of(code)]
    raw = (platform.extensions["idp"].settings.data_dir / "idp.db").read_bytes()
    raw += (platform.extensions["idp"].settings.data_dir / "idp.db-wal").read_bytes()
    assert digest_of(code).encode() in raw
    assert code.encode() not in raw


@pytest.mark.parametrize("end", ["signed_out", "epoch", "disabled"])
def test_a_grant_that_is_over_gives_no_tokens_and_its_tokens_no_claims(rp: RelyingParty, platform: Flask, beijing: Somebody, end: str) -> None:
    browser = rp.browser(beijing.id)
    tokens, code = rp.tokens(browser), rp.code(browser)
    if end == "signed_out":
        page = browser.get("/oauth2/logout", base_url=ISSUER).get_data(as_text=True)
        token = page.split('name="csrf_token" value="')[1].split('"')[0]
        browser.post("/oauth2/logout/confirm", data={"csrf_token": token}, base_url=ISSUER)
    else:
        with platform.app_context(), transaction():
            account = session.get_one(Account, beijing.id)
            account.epoch, account.status = account.epoch + (end == "epoch"), "disabled" if end == "disabled" else "active"
    refused(rp.redeem(code))
    assert rp.userinfo(tokens["access_token"]).status_code == 401


def test_idling_ends_no_grant(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    clock.advance(minutes=29, seconds=50)
    token = rp.tokens(browser)["access_token"]
    clock.advance(minutes=5)
    assert rp.userinfo(token).status_code == 200


@pytest.mark.store
def test_a_crash_before_the_commit_leaves_the_code_unspent(
    rp: RelyingParty, platform: Flask, beijing: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = rp.code(rp.browser(beijing.id))
    platform.testing = False

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(provider, "tokens_issued", crash)
        assert rp.redeem(code).status_code == 500
    assert rp.redeem(code).status_code == 200


# --- the guard ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 6749", "3.2")
def test_only_a_posted_form_is_read(rp: RelyingParty, beijing: Somebody) -> None:
    code = rp.code(rp.browser(beijing.id))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": rp.redirect_uri, "code_verifier": VERIFIER}
    client, headers = rp.browser(), rp.basic()
    refused(client.get("/oauth2/token", query_string=form, headers=headers, base_url=ISSUER), "invalid_request", 405)
    refused(client.post("/oauth2/token", query_string=form, headers=headers, base_url=ISSUER), "invalid_request")
    refused(client.post("/oauth2/token?grant_type=authorization_code", data=form, headers=headers, base_url=ISSUER), "invalid_request")
    refused(client.post("/oauth2/token", json=form, headers=headers, base_url=ISSUER), "invalid_request")
    multipart = client.post("/oauth2/token", data=form, headers=headers, base_url=ISSUER, content_type="multipart/form-data")
    refused(multipart, "invalid_request")
    assert rp.redeem(code).status_code == 200


@pytest.mark.spec("RFC 6749", "3.2")
@pytest.mark.parametrize("body", ["grant_type=a&grant_type=a", "code=%ff", b"code=\xff", "&".join(f"a{n}=1" for n in range(101)), "x=" + "y" * 66000])
def test_repeated_broken_or_huge_bodies_are_refused(rp: RelyingParty, body: str | bytes) -> None:
    response = rp.browser().post("/oauth2/token", data=body, headers=rp.basic(), content_type="application/x-www-form-urlencoded", base_url=ISSUER)
    refused(response, "invalid_request")


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x"])
def test_other_grants_are_unsupported(rp: RelyingParty, grant: str) -> None:
    refused(rp.token({"grant_type": grant, "username": "a", "password": "b"}, rp.basic()), "unsupported_grant_type")


@pytest.mark.parametrize("code", ["", "x", "x" * 5000, "%00", "密"])
def test_unknown_codes(rp: RelyingParty, code: str) -> None:
    refused(rp.redeem(code), "invalid_request" if not code else "invalid_grant")


@pytest.mark.spec("RFC 8707", "2.2")
def test_the_resource_may_be_named_again_but_not_changed(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    refused(rp.redeem(rp.code(browser), resource="urn:licence:system:import"), "invalid_target")
    assert rp.redeem(rp.code(browser), resource="urn:licence:system:export").status_code == 200


def test_a_public_client_redeems_by_pkce_alone(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    app = RelyingParty(
        platform, clock, "app", None, token_endpoint_auth_method="none", application_type="native", redirect_uris=["http://127.0.0.1/cb"]
    )
    browser = app.browser(beijing.id)
    code = app.code(browser, redirect_uri="http://127.0.0.1:49152/cb")
    refused(app.redeem(code, redirect_uri="http://127.0.0.1:49152/cb", code_verifier="w" * 43))
    assert app.redeem(code, redirect_uri="http://127.0.0.1:49152/cb").status_code == 200
    for uri in ("http://127.0.0.1.evil.test:1/cb", "http://localhost:1/cb", "http://127.0.0.1:1/other", "http://127.0.0.1:99999/cb"):
        assert app.authorize(browser, redirect_uri=uri).status_code == 400


@pytest.mark.spec("RFC 6749", "5.2")
@pytest.mark.parametrize("grant", ["refresh_token", "client_credentials"])
def test_a_grant_that_the_client_is_not_registered_for(rp: RelyingParty, grant: str) -> None:
    refused(rp.call("token", grant_type=grant), "unauthorized_client")


@pytest.mark.spec("RFC 8707", "2")
def test_a_resource_may_stand_there_twice_if_it_is_one(rp: RelyingParty, beijing: Somebody) -> None:
    browser, own, other = rp.browser(beijing.id), "urn:licence:system:export", "urn:licence:system:import"

    def asked(*resources: str) -> str:
        pairs = [*rp.request(prompt="none").items(), *(("resource", each) for each in resources)]
        return browser.get("/oauth2/authorize", query_string=MultiDict(pairs), base_url=ISSUER).location

    def redeemed(*resources: str) -> TestResponse:
        form = {"grant_type": "authorization_code", "code": rp.code(browser), "redirect_uri": rp.redirect_uri, "code_verifier": VERIFIER}
        body = MultiDict([*form.items(), *(("resource", each) for each in resources)])
        return rp.browser().post("/oauth2/token", data=body, headers=rp.basic(), base_url=ISSUER)

    assert "code=" in asked(own, own)
    assert "error=invalid_target" in asked(own, other)
    assert "error=invalid_target" in asked("x" * 600)
    assert redeemed(own, own).status_code == 200
    refused(redeemed(own, other), "invalid_target")


@pytest.mark.spec("RFC 9110", "15.5.6")
@pytest.mark.parametrize("path", ["token", "revoke", "introspect", "userinfo"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_another_method_is_refused_in_json_and_told_which_would_do(platform: Flask, path: str, method: str) -> None:
    answer = platform.test_client().open(f"/oauth2/{path}", method=method, base_url=ISSUER)
    assert (answer.status_code, answer.json) == (405, {"error": "invalid_request"})
    assert "POST" in answer.headers["Allow"]
    assert ("GET" in answer.headers["Allow"]) is (path == "userinfo")
