"""The device grant is off by default: not told, not there."""

from pathlib import Path

from flask import Flask

from idp.oidc import dynamic_registration
from idp.oidc.dynamic_registration import Rejected, Wanted
from idp.oidc.registration import DEVICE_CODE
from tests.command_line import idp
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_device import made
from tests.relying_party import ISSUER, body_of


def test_nothing_of_it_is_there(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    tv = made(platform, clock)
    answer = tv.call("device", scope="openid")
    assert (answer.status_code, body_of(answer)["error"]) == (404, "invalid_request")
    refused = tv.call("token", grant_type=DEVICE_CODE, device_code="x")
    assert (refused.status_code, body_of(refused)["error"]) == (400, "unsupported_grant_type")
    # nor is anybody asked to sign in for it
    for browser in (tv.browser(beijing.id), tv.browser()):
        assert {browser.get(path, base_url=ISSUER).status_code for path in ("/device", "/device/allowed", "/device/denied")} == {404}
        assert browser.post("/device", base_url=ISSUER).status_code == 404
    told = body_of(browser.get("/.well-known/openid-configuration", base_url=ISSUER))
    assert "device_authorization_endpoint" not in told
    assert DEVICE_CODE not in told["grant_types_supported"]


def test_clients_that_register_themselves_are_told() -> None:
    both = {"grant_types": ["authorization_code", DEVICE_CODE], "redirect_uris": ["https://rp.example/cb"]}
    left, kept = dynamic_registration.judged(both, "c", {}), dynamic_registration.judged(both, "c", {}, device=True)
    assert isinstance(left, Wanted)
    assert isinstance(kept, Wanted)
    assert (left.registration.grant_types, kept.registration.grant_types) == (("authorization_code",), ("authorization_code", DEVICE_CODE))
    assert isinstance(dynamic_registration.judged({"grant_types": [DEVICE_CODE]}, "c", {}), Rejected)


def test_operators_are_told_too(platform: Flask, tmp_path: Path) -> None:
    file = tmp_path / "tv.toml"
    file.write_text(f'client_id = "tv"\ntoken_endpoint_auth_method = "none"\ngrant_types = ["{DEVICE_CODE}"]\n')
    said = idp(platform, "client", "apply", file)
    assert said.code == 1
    assert "IDP_DEVICE_GRANT" in said.err
