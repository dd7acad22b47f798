"""The platform says that a session is over; the business system believes only what the platform has signed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, OctKey, RSAKey
from werkzeug.test import TestResponse

from clients.relying_party import provider as provider_module
from clients.relying_party.app import create_app
from clients.relying_party.provider import Session
from clients.relying_party.registration import FOLDER, private_key, read
from tests.clients.fake_platform import ISSUER, FakePlatform
from tests.clients.test_relying_party import _begun, _returned, _signed_in

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    fake = FakePlatform(id_claims={"sid": "sid-1"})
    monkeypatch.setattr(Session, "send", lambda _self, request, **kwargs: fake.send(request, **kwargs))
    return fake


@pytest.fixture
def visitor(platform: FakePlatform, tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(read(FOLDER / "export"), ISSUER, key=private_key(tmp_path / "export.pem"))
    with app.test_client() as client:
        yield client


def tell(visitor: FlaskClient, token: str) -> TestResponse:
    """The platform's own request: without cookies."""
    return visitor.application.test_client().post("/backchannel-logout", data={"logout_token": token})


def is_in(visitor: FlaskClient) -> bool:
    return 'id="user"' in visitor.get("/").text


@pytest.mark.spec("OIDC Back-Channel Logout", "2.7")
@pytest.mark.requirement("R76")
@pytest.mark.parametrize("changes", [{}, {"sub": None}, {"sid": None}, {"aud": ["export-system"]}], ids=["both", "sid", "sub", "list"])
def test_the_session_is_over(visitor: FlaskClient, platform: FakePlatform, changes: dict[str, Any]) -> None:
    _signed_in(visitor, platform)
    assert is_in(visitor)
    answer = tell(visitor, platform.logout_token(**changes))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert not is_in(visitor)


def test_only_the_session_that_is_named_is_over(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    assert tell(visitor, platform.logout_token(sid="sid-2")).status_code == 200
    assert is_in(visitor)
    assert tell(visitor, platform.logout_token(sid=None, sub="s2")).status_code == 200
    assert is_in(visitor)


def test_a_sign_out_that_overtakes_the_sign_in_wins(visitor: FlaskClient, platform: FakePlatform) -> None:
    asked = _begun(visitor, platform)
    assert tell(visitor, platform.logout_token()).status_code == 200
    assert _returned(visitor, asked).status_code == 400
    assert not is_in(visitor)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("issuer", {"iss": "https://evil.example"}),
    ("issuer missing", {"iss": None}),
    ("audience", {"aud": "import-system"}),
    ("audience missing", {"aud": None}),
    ("iat missing", {"iat": None}),
    ("from the future", {"iat": int(time.time()) + 3600}),
    ("old", {"iat": int(time.time()) - 3600}),
    ("exp missing", {"exp": None}),
    ("expired", {"exp": int(time.time()) - 120}),
    ("jti missing", {"jti": None}),
    ("events missing", {"events": None}),
    ("events no object", {"events": [EVENT]}),
    ("another event", {"events": {"http://schemas.example/other": {}}}),
    ("event no object", {"events": {EVENT: 1}}),
    ("nonce", {"nonce": "n"}),
    ("neither sid nor sub", {"sid": None, "sub": None}),
    ("sid no string", {"sid": ["sid-1"]}),
    ("sub no string", {"sub": {"a": 1}}),
]


@pytest.mark.spec("OIDC Back-Channel Logout", "2.6")
@pytest.mark.parametrize("changes", [changes for _, changes in WRONG], ids=[name for name, _ in WRONG])
def test_a_wrong_logout_token_ends_nothing(visitor: FlaskClient, platform: FakePlatform, changes: dict[str, Any]) -> None:
    _signed_in(visitor, platform)
    assert tell(visitor, platform.logout_token(**changes)).status_code == 400
    assert is_in(visitor)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "x" * 9000, "é", "\x00"])
def test_what_is_no_token_ends_nothing(visitor: FlaskClient, platform: FakePlatform, token: str) -> None:
    _signed_in(visitor, platform)
    assert tell(visitor, token).status_code == 400
    assert visitor.get("/backchannel-logout").status_code == 405
    assert is_in(visitor)


@pytest.mark.spec("RFC 8725", "3.11")
def test_an_id_token_is_no_logout_token(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    platform.logout_header = {"typ": "JWT"}
    assert tell(visitor, platform.logout_token()).status_code == 400
    assert is_in(visitor)


@pytest.mark.spec("OIDC Back-Channel Logout", "2.6")
def test_a_token_counts_once(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    token = platform.logout_token()
    assert [tell(visitor, token).status_code for _ in range(2)] == [200, 400]


@pytest.mark.spec("RFC 8725", "3.1")
def test_only_the_platforms_key_and_the_registered_algorithm_count(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    public = platform.key.as_dict(private=False)
    platform.signing_key = ECKey.generate_key("P-256", {"kid": "k1"})
    assert tell(visitor, platform.logout_token()).status_code == 400
    platform.alg, platform.signing_key = "HS256", OctKey.import_key({"kty": "oct", "k": public["x"], "kid": "k1"})
    assert tell(visitor, platform.logout_token()).status_code == 400
    platform.alg, platform.signing_key = "RS256", RSAKey.generate_key(2048, {"kid": "k1"})
    assert tell(visitor, platform.logout_token()).status_code == 400
    assert is_in(visitor)


def test_a_new_key_of_the_platform_is_looked_up_but_not_at_every_nonsense(
    visitor: FlaskClient, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signed_in(visitor, platform)
    fetched = platform.jwks_fetches
    platform.key = ECKey.generate_key("P-256", {"kid": "k2"})
    for _ in range(3):
        assert tell(visitor, platform.logout_token()).status_code == 400
    assert platform.jwks_fetches == fetched
    monkeypatch.setattr(provider_module, "JWKS_AGAIN_SECONDS", 0)
    assert tell(visitor, platform.logout_token()).status_code == 200
    assert not is_in(visitor)
