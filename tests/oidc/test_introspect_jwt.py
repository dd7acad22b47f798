"""The signed answer of introspection (RFC 9701): for who names it, under the caller's own algorithm, told to this caller alone."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, assertion, by
from tests.oidc.test_token import refused
from tests.relying_party import ISSUER, RelyingParty, claims_of, header_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("RFC 9701", "5")]
JWT = "application/token-introspection+jwt"


def ask(rp: RelyingParty, token: str, accept: str | None) -> TestResponse:
    headers = {**rp.basic(), **({"Accept": accept} if accept is not None else {})}
    return rp.app.test_client().post("/oauth2/introspect", data={"token": token}, headers=headers, base_url=ISSUER)


def test_the_same_is_told_signed(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    tokens = refreshing.tokens(refreshing.browser(beijing.id))
    for token in (tokens["access_token"], tokens["refresh_token"], "junk"):
        answer = ask(refreshing, token, JWT)
        assert (answer.status_code, answer.content_type, answer.headers["Cache-Control"]) == (200, JWT, "no-store")
        assert "Accept" in answer.vary
        signed = answer.get_data(as_text=True)
        assert claims_of(signed) == {
            "iss": ISSUER,
            "aud": "rp",
            "iat": int(clock.now().timestamp()),
            "token_introspection": refreshing.introspect(token),
        }
        assert (header_of(signed)["typ"], header_of(signed)["alg"]) == ("token-introspection+jwt", "RS256")
    assert claims_of(ask(refreshing, "junk", JWT).get_data(as_text=True))["token_introspection"] == {"active": False}


def test_it_is_signed_as_registered_by_a_published_key(platform: Flask, clock: FakeClock) -> None:
    rp = RelyingParty(platform, clock, introspection_signed_response_alg="ES256")
    header = header_of(ask(rp, "x", JWT).get_data(as_text=True))
    assert header["alg"] == "ES256"
    published = platform.test_client().get("/oauth2/jwks", base_url=ISSUER).get_json()["keys"]
    assert header["kid"] in {key["kid"] for key in published}


@pytest.mark.spec("RFC 9701", "4")
@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        ("application/jwt", False),
        (JWT, True),
        (JWT.upper(), True),
        (f"{JWT};q=1.0", True),
        (f"{JWT};q=0", False),
        (f"{JWT};q=0, */*", False),
        (f"{JWT}, application/json", True),
        (f"application/json, {JWT}", True),
        (f"{JWT}, */*;q=0.1", True),
        (f"{JWT};q=0.5, application/json", False),
        (f"{JWT};q=0.5, application/json;q=0.4", True),
        (f"{JWT};q=0.5, */*", False),
        (f"x{JWT}", False),
        (f"{JWT};q=nonsense", False),
        (f"{JWT}, ///, ;;;q=, a" + "," * 500, True),
        ("a/b" * 3000, False),
    ],
)
def test_only_who_names_it_gets_it(rp: RelyingParty, accept: str | None, signed: bool) -> None:
    answer = ask(rp, "x", accept)
    assert answer.status_code == 200
    assert answer.content_type == (JWT if signed else "application/json")


def test_refusals_are_json_and_an_assertion_is_spent(platform: Flask, clock: FakeClock) -> None:
    jwks = {"keys": [{**KEY.as_dict(private=False), "kid": "k1"}]}
    RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    form = {"token": "x", **by(assertion(clock))}
    first, second = (platform.test_client().post("/oauth2/introspect", data=form, headers={"Accept": JWT}, base_url=ISSUER) for _ in range(2))
    assert (first.status_code, first.content_type) == (200, JWT)
    refused(second, "invalid_client", 401)
    assert second.content_type == "application/json"
