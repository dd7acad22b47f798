"""A yes counts for what the page showed: a client that changes while the page is open gets nothing more by it."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp.db import session
from idp.oidc.models import Consent, Grant
from idp.settings import Settings
from tests.command_line import idp
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_consent import page
from tests.oidc.test_register import allow, call, own, path_of, registered
from tests.relying_party import CHALLENGE, ISSUER, RelyingParty, answer_of

CALLBACK = "https://rp.example/cb"
# the client may have no more than openid at first, and asks for more in either way
WISHES = [{"scope": "openid email"}, {"scope": "openid", "claims": '{"userinfo":{"email":null}}'}]


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on")


def open_page(browser: FlaskClient, client_id: str, wish: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The consent page for a client that may have openid alone."""
    asked = {"client_id": client_id, "redirect_uri": CALLBACK, "response_type": "code", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    path, text, fields = page(browser, browser.get("/oauth2/authorize", query_string={**asked, **wish}, base_url=ISSUER).location)
    assert "电子邮箱" not in text
    return path, fields


def asked_again(platform: Flask, browser: FlaskClient, path: str, fields: dict[str, str], shown: str) -> None:
    """The old yes brings the page again with what is new, and nothing else; a yes to that one counts."""
    again = browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER)
    assert again.location == path
    with platform.app_context():
        assert (session.query(Grant).count(), session.query(Consent).count()) == (0, 0)
    _, text, fields = page(browser, path)
    assert shown in text
    assert "code" in answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))


@pytest.mark.requirement("R81")
@pytest.mark.spec("RFC 7592", "2.2")
@pytest.mark.parametrize("wish", WISHES)
def test_a_client_that_widens_its_own_registration(platform: Flask, clock: FakeClock, beijing: Somebody, wish: dict[str, str]) -> None:
    told = registered(platform, allow(platform), scope="openid", redirect_uris=[CALLBACK])
    browser = RelyingParty(platform, clock).browser(beijing.id)
    path, fields = open_page(browser, told["client_id"], wish)
    wider = {"client_id": told["client_id"], "redirect_uris": [CALLBACK], "scope": "openid email"}
    assert call(platform, "PUT", path_of(told), own(told), wider).status_code == 200
    asked_again(platform, browser, path, fields, "电子邮箱")


@pytest.mark.requirement("R81")
@pytest.mark.parametrize("wish", WISHES)
def test_a_client_that_an_operator_widens(platform: Flask, clock: FakeClock, beijing: Somebody, wish: dict[str, str], tmp_path: Path) -> None:
    rp = stranger(platform, clock)
    path, fields = open_page(browser := rp.browser(beijing.id), "stranger", wish)
    applied(platform, tmp_path, scope="openid email", client_name="物流公司")
    asked_again(platform, browser, path, fields, "电子邮箱")


def test_a_client_that_takes_another_name(platform: Flask, clock: FakeClock, beijing: Somebody, tmp_path: Path) -> None:
    rp = stranger(platform, clock)
    path, fields = open_page(browser := rp.browser(beijing.id), "stranger", {"scope": "openid"})
    applied(platform, tmp_path, scope="openid", client_name="海关总署")
    asked_again(platform, browser, path, fields, "海关总署")


def test_what_is_not_on_the_page_may_change(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = stranger(platform, clock)
    path, fields = open_page(browser := rp.browser(beijing.id), "stranger", {"scope": "openid"})
    assert idp(platform, "client", "rotate-secret", "stranger").code == 0
    assert "code" in answer_of(browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER))


def stranger(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "stranger", first_party=False, redirect_uris=[CALLBACK], scope="openid", client_name="物流公司")


def applied(platform: Flask, folder: Path, **members: Any) -> None:
    file = folder / "stranger.toml"
    lines = [f'{name} = "{value}"' for name, value in {"client_id": "stranger", **members}.items()]
    file.write_text("\n".join([*lines, f'redirect_uris = ["{CALLBACK}"]', 'id_token_signed_response_alg = "ES256"']), "utf-8")
    said = idp(platform, "client", "apply", file)
    assert (said.code, said.out) == (0, "stranger: updated\n"), said.err
