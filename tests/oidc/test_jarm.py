"""Answers as one signed JWT (JARM): nothing beside it, errors too, and for the client that asked alone."""

import json
import re
from typing import Any

import pytest
from flask import Flask
from joserfc import jws
from joserfc.jwk import KeySet
from werkzeug.test import TestResponse

from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_consent import page
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, header_of

pytestmark = pytest.mark.spec("JARM", "2.1")


@pytest.fixture
def signed(platform: Flask, clock: FakeClock) -> RelyingParty:
    """One of the ministry's own that takes ES256."""
    return RelyingParty(platform, clock, authorization_signed_response_alg="ES256", scope="openid")


def opened(rp: RelyingParty, response: str) -> dict[str, Any]:
    """What the JWT says, verified by the served keys, for this client and now."""
    served = body_of(rp.app.test_client().get("/oauth2/jwks", base_url=ISSUER))
    keys = KeySet.import_key_set(served)  # type: ignore[arg-type]  # joserfc's type
    claims = json.loads(jws.deserialize_compact(response, keys, algorithms=["ES256", "RS256"]).payload)
    now = rp.clock.now().timestamp()
    assert (claims["iss"], claims["aud"]) == (ISSUER, rp.client_id)
    assert now < claims["exp"] <= now + 600
    return {name: value for name, value in claims.items() if name not in ("iss", "aud", "exp", "iat")}


def in_query(rp: RelyingParty, answer: TestResponse) -> dict[str, Any]:
    sent = answer_of(answer)
    assert set(sent) == {"response"}
    return opened(rp, sent["response"])


def in_form(rp: RelyingParty, answer: TestResponse) -> dict[str, Any]:
    text = answer.get_data(as_text=True)
    ((name, value),) = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', text)
    assert (answer.status_code, name) == (200, "response")
    # no script is needed to go on
    assert 'id="continue"' in text
    return opened(rp, value)


@pytest.mark.parametrize("mode", ["jwt", "query.jwt"])
def test_the_code_travels_inside(signed: RelyingParty, beijing: Somebody, mode: str) -> None:
    told = in_query(signed, signed.authorize(signed.browser(beijing.id), response_mode=mode))
    assert set(told) == {"code", "state"}
    assert told["state"] == "st-1"
    assert signed.redeem(told["code"]).status_code == 200


def test_by_form_too(signed: RelyingParty, beijing: Somebody) -> None:
    told = in_form(signed, signed.authorize(signed.browser(beijing.id), response_mode="form_post.jwt", state=None))
    assert set(told) == {"code"}
    assert signed.redeem(told["code"]).status_code == 200


@pytest.mark.parametrize(("changes", "error"), [({"prompt": "none"}, "login_required"), ({"scope": "nothing"}, "invalid_scope")])
def test_errors_too(signed: RelyingParty, changes: dict[str, str], error: str) -> None:
    for read, mode in ((in_query, "jwt"), (in_form, "form_post.jwt")):
        told = read(signed, signed.authorize(signed.browser(), response_mode=mode, **changes))
        assert set(told) == {"error", "error_description", "state"}
        assert told["error"] == error


@pytest.mark.parametrize("mode", ["fragment.jwt", "JWT", "query.jwt ", "jwt.query"])
def test_other_modes_are_refused_in_the_open(signed: RelyingParty, mode: str) -> None:
    told = answer_of(signed.authorize(signed.browser(), response_mode=mode))
    assert (told["error"], told["iss"], told["state"]) == ("invalid_request", ISSUER, "st-1")


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
@pytest.mark.spec("JARM", "3")
def test_it_is_signed_as_registered(platform: Flask, clock: FakeClock, beijing: Somebody, alg: str) -> None:
    rp = RelyingParty(platform, clock, authorization_signed_response_alg=alg)
    header = header_of(answer_of(rp.authorize(rp.browser(beijing.id), response_mode="jwt"))["response"])
    assert (header["alg"], header["typ"]) == (alg, "JWT")
    assert RelyingParty(platform, clock, "plain").registration.authorization_signed_response_alg == "RS256"


def test_no_is_told_inside(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    """At the consent page, and by the button of the sign-in."""
    rp = RelyingParty(platform, clock, "stranger", first_party=False, scope="openid")
    browser = rp.browser(beijing.id)
    path, _, fields = page(browser, rp.authorize(browser, response_mode="jwt").location)
    told = in_query(rp, browser.post(path, data={**fields, "action": "deny"}, base_url=ISSUER))
    assert (told["error"], told["state"]) == ("access_denied", "st-1")
    cancelled = browser.get(path.replace("/consent", "/cancelled"), base_url=ISSUER)
    assert in_query(rp, cancelled)["error"] == "access_denied"
