import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from werkzeug.test import TestResponse

from clients.relying_party import app as app_module
from clients.relying_party import provider as provider_module
from clients.relying_party.app import create_app
from clients.relying_party.provider import Session
from clients.relying_party.registration import EKEY, FOLDER, demanding_the_key, private_key, read
from tests.clients.fake_platform import ISSUER, FakePlatform


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    fake = FakePlatform()
    monkeypatch.setattr(Session, "send", lambda _self, request, **kwargs: fake.send(request, **kwargs))
    return fake


@pytest.fixture
def visitor(platform: FakePlatform, tmp_path: Path) -> Iterator[FlaskClient]:
    """A browser at the export system."""
    app = create_app(read(FOLDER / "export"), ISSUER, key=private_key(tmp_path / "export.pem"))
    with app.test_client() as client:
        yield client


def _begun(visitor: FlaskClient, platform: FakePlatform) -> dict[str, str]:
    """Press the button; the parameters that went to the platform."""
    location = visitor.get("/login").location
    asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    platform.nonce = asked["nonce"]
    return asked


def _returned(visitor: FlaskClient, asked: dict[str, str], **changes: str) -> TestResponse:
    return visitor.get("/callback", query_string={"code": "c1", "state": asked["state"], "iss": ISSUER, **changes})


@pytest.mark.requirement("R64")
def test_what_is_left_of_the_legacy_entry_is_shown(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    assert "remaining" not in visitor.get("/").text
    platform.told = {"legacy_entry_remaining": 0}
    _signed_in(visitor, platform)
    assert '<dd id="remaining">0</dd>' in visitor.get("/").text


def _signed_in(visitor: FlaskClient, platform: FakePlatform) -> TestResponse:
    return _returned(visitor, _begun(visitor, platform))


@pytest.mark.requirement("R36")
def test_the_page_shows_who_is_signed_in(visitor: FlaskClient, platform: FakePlatform) -> None:
    assert _signed_in(visitor, platform).location == "/"
    page = visitor.get("/").text
    for shown in ("0441987654321-beijing", "广东示例进出口有限公司", '<dd id="legacy">beijing</dd>', '<dd id="licences">出口许可证（export）</dd>'):
        assert shown in page


@pytest.mark.spec("RFC 7636", "4.3")
def test_the_request_carries_pkce_state_and_nonce(visitor: FlaskClient, platform: FakePlatform) -> None:
    asked = _begun(visitor, platform)
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["state"]
    assert asked["nonce"]
    assert asked["redirect_uri"] == "http://127.0.0.1:8001/callback"
    _returned(visitor, asked)
    assert len(platform.asked[0][1]["code_verifier"]) == 48
    with visitor.session_transaction() as cookie:
        assert "code_verifier" not in str(dict(cookie))


@pytest.mark.spec("RFC 7523", "3")
def test_each_assertion_is_short_lived_and_its_own(visitor: FlaskClient, platform: FakePlatform, tmp_path: Path) -> None:
    for _ in range(2):
        _signed_in(visitor, platform)
    key = private_key(tmp_path / "export.pem")
    found = [jwt.decode(body["client_assertion"], key, algorithms=["ES256"]) for _, body in platform.asked]
    assert found[0].claims["jti"] != found[1].claims["jti"]
    for assertion in found:
        assert assertion.claims["aud"] == ISSUER
        assert assertion.claims["iss"] == assertion.claims["sub"] == "export-system"
        assert assertion.claims["exp"] <= time.time() + 60
        assert assertion.header["kid"] == key.thumbprint()
    assert "client_secret" not in platform.asked[0][1]


def test_a_secret_goes_in_the_basic_header(platform: FakePlatform) -> None:
    registration = read(FOLDER / "export")
    registration.client["token_endpoint_auth_method"] = "client_secret_basic"
    visitor = create_app(registration, ISSUER, secret="s3cret-of-the-export-system").test_client()
    assert _signed_in(visitor, platform).status_code == 303
    assert platform.basic[0].startswith("Basic ")
    assert "client_secret" not in platform.asked[0][1]


WRONG_ID_TOKENS: list[tuple[str, dict[str, Any]]] = [
    ("issuer", {"iss": "https://evil.example"}),
    ("issuer missing", {"iss": None}),
    ("audience", {"aud": "import-system"}),
    ("audience, with our azp", {"aud": ["import-system"], "azp": "export-system"}),
    ("audience missing", {"aud": None}),
    ("several audiences without azp", {"aud": ["export-system", "import-system"]}),
    ("azp", {"azp": "import-system"}),
    ("expired", {"exp": int(time.time()) - 120}),
    ("no end", {"exp": None}),
    ("not yet", {"iat": int(time.time()) + 3600}),
    ("nonce", {"nonce": "another"}),
    ("nonce missing", {"nonce": None}),
    ("at_hash", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ("no subject", {"sub": None}),
]


@pytest.mark.spec("OIDC Core", "3.1.3.7")
@pytest.mark.parametrize("claims", [claims for _, claims in WRONG_ID_TOKENS], ids=[name for name, _ in WRONG_ID_TOKENS])
def test_a_wrong_id_token_signs_nobody_in(visitor: FlaskClient, platform: FakePlatform, claims: dict[str, Any]) -> None:
    platform.id_claims = claims
    assert _signed_in(visitor, platform).status_code == 400
    assert 'id="user"' not in visitor.get("/").text


@pytest.mark.spec("OIDC Core", "3.1.3.7")
@pytest.mark.parametrize(("acr", "status"), [(EKEY, 303), ("urn:licence:acr:password", 400), (None, 400)])
def test_a_system_that_demands_the_key_looks_whether_it_was_used(platform: FakePlatform, tmp_path: Path, acr: str | None, status: int) -> None:
    app = create_app(demanding_the_key(read(FOLDER / "export")), ISSUER, key=private_key(tmp_path / "export.pem"))
    platform.id_claims = {"acr": acr}
    with app.test_client() as visitor:
        assert _signed_in(visitor, platform).status_code == status


WRONG_ACCESS_TOKENS: list[tuple[str, dict[str, Any]]] = [
    ("issuer", {"iss": "https://evil.example"}),
    ("another system's", {"aud": "urn:licence:system:import"}),
    ("another client's", {"client_id": "import-system"}),
    ("expired", {"exp": int(time.time()) - 120}),
    ("scope missing", {"scope": None}),
    ("scope no string", {"scope": ["licence:export"]}),
]


@pytest.mark.spec("RFC 9068", "4")
@pytest.mark.parametrize("claims", [claims for _, claims in WRONG_ACCESS_TOKENS], ids=[name for name, _ in WRONG_ACCESS_TOKENS])
def test_a_wrong_access_token_signs_nobody_in(visitor: FlaskClient, platform: FakePlatform, claims: dict[str, Any]) -> None:
    platform.at_claims = claims
    assert _signed_in(visitor, platform).status_code == 400


@pytest.mark.spec("RFC 9068", "4")
def test_an_id_token_is_no_access_token(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.at_header = {"typ": "JWT"}
    assert _signed_in(visitor, platform).status_code == 400


@pytest.mark.parametrize(
    "forged", [ECKey.generate_key("P-256", {"kid": "k1"}), ECKey.generate_key("P-256", {"kid": "k2"})], ids=["same kid", "new kid"]
)
def test_a_foreign_key_is_not_believed(visitor: FlaskClient, platform: FakePlatform, forged: ECKey) -> None:
    platform.signing_key = forged
    assert _signed_in(visitor, platform).status_code == 400


@pytest.mark.spec("RFC 8725", "3.1")
def test_only_the_registered_algorithm_counts(visitor: FlaskClient, platform: FakePlatform) -> None:
    """The discovery document offers RS256 as well, and the key is published; ES256 is what was registered."""
    platform.alg = "RS256"
    platform.key = RSAKey.generate_key(2048, {"kid": "r1"})
    assert _signed_in(visitor, platform).status_code == 400


@pytest.mark.spec("RFC 8725", "3.1")
def test_a_public_key_is_no_shared_secret(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.alg = "HS256"
    platform.signing_key = OctKey.import_key({"kty": "oct", "k": platform.key.as_dict(private=False)["x"], "kid": "k1"})
    assert _signed_in(visitor, platform).status_code == 400


def test_a_new_signing_key_is_looked_up(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    platform.key = ECKey.generate_key("P-256", {"kid": "next"})
    assert _signed_in(visitor, platform).status_code == 303


def test_a_withdrawn_key_dies_within_five_minutes(visitor: FlaskClient, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    _signed_in(visitor, platform)
    platform.signing_key = platform.key
    platform.key = ECKey.generate_key("P-256", {"kid": "next"})
    later = time.time() + provider_module.JWKS_SECONDS + 1
    asked = _begun(visitor, platform)
    expires = {"exp": int(later) + 600, "iat": int(later)}
    platform.id_claims = platform.at_claims = expires
    monkeypatch.setattr(time, "time", lambda: later)
    assert _returned(visitor, asked).status_code == 400


@pytest.mark.spec("RFC 9207", "2.4")
@pytest.mark.parametrize("error", [{}, {"error": "access_denied"}], ids=["code", "error"])
def test_an_answer_of_another_issuer_is_dropped(visitor: FlaskClient, platform: FakePlatform, error: dict[str, str]) -> None:
    asked = _begun(visitor, platform)
    assert _returned(visitor, asked, iss="https://evil.example", **error).status_code == 400
    assert visitor.get("/callback", query_string={"code": "c1", "state": asked["state"], **error}).status_code == 400
    assert platform.asked == []


@pytest.mark.spec("OIDC Discovery", "4.3")
def test_a_discovery_document_of_another_issuer_is_dropped(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.document = {"issuer": "https://evil.example"}
    assert visitor.get("/login").status_code == 502
    platform.document = {}
    assert visitor.get("/login").status_code == 302


def test_an_answer_nobody_asked_for_is_dropped(visitor: FlaskClient, platform: FakePlatform) -> None:
    asked = _begun(visitor, platform)
    assert visitor.application.test_client().get("/callback", query_string={"code": "c", "state": asked["state"], "iss": ISSUER}).status_code == 400
    assert _returned(visitor, asked, state="another").status_code == 400
    assert _returned(visitor, asked).status_code == 303
    assert _returned(visitor, asked).status_code == 400


def test_a_flood_of_begun_sign_ins_signs_nobody_out(platform: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MOST_UNDER_WAY", 3)
    app = create_app(read(FOLDER / "export"), ISSUER, key=private_key(tmp_path / "export.pem"))
    visitor, late = app.test_client(), app.test_client()
    _signed_in(visitor, platform)
    asked = _begun(late, platform)
    for _ in range(3):
        app.test_client().get("/login")
    assert 'id="user"' in visitor.get("/").text
    # what the flood costs is the oldest sign-in under way, and that is a page
    assert _returned(late, asked).status_code == 400
    assert _signed_in(late, platform).status_code == 303


@pytest.mark.spec("OIDC Core", "5.3.2")
def test_userinfo_of_another_person_is_dropped(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.told = {"sub": "s2"}
    assert _signed_in(visitor, platform).status_code == 400


def test_who_may_not_work_here_gets_a_clear_page(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.at_claims = {"scope": "openid profile licence:import"}
    answer = _signed_in(visitor, platform)
    assert answer.status_code == 403
    assert "目前不能办理" in answer.text
    asked = _begun(visitor, platform)
    denied = _returned(visitor, asked, error="access_denied")
    assert denied.status_code == 403
    assert "目前不能办理" in denied.text
    assert 'id="user"' not in visitor.get("/").text


@pytest.mark.spec("OIDC Core", "4")
def test_the_hall_can_start_the_sign_in(visitor: FlaskClient, platform: FakePlatform) -> None:
    assert visitor.get("/login", query_string={"iss": ISSUER, "target_link_uri": "https://evil.example/"}).status_code == 302
    assert visitor.get("/login", query_string={"iss": "https://evil.example"}).status_code == 400


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_here_and_at_the_platform(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    answer = visitor.post("/logout", headers={"Origin": "http://127.0.0.1:8001"})
    sent = parse_qs(urlsplit(answer.location).query)
    assert answer.status_code == 303
    assert answer.location.startswith(f"{ISSUER}/oauth2/logout?")
    assert sent["post_logout_redirect_uri"] == ["http://127.0.0.1:8001/signed-out"]
    assert sent["id_token_hint"]
    assert 'id="user"' not in visitor.get("/").text


def test_a_neighbour_cannot_sign_anybody_out(visitor: FlaskClient, platform: FakePlatform) -> None:
    _signed_in(visitor, platform)
    assert visitor.post("/logout", headers={"Origin": "http://127.0.0.1:8002"}).status_code == 403
    assert 'id="user"' in visitor.get("/").text


def test_names_are_escaped(visitor: FlaskClient, platform: FakePlatform) -> None:
    platform.told = {"name": "<script>alert(1)</script>"}
    _signed_in(visitor, platform)
    assert "<script>" not in visitor.get("/").text


@pytest.mark.parametrize(
    "path", ["/callback", "/callback?iss=", "/login?login_hint=%00%ff", "/callback?iss=http%3A%2F%2F127.0.0.1%3A8000&state=%ff&error=x"]
)
def test_nothing_a_visitor_sends_is_a_500(visitor: FlaskClient, platform: FakePlatform, path: str) -> None:
    assert visitor.get(path).status_code < 500
