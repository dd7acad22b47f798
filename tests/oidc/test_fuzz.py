"""Nothing that a client can send makes a 5xx."""

import base64
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.oidc import pushed_requests
from idp.oidc.authorization_request import KNOWN
from idp.oidc.registration import DEVICE_CODE
from idp.settings import Settings
from tests.certificates import make, name_of
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty

pytestmark = pytest.mark.slow

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.one_of(
    st.text(max_size=60), st.sampled_from(["none", "login", "code", "openid licence:export", "0", "é" * 50, "\x00", "{}", "a.b.c", "%", "form_post"])
)
TOKEN_NAMES = [
    *("grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"),
    *("client_assertion", "client_assertion_type", "resource", "scope", "refresh_token", "device_code", "user_activity", "token", "token_type_hint"),
]


@pytest.fixture(name="settings")
def everything_on(tmp_path: Path, database_url: str) -> Settings:
    """What is off by default is walked as well."""
    on: dict[str, Any] = {"client_registration": "on", "device_grant": "on", "trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert"}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, **on)


@pytest.mark.parametrize("signed_in", [True, False])
@quick
@given(changes=st.dictionaries(st.sampled_from(sorted(KNOWN)), VALUES, max_size=4))
def test_authorize(rp: RelyingParty, beijing: Somebody, signed_in: bool, changes: dict[str, str]) -> None:
    browser = rp.browser(beijing.id if signed_in else None)
    assert rp.authorize(browser, **changes).status_code < 500
    assert browser.post("/oauth2/authorize", data=rp.request(**changes), base_url=ISSUER).status_code < 500
    assert browser.get("/oauth2/logout", query_string=changes, base_url=ISSUER).status_code < 500
    told = rp.call("par", **rp.request(**changes))
    assert told.status_code == 201 or 400 <= told.status_code < 500
    started = {"client_id": "rp", **changes, "request_uri": (told.json or {}).get("request_uri") or f"{pushed_requests.PREFIX}{changes.get('state')}"}
    assert browser.get("/oauth2/authorize", query_string=started, base_url=ISSUER).status_code < 500


@quick
@given(
    form=st.dictionaries(st.sampled_from(TOKEN_NAMES), VALUES, max_size=6),
    header=st.one_of(st.none(), st.text(st.characters(max_codepoint=255), max_size=40)),
)
def test_token(rp: RelyingParty, form: dict[str, str], header: str | None) -> None:
    clean = None if header is None else header.replace("\r", "").replace("\n", "")
    headers = rp.basic() if clean is None else {"Authorization": clean}
    full = {"grant_type": "authorization_code", **form}
    assert 400 <= rp.token(full, headers).status_code < 500
    for path in ("/oauth2/revoke", "/oauth2/introspect"):
        assert rp.browser().post(path, data=form, headers=headers, base_url=ISSUER).status_code < 500
    assert rp.browser().get("/oauth2/userinfo", headers=headers, base_url=ISSUER).status_code in (400, 401)


CERTIFICATE = make(name_of("own"))
AT = st.integers(0, len(CERTIFICATE.der) - 1)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@quick
@given(sent=st.one_of(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60), st.binary(max_size=80)), at=AT)
def test_certificates(platform: Flask, rp: RelyingParty, sent: str | bytes, at: int) -> None:
    """What the trusted proxy hands on is what a client shows: any text, or DER with anything in it."""
    der = CERTIFICATE.der
    header = sent if isinstance(sent, str) else f":{base64.b64encode(der[:at] + sent + der[at + len(sent) :]).decode()}:"
    for path in ("token", "par", "device", "revoke", "introspect", "userinfo"):
        form = {"client_id": "rp", "token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
        answer = platform.test_client().post(f"/oauth2/{path}", data=form, headers={"Client-Cert": header}, base_url=ISSUER)
        assert 400 <= answer.status_code < 500


@quick
@given(typed=VALUES, action=VALUES, seal=VALUES)
def test_the_page_of_devices(platform: Flask, rp: RelyingParty, clock: FakeClock, beijing: Somebody, typed: str, action: str, seal: str) -> None:
    clock.advance(hours=1)
    browser = rp.browser(beijing.id)
    page = browser.get("/device", query_string={"user_code": typed}, base_url=ISSUER).get_data(as_text=True)
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    for said in (action, "look", "allow", "deny"):
        form = {"csrf_token": token, "user_code": typed, "seal": seal, "action": said}
        assert browser.post("/device", data=form, base_url=ISSUER).status_code == 400


@quick
@given(body=st.binary(max_size=200))
def test_raw_bodies(rp: RelyingParty, body: bytes) -> None:
    for path in (
        "/oauth2/token",
        "/oauth2/par",
        "/oauth2/revoke",
        "/oauth2/introspect",
        "/oauth2/device",
        "/oauth2/authorize",
        "/oauth2/logout",
        "/oauth2/userinfo",
    ):
        response = rp.browser().post(path, data=body, content_type="application/x-www-form-urlencoded", base_url=ISSUER)
        assert response.status_code < 500


@quick
@given(raw=st.text(alphabet="%&=+;abc0123456789f_-.", max_size=80))
def test_raw_queries(rp: RelyingParty, raw: str) -> None:
    for path in ("/oauth2/authorize", "/oauth2/logout", "/oauth2/userinfo"):
        assert rp.browser().get(f"{path}?{raw}", base_url=ISSUER).status_code < 500


@pytest.mark.store
@pytest.mark.parametrize("value", ["\x00", "é" * 600, "x" * 3000, "\ud7ff", "𝕏" * 400, "'", '"', "\\", "%s", "{}"])
def test_odd_values_reach_no_database_error(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, value: str) -> None:
    device = RelyingParty(platform, clock, "device", grant_types=[DEVICE_CODE])
    for name in KNOWN:
        assert rp.authorize(rp.browser(), **{name: value}).status_code < 500
        assert rp.call("par", **rp.request(**{name: value})).status_code < 500
    for name in TOKEN_NAMES:
        assert rp.redeem("x", None, **{name: value}).status_code < 500 if name != "code" else rp.redeem(value).status_code < 500
    for name in ("scope", "resource", "client_id"):
        assert device.call("device", **{"scope": "openid", name: value}).status_code < 500
    assert device.call("token", grant_type=DEVICE_CODE, device_code=value).status_code < 500
    assert rp.browser(beijing.id).get("/device", query_string={"user_code": value}, base_url=ISSUER).status_code < 500
    for name in ("token", "token_type_hint", "client_id"):
        assert rp.call("revoke", **{"token": "x", name: value}).status_code < 500
        assert rp.call("introspect", **{"token": "x", name: value}).status_code < 500
    assert rp.browser().get(f"/oauth2/authorize/{value[:300]}", base_url=ISSUER).status_code < 500
    assert rp.authorize(rp.browser(), request_uri=pushed_requests.PREFIX + value).status_code < 500
