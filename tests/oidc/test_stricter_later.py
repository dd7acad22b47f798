"""A client that becomes stricter while something waits: requests that were kept, and tokens that were given, are judged by what it is now."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.oidc import clients, sender
from idp.oidc.models import ClientRecord, Grant
from idp.oidc.refusal import Refused
from idp.oidc.registration import judge
from idp.oidc.sender import Sender
from tests.fakes import FakeClock
from tests.fapi import Holder, KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_pushed import _return_to, push, start
from tests.oidc.test_request_objects import at_par, request_object
from tests.relying_party import ISSUER, answer_of, body_of

pytestmark = pytest.mark.slow
FAPI: dict[str, Any] = {"profile": "fapi2-security", "dpop_bound_access_tokens": True}
SIGNING: dict[str, Any] = {**FAPI, "profile": "fapi2-message-signing"}
PUSHES: dict[str, Any] = {"require_pushed_authorization_requests": True}
SIGNS: dict[str, Any] = {"require_signed_request_object": True}
BY_KEY: dict[str, Any] = {"dpop_bound_access_tokens": True}
BY_CERTIFICATE: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": True}


@pytest.fixture
def keyed(platform: Flask, clock: FakeClock) -> KeyedParty:
    return KeyedParty(platform, clock)


def becomes(rp: KeyedParty, members: dict[str, Any]) -> None:
    """An operator changes the client."""
    with rp.app.app_context(), transaction():
        row = session.get_one(ClientRecord, rp.client_id, with_for_update=True)
        row_members = {**row.registration, "client_id": rp.client_id, **members}
        assert clients.update(row, judge(row_members), None, rp.clock.now()) == "updated"


# --- what waits -----------------------------------------------------------------------------------------------------------------------------

WAYS = ("plain", "signed", "pushed", "pushed, signed")


def came(rp: KeyedParty, way: str) -> tuple[Any, str]:
    """A browser whose request waits for a sign-in, and the address where it goes on."""
    browser, token = rp.browser(), request_object(rp)
    asked = {"client_id": rp.client_id, "response_type": "code", "scope": "openid", "request": token}
    if way == "plain":
        answer = rp.authorize(browser)
    elif way == "signed":
        answer = browser.get("/oauth2/authorize", query_string=asked, base_url=ISSUER)
    else:
        uri = body_of(push(rp) if way == "pushed" else at_par(rp, token))["request_uri"]
        answer = start(rp, browser, uri)
    return browser, _return_to(rp, answer.location)


@pytest.mark.store
@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.2.2")
@pytest.mark.spec("RFC 9126", "6")
@pytest.mark.spec("RFC 9101", "10.5")
@pytest.mark.parametrize(
    ("members", "passes"),
    [
        ({"client_name": "x"}, WAYS),
        (FAPI, ("pushed", "pushed, signed")),
        (PUSHES, ("pushed", "pushed, signed")),
        (SIGNS, ("signed", "pushed, signed")),
        (SIGNING, ("pushed, signed",)),
    ],
)
def test_a_request_that_waited_must_meet_what_is_demanded_now(
    keyed: KeyedParty, platform: Flask, beijing: Somebody, members: dict[str, Any], passes: tuple[str, ...]
) -> None:
    waiting = {way: came(keyed, way) for way in WAYS}
    becomes(keyed, members)
    for way, (browser, path) in waiting.items():
        keyed.sign_in(browser, beijing.id)
        answer = answer_of(browser.get(path, base_url=ISSUER))
        assert answer.get("error") == (None if way in passes else "invalid_request"), way
        assert (answer["state"], answer["iss"]) == ("st-1", ISSUER)
    with platform.app_context():
        assert session.query(Grant).count() == len(passes)


@pytest.mark.spec("RFC 9101", "10.5")
def test_what_was_pushed_unsigned_starts_nothing_any_more(keyed: KeyedParty, beijing: Somebody) -> None:
    plain, signed = body_of(push(keyed))["request_uri"], body_of(at_par(keyed, request_object(keyed)))["request_uri"]
    becomes(keyed, SIGNS)
    assert answer_of(start(keyed, keyed.browser(beijing.id), plain))["error"] == "invalid_request"
    assert "code" in answer_of(start(keyed, keyed.browser(beijing.id), signed))


# --- what was given -------------------------------------------------------------------------------------------------------------------------


def token_of(rp: KeyedParty, somebody: Somebody, headers: dict[str, str]) -> str:
    answer = rp.redeem(rp.code(rp.browser(somebody.id)), headers, **rp.proven())
    assert answer.status_code == 200, answer.json
    return str(body_of(answer)["access_token"])


def active(rp: KeyedParty, token: str) -> bool:
    told: TestResponse = rp.app.test_client().post("/oauth2/introspect", data={"token": token, **rp.proven()}, base_url=ISSUER)
    assert told.status_code == 200
    return bool(body_of(told)["active"])


@pytest.mark.parametrize("members", [BY_KEY, BY_CERTIFICATE, FAPI, SIGNING])
def test_a_token_that_is_bound_to_nobody_ends_with_the_demand(keyed: KeyedParty, beijing: Somebody, members: dict[str, Any]) -> None:
    token = token_of(keyed, beijing, {})
    assert (keyed.userinfo(token).status_code, active(keyed, token)) == (200, True)
    becomes(keyed, members)
    answer = keyed.userinfo(token)
    assert (answer.status_code, answer.json, active(keyed, token)) == (401, {"error": "invalid_token"}, False)


def test_a_token_that_is_bound_already_lives_on(keyed: KeyedParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    holder = Holder(clock)
    token = token_of(keyed, beijing, holder.at_token())
    becomes(keyed, FAPI)
    assert (holder.userinfo(platform, token).status_code, active(keyed, token)) == (200, True)
    # the wrong binding is none
    becomes(keyed, {"profile": "oidc", "dpop_bound_access_tokens": False, **BY_CERTIFICATE})
    assert (holder.userinfo(platform, token).status_code, active(keyed, token)) == (401, False)


@pytest.mark.spec("RFC 8705", "3")
@pytest.mark.parametrize(
    ("members", "shown", "cnf"),
    [
        ({}, Sender(), {}),
        ({}, Sender(jkt="k"), {"jkt": "k"}),
        # whoever may have other tokens is bound to no certificate by chance
        ({}, Sender(x5t="c"), {}),
        (BY_KEY, Sender(), "dpop_missing"),
        (BY_KEY, Sender(x5t="c"), "dpop_missing"),
        (BY_KEY, Sender(jkt="k", x5t="c"), {"jkt": "k"}),
        (BY_CERTIFICATE, Sender(), "certificate_missing"),
        (BY_CERTIFICATE, Sender(jkt="k"), "certificate_missing"),
        (BY_CERTIFICATE, Sender(x5t="c"), {"x5t#S256": "c"}),
        (BY_CERTIFICATE, Sender(jkt="k", x5t="c"), {"jkt": "k", "x5t#S256": "c"}),
    ],
)
def test_what_tokens_are_bound_to(members: dict[str, Any], shown: Sender, cnf: dict[str, str] | str) -> None:
    own = judge({"client_id": "x", "redirect_uris": ["https://rp.example/cb"], "jwks_uri": "https://rp.example/jwks", **members})
    found = sender.confirmation(own, shown)
    assert (found.reason if isinstance(found, Refused) else found) == cnf
    assert sender.unbound(own, {}) is bool(members)
    if not isinstance(found, Refused):
        assert not sender.unbound(own, found)
