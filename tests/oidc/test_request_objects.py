"""Signed request objects (RFC 9101): what counts is what was signed, and whatever is wrong with one is `invalid_request_object`."""

import json
import secrets
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from werkzeug.test import TestResponse

from idp.adapters import Fetched
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import jti
from idp.oidc.authorization_request import KNOWN
from idp.oidc.models import PushedRequest, UsedJti
from idp.oidc.registration import judge
from tests.fakes import FakeClock, FakeWeb
from tests.fapi import KeyedParty, signed
from tests.oidc.conftest import Somebody
from tests.oidc.test_fuzz_routes import JSON
from tests.oidc.test_pushed import page, push, pushed, refused, start
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of

pytestmark = pytest.mark.slow
SIGNING: dict[str, Any] = {"profile": "fapi2-message-signing", "dpop_bound_access_tokens": True}
KEYS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
    "PS256": RSAKey.generate_key(2048),
    "RS256": RSAKey.generate_key(2048),
}


@pytest.fixture
def keyed(platform: Flask, clock: FakeClock) -> KeyedParty:
    return KeyedParty(platform, clock)


@pytest.fixture
def signing(platform: Flask, clock: FakeClock) -> KeyedParty:
    return KeyedParty(platform, clock, "signing", **SIGNING)


def request_object(rp: KeyedParty, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A good object, but for the changes; a value of None leaves a member out."""
    now = int(rp.clock.now().timestamp())
    about = {"iss": rp.client_id, "aud": ISSUER, "nbf": now, "exp": now + 300, "iat": now}
    return signed(rp.key, {"typ": "oauth-authz-req+jwt", "alg": rp.alg, "kid": "k1", **(header or {})}, {**about, **rp.request(), **changes})


def by_value(rp: RelyingParty, token: str, somebody: Somebody | None = None, **outside: str) -> TestResponse:
    """An authorization request by a browser, with nothing beside the object but what OpenID Connect demands."""
    asked = {"client_id": rp.client_id, "response_type": "code", "scope": "openid", "request": token, **outside}
    return rp.browser(somebody.id if somebody else None).get("/oauth2/authorize", query_string=asked, base_url=ISSUER)


def at_par(rp: KeyedParty, token: str, **outside: str) -> TestResponse:
    form = {"client_id": rp.client_id, "request": token, **rp.proven(), **outside}
    return rp.app.test_client().post("/oauth2/par", data=form, base_url=ISSUER)


def faulty(rp: KeyedParty, token: str) -> None:
    refused(at_par(rp, token), "invalid_request_object")
    page(by_value(rp, token))


@pytest.mark.spec("RFC 9101", "6.3")
def test_only_what_was_signed_counts(keyed: KeyedParty, beijing: Somebody) -> None:
    token = request_object(keyed, nonce="inside", state="inside")
    outside = {"nonce": "outside", "state": "outside", "redirect_uri": "https://evil.example/", "prompt": "nonsense", "response_type": "token"}
    answers = [by_value(keyed, token, beijing, **outside)]
    request_uri = body_of(at_par(keyed, token, **outside))["request_uri"]
    answers.append(start(keyed, keyed.browser(beijing.id), request_uri))
    for answer in answers:
        assert answer_of(answer)["state"] == "inside"
        tokens = body_of(keyed.redeem(answer_of(answer)["code"], {}, **keyed.proven()))
        assert claims_of(tokens["id_token"])["nonce"] == "inside"
    # nothing is borrowed from outside
    refused(at_par(keyed, request_object(keyed, redirect_uri=None), **keyed.request()), "invalid_request")
    refused(at_par(keyed, request_object(keyed, scope=None), **keyed.request()), "invalid_scope")
    page(by_value(keyed, request_object(keyed, redirect_uri=None), redirect_uri=keyed.redirect_uri))
    assert answer_of(by_value(keyed, request_object(keyed, response_type=None), beijing))["error"] == "invalid_request"


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "application/oauth-authz-req+jwt", "JWT", None])
def test_algorithms_and_types(platform: Flask, clock: FakeClock, beijing: Somebody, alg: str, typ: str | None) -> None:
    kinds: tuple[dict[str, Any], ...] = ({}, {"request_object_signing_alg": alg})
    for members in kinds:
        keyed = KeyedParty(platform, clock, f"k{len(members)}", KEYS[alg], alg, **members)
        assert "code" in answer_of(by_value(keyed, request_object(keyed, {"typ": typ}), beijing))


def test_a_client_with_a_secret_may_sign_too(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    jwks = {"keys": [{**KEYS["ES256"].as_dict(private=False), "kid": "k1"}]}
    rp = RelyingParty(platform, clock, jwks=jwks)
    now = int(clock.now().timestamp())
    claims = {"iss": "rp", "aud": [ISSUER, "https://other.example"], "exp": now + 60, **rp.request()}
    token = signed(KEYS["ES256"], {"alg": "ES256", "kid": "k1"}, claims)
    assert "code" in answer_of(by_value(rp, token, beijing))
    assert "code" in answer_of(start(rp, rp.browser(beijing.id), pushed(rp, request=token)))
    plain = RelyingParty(platform, clock, "plain")
    page(by_value(plain, signed(KEYS["ES256"], {"alg": "ES256"}, {**claims, "iss": "plain", "client_id": "plain"})))


def test_keys_at_a_jwks_uri_count(platform: Flask, clock: FakeClock, beijing: Somebody, far_servers: FakeWeb) -> None:
    keyed = KeyedParty(platform, clock, jwks=None, jwks_uri="https://rp.example/jwks")
    jwks = {"keys": [{**keyed.key.as_dict(private=False), "kid": "k1"}]}
    far_servers.pages["https://rp.example/jwks"] = Fetched(200, json.dumps(jwks).encode())
    assert "code" in answer_of(by_value(keyed, request_object(keyed), beijing))
    assert "code" in answer_of(start(keyed, keyed.browser(beijing.id), body_of(at_par(keyed, request_object(keyed)))["request_uri"]))


@pytest.mark.spec("RFC 9101", "6.2")
def test_what_its_client_did_not_sign_is_refused(keyed: KeyedParty, platform: Flask, clock: FakeClock) -> None:
    good = request_object(keyed)
    header, payload, signature = good.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for token in (
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        "x",
        "a.b.c",
        "e30.e30.e30",
        "é",
        good + ".x",
        request_object(keyed, {"typ": "at+jwt"}),
        request_object(keyed, {"typ": "dpop+jwt"}),
        request_object(keyed, {"kid": "k2"}),
        request_object(keyed, {"jwk": keyed.key.as_dict(private=False)}),
        request_object(keyed, {"crit": ["alg"]}),
        keyed.assertion(),
    ):
        faulty(keyed, token)
    other = KeyedParty(platform, clock, "other")
    faulty(keyed, request_object(other))
    faulty(keyed, request_object(other, iss="keyed", client_id="keyed"))


def test_the_registered_algorithm_alone_counts(platform: Flask, clock: FakeClock) -> None:
    jwks = {"keys": [{**KEYS[alg].as_dict(private=False), "kid": alg} for alg in ("PS256", "ES256")]}
    keyed = KeyedParty(platform, clock, key=KEYS["ES256"], jwks=jwks, request_object_signing_alg="PS256")
    now = int(clock.now().timestamp())
    claims = {"iss": "keyed", "aud": ISSUER, "exp": now + 60, **keyed.request()}
    for alg, status in (("PS256", 303), ("ES256", 400)):
        assert by_value(keyed, signed(KEYS[alg], {"alg": alg, "kid": alg}, claims)).status_code == status
    # nor another algorithm of the same key
    assert by_value(keyed, signed(KEYS["PS256"], {"alg": "RS256", "kid": "PS256"}, claims)).status_code == 400


@pytest.mark.spec("RFC 9101", "4")
@pytest.mark.parametrize(
    "changes",
    [
        *({"iss": None}, {"iss": "other"}, {"iss": ["keyed"]}, {"aud": None}, {"aud": "https://other.example"}, {"aud": []}, {"aud": {}}, {"aud": 1}),
        *({"aud": [["x"]]}, {"aud": f"{ISSUER}/"}, {"aud": f"{ISSUER}/oauth2/par"}, {"client_id": None}, {"client_id": "other"}, {"client_id": 1}),
        *({"request": "a.b.c"}, {"request_uri": "https://rp.example/"}, {"request": ""}, {"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
        *({"exp": "soon"}, {"exp": True}, {"exp": 1e300}, {"nbf": "x"}, {"iat": []}, {"jti": 7}, {"jti": ""}, {"jti": "x" * 257}),
        *({"scope": ["openid"]}, {"state": 1}, {"nonce": {}}, {"redirect_uri": ["https://rp.example/callback"]}, {"response_type": ["code"]}),
        *({"max_age": 1.5}, {"max_age": True}, {"max_age": [1]}, {"claims": []}, {"resource": []}, {"resource": [1]}, {"resource": {}}),
        *({"state": "\ud800"}, {"resource": ["\ud800"]}, {"prompt": False}, {"code_challenge": 1}, {"dpop_jkt": 1}, {"ui_locales": ["en"]}),
    ],
)
def test_members_of_the_wrong_kind(keyed: KeyedParty, changes: dict[str, Any]) -> None:
    faulty(keyed, request_object(keyed, **changes))


@pytest.mark.parametrize("name", ["state", "max_age", "claims", "jti"])
def test_null_is_no_value(keyed: KeyedParty, name: str) -> None:
    now = int(keyed.clock.now().timestamp())
    whole = json.dumps({"iss": "keyed", "aud": ISSUER, "exp": now + 60, **keyed.request(), name: None})
    from joserfc import jws

    faulty(keyed, jws.serialize_compact({"alg": "ES256", "kid": "k1"}, whole, keyed.key, algorithms=["ES256"]))


def test_members_that_are_no_strings(keyed: KeyedParty, beijing: Somebody, clock: FakeClock) -> None:
    good: dict[str, Any] = {
        "max_age": 300,
        "claims": {"userinfo": {"email": None}, "id_token": {"name": {"essential": True}}},
        "resource": [ISSUER, ISSUER],
    }
    with keyed.app.app_context():
        uri = body_of(at_par(keyed, request_object(keyed, **good)))["request_uri"]
        assert session.query(PushedRequest).one().parameters["max_age"] == "300"
    code = answer_of(start(keyed, keyed.browser(beijing.id), uri))["code"]
    tokens = body_of(keyed.redeem(code, {}, **keyed.proven()))
    assert claims_of(tokens["id_token"])["name"] == "王小明"
    # they are judged like any others
    judged: list[tuple[dict[str, Any], str]] = [
        ({"max_age": -1}, "invalid_request"),
        ({"max_age": 10**12}, "invalid_request"),
        ({"claims": {"id_token": 7}}, "invalid_request"),
        ({"resource": ["urn:licence:system:export", "urn:licence:system:import"]}, "invalid_target"),
        ({"registration": {}}, "registration_not_supported"),
        ({"state": "s" * 2001}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
    ]
    for changes, error in judged:
        refused(at_par(keyed, request_object(keyed, **changes)), error)
    big = {"userinfo": {f"c{n}": {"values": ["x" * 60]} for n in range(80)}}
    assert at_par(keyed, request_object(keyed, claims=big)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        *(({"nbf": 8}, True), ({"nbf": 60}, True), ({"nbf": 62}, False), ({"iat": 62}, False), ({"iat": 8}, True)),
        *(({"exp": -59}, True), ({"exp": -60}, False), ({"exp": -400}, False), ({"exp": None, "nbf": None, "iat": None}, True)),
        *(({"nbf": -9000}, True), ({"exp": 9000}, True)),
    ],
)
def test_times_are_judged_when_present(keyed: KeyedParty, changes: dict[str, int | None], good: bool) -> None:
    _timed(keyed, changes, good)


def _timed(rp: KeyedParty, changes: dict[str, int | None], good: bool) -> None:
    now = int(rp.clock.now().timestamp())
    moved: dict[str, Any] = {name: None if by is None else now + by for name, by in changes.items()}
    answer = at_par(rp, request_object(rp, **moved))
    assert (answer.status_code, body_of(answer).get("error")) == ((201, None) if good else (400, "invalid_request_object"))


@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3.1")
@pytest.mark.parametrize(
    ("changes", "good"),
    [
        *(({"exp": None}, False), ({"nbf": None}, False), ({"nbf": 0, "exp": 3600}, True), ({"nbf": 0, "exp": 3601}, False)),
        *(({"nbf": -3630, "exp": -40}, False), ({"nbf": -3590, "exp": -20}, True)),
        *(({"nbf": -3000, "exp": 300}, True), ({"nbf": -3661, "exp": -59}, False), ({"nbf": -3601, "exp": 300}, False)),
        *(({"nbf": 8}, True), ({"nbf": 62}, False), ({"nbf": 8, "exp": 3608}, True)),
    ],
)
def test_message_signing_limits_the_life(signing: KeyedParty, changes: dict[str, int | None], good: bool) -> None:
    _timed(signing, changes, good)


@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3.1")
@pytest.mark.parametrize("alg", KEYS)
def test_message_signing_by_strong_algorithms(platform: Flask, clock: FakeClock, beijing: Somebody, alg: str) -> None:
    # the assertion is signed by the same key, and RS256 is refused there first
    client = KeyedParty(platform, clock, "signing", KEYS[alg], alg, **SIGNING)
    answer = at_par(client, request_object(client))
    if alg == "RS256":
        refused(answer, "invalid_client", 401)
        client.alg = "PS256"
        refused(at_par(client, request_object(client, {"alg": "RS256"})), "invalid_request_object")
    else:
        assert "code" in answer_of(start(client, client.browser(beijing.id), body_of(answer)["request_uri"]))


@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3.1")
def test_who_must_sign_gets_nothing_unsigned(signing: KeyedParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    refused(push(signing), "invalid_request")
    must = KeyedParty(platform, clock, "must", require_signed_request_object=True)
    refused(push(must), "invalid_request")
    assert answer_of(must.authorize(must.browser(beijing.id)))["error"] == "invalid_request"
    # signed by value, and then over the store
    browser = must.browser()
    asked = {"client_id": "must", "request": request_object(must)}
    waiting = browser.post("/oauth2/authorize", data=asked, base_url=ISSUER).location
    must.sign_in(browser, beijing.id)
    assert "code" in answer_of(browser.get(waiting, base_url=ISSUER))
    # a signature is no replacement for pushing
    assert answer_of(by_value(signing, request_object(signing), beijing))["error"] == "invalid_request"


def test_who_must_sign_needs_a_key() -> None:
    certified = {"client_id": "x", "redirect_uris": ["https://rp.example/cb"], "require_signed_request_object": True}
    with pytest.raises(BadInput, match="signed requests need jwks or jwks_uri"):
        judge(certified)
    assert judge({**certified, "jwks_uri": "https://rp.example/jwks"}).signs_requests


@pytest.mark.spec("RFC 9101", "10.2")
def test_a_jti_is_spent_at_par_and_only_there(keyed: KeyedParty, beijing: Somebody, clock: FakeClock) -> None:
    shown = secrets.token_hex(8)
    token = request_object(keyed, jti=shown)
    # a page may be loaded again
    for _ in range(2):
        assert "code" in answer_of(by_value(keyed, token, beijing))
    assert at_par(keyed, token).status_code == 201
    refused(at_par(keyed, token), "invalid_request_object")
    # an assertion of the same jti is another thing
    form = {"client_id": "keyed", "request": request_object(keyed, jti="twice"), **keyed.proven(keyed.assertion(jti="twice"))}
    assert keyed.app.test_client().post("/oauth2/par", data=form, base_url=ISSUER).status_code == 201
    # without one it is a request like any other
    token = request_object(keyed)
    assert [at_par(keyed, token).status_code for _ in range(2)] == [201, 201]


@pytest.mark.spec("RFC 9101", "10.2")
def test_a_jti_is_remembered_for_as_long_as_its_object_counts(keyed: KeyedParty, clock: FakeClock) -> None:
    now, day = int(clock.now().timestamp()), 24 * 3600
    # what never ends, or in some years, cannot be remembered
    for exp in (None, now + day + 1, 99_999_999_999):
        refused(at_par(keyed, request_object(keyed, jti="far", exp=exp)), "invalid_request_object")
    token = request_object(keyed, jti="far", exp=now + day)
    assert at_par(keyed, token).status_code == 201
    clock.advance(seconds=day + 59)
    with keyed.app.app_context(), transaction():
        jti.sweep(clock.now())
    with keyed.app.app_context():
        assert session.query(UsedJti).filter_by(client_id="keyed request").count() == 1
    refused(at_par(keyed, token), "invalid_request_object")
    # still good but for having been shown
    assert at_par(keyed, request_object(keyed, jti="other", exp=now + day)).status_code == 201


def test_a_client_that_nobody_knows_is_a_page(keyed: KeyedParty) -> None:
    for client_id in ("nobody", "", "x" * 500):
        page(by_value(keyed, request_object(keyed), client_id=client_id))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(changes=st.dictionaries(st.sampled_from(sorted({*KNOWN, "iss", "aud", "exp", "nbf", "iat", "jti"})), JSON, min_size=1, max_size=3))
def test_members_of_any_types(keyed: KeyedParty, beijing: Somebody, changes: dict[str, Any]) -> None:
    token = request_object(keyed, **changes)
    assert by_value(keyed, token, beijing).status_code < 500
    assert at_par(keyed, token).status_code < 500
