"""`idp dev conformance --fapi`: the clients of the FAPI 2.0 plans, with the private halves that the suite needs, printed once."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from joserfc.jwk import import_key

from idp.db import session
from idp.oidc.models import ClientRecord
from idp.settings import Settings
from tests.command_line import idp
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.fapi import ASSERTION_TYPE, signed
from tests.oidc.test_conformance import BASE, prepared
from tests.relying_party import CHALLENGE, ISSUER

pytestmark = pytest.mark.slow
MTLS = "http://127.0.0.1:8001"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    behind: dict[str, Any] = {"trusted_proxy": ("127.0.0.1",), "client_cert_header": "Client-Cert", "mtls_base_url": MTLS}
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_cert_format="pem-escaped", **behind)


def pushes(platform: Flask, clock: FakeClock, told: dict[str, Any], client: str, mtls: str) -> int:
    """The status that a pushed request of this client gets, proven and signed by what was printed."""
    client_id, key = told[client]["client_id"], import_key(told[client]["jwks"]["keys"][0])
    now, header = int(clock.now().timestamp()), {"alg": "ES256", "kid": told[client]["jwks"]["keys"][0]["kid"]}
    claims = {"iss": client_id, "aud": ISSUER, "exp": now + 60, "nbf": now, "client_id": client_id}
    asked = {"response_type": "code", "redirect_uri": f"{BASE}/callback", "scope": told[client]["scope"]}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    form = {"client_id": client_id, **asked}
    if "message" in client_id:
        form = {"client_id": client_id, "request": signed(key, header, {**claims, **asked})}
    if mtls in told:
        shown = {"Client-Cert": quote(told[mtls]["cert"], safe=""), "X-Forwarded-Host": MTLS.removeprefix("http://")}
        return platform.test_client().post("/oauth2/par", data=form, headers=shown, base_url=MTLS).status_code
    proof = signed(key, header, {**claims, "sub": client_id, "jti": f"{client_id}-{now}"})
    form |= {"client_assertion": proof, "client_assertion_type": ASSERTION_TYPE}
    return platform.test_client().post("/oauth2/par", data=form, base_url=ISSUER).status_code


def test_each_client_can_begin_with_what_was_printed(platform: Flask, clock: FakeClock) -> None:
    plans = prepared(platform, "--fapi")["fapi"]
    assert set(plans) == {"private_key_jwt-dpop", "mtls-mtls", "message-signing"}
    for told in plans.values():
        assert told["client"]["client_id"] != told["client2"]["client_id"]
        assert [pushes(platform, clock, told, *parts) for parts in (("client", "mtls"), ("client2", "mtls2"))] == [201, 201]
    assert plans["mtls-mtls"]["resource"]["resourceUrl"] == f"{MTLS}/oauth2/userinfo"
    assert plans["message-signing"]["resource"]["resourceUrl"] == f"{ISSUER}/oauth2/userinfo"


def test_private_halves_stay_with_who_read_them(platform: Flask) -> None:
    plans = prepared(platform, "--fapi")["fapi"]
    with platform.app_context():
        stored = json.dumps([row.registration for row in session.query(ClientRecord).all()])
    for told in plans.values():
        for client in (told["client"], told["client2"]):
            assert client["client_id"] in stored
            assert client["jwks"]["keys"][0]["d"] not in stored


def test_keys_of_an_earlier_run_are_kept(platform: Flask, clock: FakeClock, tmp_path: Path) -> None:
    first, file = prepared(platform, "--fapi")["fapi"], tmp_path / "plans.json"
    part = {name: {each: told[each] for each in ("client", "mtls") if each in told} for name, told in first.items()}
    file.write_text(json.dumps(part))
    second = prepared(platform, "--fapi-keys", str(file))["fapi"]
    for name, told in second.items():
        assert told["client"] == first[name]["client"]
        assert told["client2"]["jwks"] != first[name]["client2"]["jwks"]
        assert pushes(platform, clock, told, "client", "mtls") == 201
        assert pushes(platform, clock, first[name], "client2", "mtls2") == 401


@pytest.mark.parametrize("text", ["", "[]", '{"mtls-mtls": 1}', '{"mtls-mtls": {"client": []}}', '{"mtls-mtls": {"mtls": {"cert": "x"}}}'])
def test_a_file_that_holds_something_else_is_named(platform: Flask, tmp_path: Path, text: str) -> None:
    file = tmp_path / "plans.json"
    file.write_text(text)
    said = idp(platform, "dev", "conformance", "--fapi-keys", str(file))
    assert said.code == 1
    assert "Traceback" not in said.err
    assert said.err.strip()


def test_without_a_proxy_that_asks_for_certificates(platform: Flask) -> None:
    held = platform.extensions["idp"]
    plain = held.settings.model_copy(update={"client_cert_header": "", "mtls_base_url": ""})
    platform.extensions["idp"] = type(held)(plain, held.adapters, held.secret, held.hooks)
    told = prepared(platform, "--fapi")
    assert "mtls-mtls" not in told["fapi"]
    assert any("IDP_MTLS_BASE_URL" in note for note in told["notes"])
    platform.extensions["idp"] = held


def test_nothing_of_it_is_made_unless_asked_for(platform: Flask) -> None:
    assert prepared(platform)["fapi"] == {}
    assert "conformance-message-signing-2" in idp(platform, "dev", "conformance", "--fapi").out
