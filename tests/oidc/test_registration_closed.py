"""Without the operator's word there is no dynamic registration."""

import pytest
from flask import Flask

from idp.settings import Settings
from tests.command_line import idp
from tests.relying_party import ISSUER, body_of


@pytest.mark.spec("RFC 7591", "3")
def test_it_is_not_there(platform: Flask) -> None:
    said = idp(platform, "client", "token", "--uses", "5", "--expires", "24h", "--policy", "default")
    assert said.code == 0
    assert "IDP_CLIENT_REGISTRATION" in said.err
    token = said.out.split()[-1]
    for method, path in (
        ("POST", "/oauth2/register"),
        ("GET", "/oauth2/register/x"),
        ("PUT", "/oauth2/register/x"),
        ("DELETE", "/oauth2/register/x"),
    ):
        sent = {"redirect_uris": ["https://rp.example/cb"]}
        answer = platform.test_client().open(path, method=method, json=sent, headers={"Authorization": f"Bearer {token}"}, base_url=ISSUER)
        assert answer.status_code == 404
    assert "registration_endpoint" not in body_of(platform.test_client().get("/.well-known/openid-configuration", base_url=ISSUER))


def test_leave_without_pkce_is_refused_in_production(platform: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "production", True)
    said = idp(platform, "client", "token", "--policy", "certification")
    assert (said.code, "production" in said.err) == (1, True)
    said = idp(platform, "dev", "conformance")
    assert (said.code, "production" in said.err) == (1, True)
