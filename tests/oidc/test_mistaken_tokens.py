"""A token that its client signed for one purpose never passes for another (RFC 9101 §10.8): assertions and request objects."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.audit.models import AuditEvent
from idp.db import session
from idp.oidc.models import PushedRequest
from tests.fakes import FakeClock
from tests.fapi import KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import turned_away
from tests.oidc.test_pushed import page, refused
from tests.oidc.test_request_objects import at_par, by_value, request_object
from tests.relying_party import ISSUER, answer_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("RFC 9101", "10.8")]


@pytest.fixture
def keyed(platform: Flask, clock: FakeClock) -> KeyedParty:
    return KeyedParty(platform, clock)


def revoke(rp: KeyedParty, assertion: str) -> TestResponse:
    return rp.app.test_client().post("/oauth2/revoke", data={"token": "x", **rp.proven(assertion)}, base_url=ISSUER)


def reasons(app: Flask) -> list[str]:
    with app.app_context():
        return [row.detail["reason"] for row in session.query(AuditEvent).filter_by(event="oidc.client.refused").order_by(AuditEvent.id)]


@pytest.mark.parametrize(
    ("claim", "value"),
    [("response_type", "code"), ("redirect_uri", "https://rp.example/callback"), ("scope", "openid"), ("code_challenge", "x" * 43), ("scope", "")],
)
def test_an_assertion_says_nothing_of_a_request(keyed: KeyedParty, platform: Flask, claim: str, value: str) -> None:
    turned_away(revoke(keyed, keyed.assertion(None, **{claim: value})))
    assert reasons(platform) == ["assertion_request"]
    # what other claims it has is the client's own business
    assert revoke(keyed, keyed.assertion(state="x", nonce="y", client_id="keyed")).status_code == 200


@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}])
def test_what_a_browser_carried_proves_nobody(keyed: KeyedParty, platform: Flask, header: dict[str, Any]) -> None:
    """A request object that names its client as subject and ends soon has all that an assertion needs."""
    token = request_object(keyed, header, sub=keyed.client_id, jti="j-1")
    turned_away(revoke(keyed, token))
    assert reasons(platform)[0] == ("assertion_request" if header else "assertion_signature")


@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}])
def test_a_request_object_is_about_no_client(keyed: KeyedParty, beijing: Somebody, header: dict[str, Any]) -> None:
    token = request_object(keyed, header, sub=keyed.client_id)
    page(by_value(keyed, token, beijing))
    refused(at_par(keyed, token), "invalid_request_object")
    # about somebody else it is what it says to be
    assert "code" in answer_of(by_value(keyed, request_object(keyed, header, sub="somebody"), beijing))
    assert at_par(keyed, request_object(keyed, header, sub=None)).status_code == 201


@pytest.mark.parametrize("more", [{}, {"sub": "keyed"}])
def test_one_token_in_both_fields_is_none(keyed: KeyedParty, platform: Flask, more: dict[str, str]) -> None:
    for token in (request_object(keyed, {"typ": "JWT"}, jti="j-1", **more), keyed.assertion(), keyed.assertion(None, **keyed.request())):
        answer = at_par(keyed, token, **keyed.proven(token))
        assert answer.status_code in (400, 401), answer.json
    with platform.app_context():
        assert session.query(PushedRequest).count() == 0


def test_an_assertion_is_no_request_object_either(keyed: KeyedParty, beijing: Somebody) -> None:
    """Each side refuses by itself: an assertion with the claims of a request is no request object either."""
    token = keyed.assertion(None, **keyed.request())
    page(by_value(keyed, token, beijing))
    refused(at_par(keyed, token), "invalid_request_object")
