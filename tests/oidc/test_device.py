"""The device grant (RFC 8628): off by default; a person compares the code and says yes; the code is redeemed once."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.accounts.models import Account
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import devices
from idp.oidc.device_models import DeviceAuthorization
from idp.oidc.models import Consent, Grant
from idp.oidc.registration import DEVICE_CODE, judge
from idp.oidc.token_models import RefreshToken
from idp.settings import Settings
from tests.conftest import SECRET as PLATFORM_SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of

pytestmark = pytest.mark.spec("RFC 8628", "3")
SCOPE = "openid profile licence:export"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=PLATFORM_SECRET, database_url=database_url, device_grant="on")


@pytest.fixture
def tv(platform: Flask, clock: FakeClock) -> RelyingParty:
    """A device without a browser and without a secret."""
    return made(platform, clock)


def made(platform: Flask, clock: FakeClock, client_id: str = "tv", **members: Any) -> RelyingParty:
    usual = {
        "token_endpoint_auth_method": "none",
        "redirect_uris": [],
        "grant_types": [DEVICE_CODE, "refresh_token"],
        "first_party": False,
        "client_name": "<b>窗口\u3000终端</b>",
        "scope": SCOPE,
        "system": "export",
    }
    return RelyingParty(platform, clock, client_id, None, **{**usual, **members})


def started(tv: RelyingParty, **changes: str) -> dict[str, Any]:
    answer = tv.call("device", **{"scope": SCOPE, **changes})
    assert answer.status_code == 200, answer.json
    return body_of(answer)


def poll(tv: RelyingParty, codes: dict[str, Any], **changes: str) -> TestResponse:
    return tv.call("token", grant_type=DEVICE_CODE, device_code=codes["device_code"], **changes)


def error(answer: TestResponse) -> str:
    assert answer.status_code == 400, answer.json
    return str(body_of(answer)["error"])


def look(browser: FlaskClient, user_code: str) -> tuple[TestResponse, dict[str, str]]:
    """The page for a code that a link brought, after the click, and the hidden fields of its form."""
    entry = browser.get("/device", query_string={"user_code": user_code}, base_url=ISSUER)
    page = browser.post("/device", data={**_hidden(entry), "user_code": user_code}, base_url=ISSUER)
    return page, _hidden(page)


def _hidden(page: TestResponse) -> dict[str, str]:
    text = page.get_data(as_text=True)
    names = [name for name in ("csrf_token", "seal", "user_code") if f'name="{name}" value="' in text]
    return {name: text.split(f'name="{name}" value="')[1].split('"')[0] for name in names}


def say(browser: FlaskClient, codes: dict[str, Any], action: str) -> TestResponse:
    _, fields = look(browser, codes["user_code"])
    return browser.post("/device", data={**fields, "action": action}, base_url=ISSUER)


@pytest.mark.store
def test_a_yes_brings_the_tokens_once_and_a_replay_ends_them(tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    codes = started(tv)
    assert (codes["verification_uri"], codes["expires_in"], codes["interval"]) == (f"{ISSUER}/device", 600, 5)
    assert codes["verification_uri_complete"] == f"{ISSUER}/device?user_code={codes['user_code']}"
    assert error(poll(tv, codes)) == "authorization_pending"
    browser = tv.browser(beijing.id)
    page, _ = look(browser, codes["user_code"])
    text = page.get_data(as_text=True)
    for shown in ("&lt;b&gt;窗口", codes["user_code"], "出口许可证", "姓名和用户名", 'value="allow"', 'value="deny"'):
        assert shown in text
    # looking allows nothing
    clock.advance(seconds=5)
    assert error(poll(tv, codes)) == "authorization_pending"
    assert say(browser, codes, "allow").location == "/device/allowed"
    assert "请返回设备" in browser.get("/device/allowed", base_url=ISSUER).get_data(as_text=True)
    answer = poll(tv, codes)
    told = body_of(answer)
    assert (answer.status_code, told["scope"], told["token_type"]) == (200, SCOPE, "Bearer")
    assert claims_of(told["id_token"])["sub"] == beijing.sub
    assert tv.userinfo(told["access_token"]).status_code == 200
    assert tv.refresh(told["refresh_token"]).status_code == 200
    assert error(poll(tv, codes)) == "invalid_grant"
    assert tv.userinfo(told["access_token"]).status_code == 401
    with platform.app_context():
        grant = session.scalars(select(Grant)).one()
        assert (grant.end_reason, grant.account_id, grant.session_id is not None) == ("code_replayed", beijing.id, True)
        assert session.scalars(select(Consent.scopes)).one() == sorted(SCOPE.split())
        assert "oidc.device.approved" in set(session.scalars(select(AuditEvent.event)))
        # a poll that waits is no failure
        assert "device_pending" not in str(session.scalars(select(AuditEvent.detail)).all())


@pytest.mark.store
def test_a_no_is_told(tv: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    codes, browser = started(tv), tv.browser(beijing.id)
    assert say(browser, codes, "deny").location == "/device/denied"
    assert error(poll(tv, codes)) == "access_denied"
    # said is said
    assert look(browser, codes["user_code"])[0].status_code == 400
    with platform.app_context():
        assert session.query(Grant).count() == 0
        assert "oidc.device.denied" in set(session.scalars(select(AuditEvent.event)))


@pytest.mark.spec("RFC 8628", "3.5")
def test_who_asks_too_often_slows_down(tv: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    codes = started(tv)
    outcomes = []
    for seconds in (0, 1, 5, 15, 14):
        clock.advance(seconds=seconds)
        outcomes.append(error(poll(tv, codes)))
    # 5, then 10, then 15 seconds apart
    assert outcomes == ["authorization_pending", "slow_down", "slow_down", "authorization_pending", "authorization_pending"]
    say(tv.browser(beijing.id), codes, "allow")
    assert poll(tv, codes).status_code == 200


@pytest.mark.store
def test_both_codes_die_of_age_and_are_swept(tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    codes = started(tv)
    approved = started(tv)
    say(tv.browser(beijing.id), approved, "allow")
    clock.advance(seconds=600)
    assert error(poll(tv, codes)) == error(poll(tv, approved)) == "expired_token"
    assert look(tv.browser(beijing.id), codes["user_code"])[0].status_code == 400
    clock.advance(seconds=601)
    with platform.app_context(), transaction():
        devices.sweep(clock.now())
        assert session.query(DeviceAuthorization).count() == 1
    # what no device fetched is over, told once
    with platform.app_context(), transaction():
        assert [(grant.end_reason, grant.ended_at) for grant in session.query(Grant)] == [("device_gone", clock.now())]
        devices.sweep(clock.now())
        assert session.query(AuditEvent).filter_by(event="oidc.grant.ended").count() == 1


@pytest.mark.store
def test_what_was_fetched_outlives_its_code(tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    codes = started(tv)
    say(tv.browser(beijing.id), codes, "allow")
    told = body_of(poll(tv, codes))
    clock.advance(seconds=3600)
    with platform.app_context(), transaction():
        devices.sweep(clock.now())
    assert tv.refresh(told["refresh_token"]).status_code == 200
    # and a replay is recognised late as well
    assert error(poll(tv, codes)) == "invalid_grant"
    with platform.app_context():
        assert session.query(Grant).one().end_reason == "code_replayed"


def test_codes_are_for_their_own_client(tv: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    codes, other = started(tv), made(platform, clock, "radio")
    say(tv.browser(beijing.id), codes, "allow")
    assert error(poll(other, codes)) == error(poll(tv, {"device_code": "x" * 5000})) == "invalid_grant"
    assert error(tv.call("token", grant_type=DEVICE_CODE)) == "invalid_request"
    assert error(poll(tv, codes, resource="urn:licence:system:import")) == "invalid_target"
    # nothing happened to it
    assert poll(tv, codes).status_code == 200


def test_a_code_is_read_however_it_is_typed(tv: RelyingParty, beijing: Somebody) -> None:
    assert devices.typed(" bcdf ghjk ") == devices.typed("ＢＣＤＦ－ＧＨＪＫ") == devices.typed("bcdfghjk") == "BCDFGHJK"
    assert devices.typed("BCDF") == devices.typed("BCDF-GHJK-L") == devices.typed("") == devices.typed("é" * 5000) == ""
    browser = tv.browser(beijing.id)
    assert look(browser, started(tv)["user_code"].lower().replace("-", " "))[0].status_code == 200
    assert browser.get("/device", base_url=ISSUER).status_code == 200


def test_a_forged_yes_is_no_yes(tv: RelyingParty, platform: Flask, beijing: Somebody, shanghai: Somebody) -> None:
    codes, browser = started(tv), tv.browser(beijing.id)
    _, fields = look(browser, codes["user_code"])
    assert browser.post("/device", data={"action": "allow", "user_code": codes["user_code"]}, base_url=ISSUER).status_code == 403
    assert browser.post("/device", data={**fields, "action": "perhaps"}, base_url=ISSUER).status_code == 400
    other = look(browser, started(tv)["user_code"])[1]["seal"]
    for seal in ("", "x", other):
        assert browser.post("/device", data={**fields, "seal": seal, "action": "allow"}, base_url=ISSUER).status_code == 200
    # somebody else has signed in since the page was shown
    tv.sign_in(browser, shanghai.id)
    assert browser.post("/device", data={**fields, "action": "allow"}, base_url=ISSUER).location is None
    assert error(poll(tv, codes)) == "authorization_pending"


def test_who_is_not_signed_in_comes_back_with_the_code(tv: RelyingParty) -> None:
    codes = started(tv)
    assert tv.browser().get(f"/device?user_code={codes['user_code']}", base_url=ISSUER).location.startswith("/signin/")


def test_who_has_no_right_can_only_end_it(tv: RelyingParty, shanghai: Somebody) -> None:
    codes, browser = started(tv), tv.browser(shanghai.id)
    page, fields = look(browser, codes["user_code"])
    assert 'value="allow"' not in page.get_data(as_text=True)
    assert browser.post("/device", data={**fields, "action": "allow"}, base_url=ISSUER).location is None
    assert say(browser, codes, "deny").location == "/device/denied"
    assert error(poll(tv, codes)) == "access_denied"


def test_a_sign_in_that_is_too_old_is_renewed(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    tv = made(platform, clock, default_max_age=0)
    browser = tv.browser(beijing.id)
    clock.advance(seconds=60)
    codes = started(tv)
    assert look(browser, codes["user_code"])[0].location.startswith("/signin/")
    tv.sign_in(browser, beijing.id)
    assert say(browser, codes, "allow").location == "/device/allowed"


def test_the_end_of_the_session_ends_it(tv: RelyingParty, beijing: Somebody) -> None:
    codes, browser = started(tv), tv.browser(beijing.id)
    say(browser, codes, "allow")
    page = browser.get("/signout", base_url=ISSUER).get_data(as_text=True)
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    browser.post("/signout", data={"csrf_token": token}, base_url=ISSUER)
    assert error(poll(tv, codes)) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"scope": "x" * 2000}, "invalid_request"),
        ({"resource": "urn:nobody"}, "invalid_target"),
    ],
)
def test_what_is_asked_is_judged_like_an_authorization_request(tv: RelyingParty, changes: dict[str, str], expected: str) -> None:
    assert error(tv.call("device", **{"scope": SCOPE, **changes})) == expected


def test_requests_are_limited(tv: RelyingParty, clock: FakeClock) -> None:
    statuses = [tv.call("device", scope="openid").status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]


def test_only_clients_that_are_registered_for_it(platform: Flask, clock: FakeClock, rp: RelyingParty) -> None:
    assert error(rp.call("device", scope="openid")) == "unauthorized_client"
    assert error(rp.call("token", grant_type=DEVICE_CODE, device_code="x")) == "unauthorized_client"
    fapi = {"profile": "fapi2-security", "token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": True}
    for members in ({"grant_types": ["refresh_token"]}, {"grant_types": [DEVICE_CODE], **fapi, "jwks_uri": "https://rp.example/jwks"}):
        with pytest.raises(BadInput):
            judge({"client_id": "x", **members})
    # a device needs no address to come back to
    assert judge({"client_id": "x", "grant_types": [DEVICE_CODE]}).redirect_uris == ()


def test_discovery_tells(tv: RelyingParty) -> None:
    told = body_of(tv.app.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))
    assert told["device_authorization_endpoint"] == f"{ISSUER}/oauth2/device"
    assert DEVICE_CODE in told["grant_types_supported"]


def test_the_ministrys_own_devices_are_not_listed_as_consented(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    own = made(platform, clock, "window", first_party=True)
    codes = started(own)
    assert say(own.browser(beijing.id), codes, "allow").location == "/device/allowed"
    assert poll(own, codes).status_code == 200
    with platform.app_context():
        assert session.query(Consent).count() == 0


@pytest.mark.store
def test_who_may_not_sign_in_any_more_gets_no_tokens(tv: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    codes = started(tv)
    say(tv.browser(beijing.id), codes, "allow")
    with platform.app_context(), transaction():
        session.get_one(Account, beijing.id).status = "suspended"
    assert error(poll(tv, codes)) == "invalid_grant"
    with platform.app_context():
        assert session.query(RefreshToken).count() == 0
