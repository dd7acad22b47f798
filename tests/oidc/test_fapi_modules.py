"""What the modules of the certification suite's FAPI 2.0 plans ask, module by module, with the answers that they take.

A plan's variant is a registration here: private_key_jwt with DPoP, requests plain (Security Profile) or signed with JARM (Message Signing);
test_fapi_modules_mtls.py walks the one with certificates. Left to docs/conformance.md: TLS itself, and what a person looks at.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import Key, RSAKey
from werkzeug.test import TestResponse

from tests.fakes import FakeClock
from tests.fapi import PAR, TOKEN, USERINFO, Holder, KeyedParty
from tests.oidc.conftest import Somebody
from tests.oidc.test_jarm import opened
from tests.oidc.test_pushed import page
from tests.oidc.test_request_objects import request_object
from tests.relying_party import ISSUER, VERIFIER, RelyingParty, answer_of, body_of, claims_of

pytestmark = [pytest.mark.slow, pytest.mark.spec("FAPI 2.0 Security Profile", "5.3")]

PROFILES = {"plain": "fapi2-security", "signed": "fapi2-message-signing"}
SCOPE = "openid profile email phone"
RSA = RSAKey.generate_key(2048)


class Client(KeyedParty):
    """One client of a plan: pushes its requests plain or signed, and holds a DPoP key. `base`: where it calls what clients call."""

    base = ISSUER

    def __init__(self, app: Flask, clock: FakeClock, client_id: str, variant: str, key: Key | None = None) -> None:
        members: dict[str, Any] = {"profile": PROFILES[variant], "dpop_bound_access_tokens": True, "scope": SCOPE}
        members |= {"grant_types": ["authorization_code", "refresh_token"]}
        members["redirect_uris"] = [f"https://suite.example/{client_id}?dummy1=lorem&dummy2=ipsum"]
        super().__init__(app, clock, client_id, key, "PS256" if key else "ES256", **members)
        self.signs, self.holder = variant == "signed", Holder(clock)

    def push(self, headers: dict[str, str] | None = None, proven: dict[str, str] | None = None, method: str = "POST", **changes: Any) -> TestResponse:
        """A pushed request; changes of its parameters, None leaves one out."""
        mode = {"response_mode": "jwt"} if self.signs else {}
        asked = {**mode, **changes}
        form = {"client_id": self.client_id, "request": request_object(self, **asked)} if self.signs else self.request(**asked)
        form |= self.proven() if proven is None else proven
        return self.app.test_client().open("/oauth2/par", method=method, data=form, headers=headers or {}, base_url=self.base)

    def pushed(self, **changes: Any) -> str:
        answer = self.push(**changes)
        assert answer.status_code == 201, answer.json
        return str(body_of(answer)["request_uri"])

    def go(self, browser: FlaskClient, request_uri: str, **beside: str) -> TestResponse:
        asked = {"client_id": self.client_id, "request_uri": request_uri, **beside}
        return browser.get("/oauth2/authorize", query_string=asked, base_url=ISSUER)

    def told(self, answer: TestResponse) -> dict[str, Any]:
        """The answer that arrived at the client, out of its JWT if it comes in one."""
        told = answer_of(answer)
        assert (told.pop("dummy1"), told.pop("dummy2")) == ("lorem", "ipsum")
        if self.signs:
            assert set(told) == {"response"}
            return opened(self, told["response"])
        assert told.pop("iss") == ISSUER
        return told

    def given(self, browser: FlaskClient, **changes: Any) -> str:
        """A code."""
        return str(self.told(self.go(browser, self.pushed(**changes)))["code"])

    def swap(self, code: str, headers: dict[str, str] | None = None, proven: dict[str, str] | None = None, **changes: str | None) -> TestResponse:
        """A token request with all that belongs to it, but for the changes."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, "code_verifier": VERIFIER, **changes}
        form |= self.proven() if proven is None else proven
        sent = {name: value for name, value in form.items() if value is not None}
        return self.token(sent, self.holder.at_token() if headers is None else headers)

    def taken(self, browser: FlaskClient, **changes: Any) -> dict[str, Any]:
        answer = self.swap(self.given(browser, **changes))
        assert answer.status_code == 200, answer.json
        return body_of(answer)


@pytest.fixture(params=PROFILES)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def one(platform: Flask, clock: FakeClock, variant: str) -> Client:
    return Client(platform, clock, "one", variant)


@pytest.fixture
def two(platform: Flask, clock: FakeClock, variant: str) -> Client:
    return Client(platform, clock, "two", variant)


@pytest.fixture
def browser(one: Client, beijing: Somebody) -> FlaskClient:
    return one.browser(beijing.id)


def said(answer: TestResponse, *errors: str, status: tuple[int, ...] = (400, 401)) -> None:
    """The refusal of an endpoint that clients call: one of the errors that the module takes, and nothing a header could be split with."""
    assert answer.status_code in status
    assert answer.mimetype == "application/json"
    assert body_of(answer)["error"] in errors
    assert body_of(answer)["error"] != "invalid_client" or answer.status_code in (400, 401)
    assert set(body_of(answer)) <= {"error", "error_description"}


def test_happy_flow(platform: Flask, one: Client, two: Client, browser: FlaskClient, beijing: Somebody) -> None:
    """Two clients, the second with a long state and what belongs to a request repeated beside the request_uri, in another order."""
    first = one.taken(browser, nonce="n" * 43)
    assert claims_of(first["id_token"])["nonce"] == "n" * 43
    assert set(claims_of(first["id_token"])) <= {"iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "at_hash", "sid"}
    uri = two.pushed(state="s" * 128, dpop_jkt=two.holder.jkt)
    told = two.told(two.go(browser, uri, scope=SCOPE, response_type="code", redirect_uri=two.redirect_uri))
    assert told["state"] == "s" * 128
    token = body_of(two.swap(str(told["code"])))["access_token"]
    for accept in ({}, {"Accept": "application/json;charset=utf-8"}, {"Accept": "*/*"}):
        bearing = {**two.holder.bearing(token), **accept}
        answer = platform.test_client().get("/oauth2/userinfo", headers=bearing, base_url=two.base)
        assert (answer.status_code, answer.mimetype) == (200, "application/json")
    # DisallowAccessTokenInQuery
    in_query = platform.test_client().get("/oauth2/userinfo", query_string={"access_token": token}, base_url=two.base)
    assert in_query.status_code in (400, 401)


def test_user_rejects_authentication(one: Client) -> None:
    """Pressed on the page of the sign-in; the state comes back."""
    browser = one.browser()
    away = one.go(browser, one.pushed(state="s" * 128))
    at = browser.get(away.location, base_url=ISSUER, follow_redirects=True)
    from tests.person import ShownPage

    shown = ShownPage()
    shown.feed(at.get_data(as_text=True))
    answer = browser.post(shown.action, data={**shown.fields, "action": "deny"}, base_url=ISSUER)
    while not (answer.location or "").startswith("https://suite.example"):
        assert answer.status_code == 303
        answer = browser.get(answer.location, base_url=ISSUER)
    told = one.told(answer)
    assert (told["error"], told["state"]) == ("access_denied", "s" * 128)


GOOD: dict[str, dict[str, Any]] = {
    "ensure-authorization-request-without-state-success": {"state": None},
    "ensure-authorization-request-without-nonce-success": {"nonce": None},
    "ensure-authorization-request-with-64-char-nonce-success": {"nonce": "n" * 64},
    "ensure-authorization-request-with-long-nonce": {"nonce": "n" * 384},
    "ensure-authorization-request-with-long-state": {"state": "s" * 1000},
    "ensure-other-scope-order-succeeds": {"scope": " ".join(reversed(SCOPE.split()))},
}


@pytest.mark.parametrize("module", GOOD)
def test_what_must_succeed(one: Client, browser: FlaskClient, module: str) -> None:
    asked = {"state": "st-1", "nonce": "n-1", **GOOD[module]}
    told = one.told(one.go(browser, one.pushed(**asked)))
    assert told.get("state") == asked["state"]
    assert claims_of(body_of(one.swap(str(told["code"])))["id_token"]).get("nonce") == asked["nonce"]


def test_claims_parameter_identity_claims(one: Client, browser: FlaskClient) -> None:
    wanted = ["name", "preferred_username", "email", "email_verified", "phone_number", "updated_at"]
    claims: Any = {place: dict.fromkeys(wanted) for place in ("id_token", "userinfo")}
    claims["userinfo"]["address"] = claims["id_token"]["zoneinfo"] = None
    answer = one.taken(browser, claims=claims if one.signs else json.dumps(claims))
    userinfo = body_of(one.holder.userinfo(one.app, answer["access_token"]))
    for told in (claims_of(answer["id_token"]), userinfo):
        assert set(wanted) & set(userinfo) <= set(told)
    assert userinfo["sub"] == claims_of(answer["id_token"])["sub"]


def test_what_stands_beside_a_request_uri_does_not_count(one: Client, browser: FlaskClient) -> None:
    """different-nonce/-state-inside-and-outside-request-object, state-only-outside-request-object-not-used, par-without-duplicate-parameters."""
    assert one.told(one.go(browser, one.pushed(state="inside"), state="outside", nonce="outside"))["state"] == "inside"
    assert "state" not in one.told(one.go(browser, one.pushed(state=None), state="outside"))


REFUSED_AT_PAR: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ensure-redirect-uri-in-authorization-request": ({"redirect_uri": None}, ("invalid_request", "invalid_request_object")),
    "ensure-registered-redirect-uri": ({"redirect_uri": "https://suite.example/one/bad"}, ("invalid_request", "invalid_request_object")),
    "ensure-response-type-code-idtoken-fails": (
        {"response_type": "code id_token"},
        ("unsupported_response_type", "invalid_request", "unauthorized_client"),
    ),
    "ensure-response-type-token-fails": ({"response_type": "token"}, ("unsupported_response_type", "invalid_request", "unauthorized_client")),
    "par-ensure-pkce-required": ({"code_challenge": None, "code_challenge_method": None}, ("invalid_request",)),
    "par-plain-pkce-rejected": ({"code_challenge_method": "plain"}, ("invalid_request",)),
}


@pytest.mark.parametrize("module", REFUSED_AT_PAR)
def test_requests_that_are_refused_when_pushed(one: Client, module: str) -> None:
    changes, errors = REFUSED_AT_PAR[module]
    said(one.push(**changes), *errors, status=(400,))


def test_pushing_wrongly(one: Client, two: Client, clock: FakeClock) -> None:
    """par-attempt-invalid-http-method, …-request_uri-form-param, par-test-*-as-audience-fails, par-ensure-jwt-client-assertions-nbf-*."""
    assert 400 <= one.push(method="PUT").status_code < 500
    fixed = {"request_uri": "urn:fdc:authlete.com:E2ooXxELkEFSKR90ymYV-BbwAvCC2TozHfSb_mMCw2s"}
    said(one.push(proven={**one.proven(), **fixed}), "invalid_request", "invalid_request_object", "request_uri_not_supported")
    for audience in ([ISSUER], [ISSUER, "https://other.example"], PAR, TOKEN, f"{ISSUER}/other"):
        said(one.push(proven=one.proven(one.assertion(aud=audience))), "invalid_client", "invalid_request")
    now = int(clock.now().timestamp())
    assert one.push(proven=one.proven(one.assertion(iat=now + 8, nbf=now + 8, exp=now + 68))).status_code == 201
    later: tuple[dict[str, Any], ...] = ({"iat": now + 62}, {"nbf": now + 62}, {"iat": now + 62, "nbf": now + 62})
    for late in later:
        said(one.push(proven=one.proven(one.assertion(**{"exp": now + 122, **late}))), "invalid_client", "invalid_request")


def test_request_uris(one: Client, two: Client, browser: FlaskClient, clock: FakeClock) -> None:
    """par-attempt-reuse-request_uri, …-to-use-expired-…, …-for-different-client, par-ensure-reused-request-uri-prior-to-auth-completion-succeeds."""
    used = one.pushed()
    assert "code" in one.told(one.go(browser, used))
    again = one.go(browser, used)
    if again.status_code == 303:
        assert one.told(again)["error"] == "invalid_request_uri"
    else:
        page(again)
    foreign = two.go(browser, one.pushed())
    page(foreign)
    stranger, twice = one.browser(), one.pushed()
    for _ in range(2):
        assert "/signin/" in one.go(stranger, twice).location
    answer = one.go(browser, twice)
    assert "code" in one.told(answer)
    late = one.pushed()
    clock.advance(seconds=90)
    page(one.go(browser, late))


def test_without_par(one: Client, browser: FlaskClient) -> None:
    """ensure-unsigned-authorization-request-without-using-par-fails: an error page, or invalid_request."""
    answer = one.authorize(browser)
    if answer.status_code == 303:
        assert answer_of(answer)["error"] == "invalid_request"
    else:
        page(answer)


def test_token_endpoint(one: Client, two: Client, browser: FlaskClient, clock: FakeClock) -> None:
    """The modules around codes; each begins with a fresh one."""
    assert one.holder.userinfo(one.app, one.taken(browser)["access_token"]).status_code == 200
    # ensure-authorization-code-is-bound-to-client
    said(two.swap(one.given(browser), redirect_uri=one.redirect_uri), "invalid_grant", status=(400,))
    # ensure-client-id-in-token-endpoint
    said(one.swap(one.given(browser), proven={**one.proven(), "client_id": "two"}), "invalid_client", "invalid_grant")
    # attempt-reuse-authorization-code-after-one-second
    code = one.given(browser)
    token = body_of(one.swap(code))["access_token"]
    clock.advance(seconds=1)
    said(one.swap(code), "invalid_grant", status=(400,))
    assert one.holder.userinfo(one.app, token).status_code == 401
    # ensure-pkce-code-verifier-required, incorrect-pkce-code-verifier-rejected
    said(one.swap(one.given(browser), code_verifier=None), "invalid_grant", status=(400,))
    said(one.swap(one.given(browser), code_verifier="x" * 43), "invalid_grant", status=(400,))
    # ensure-holder-of-key-required
    said(one.swap(one.given(browser), headers={}), "invalid_request", "invalid_grant", "invalid_dpop_proof", status=(400,))
    # ensure-token-endpoint-fails-with-expired-auth-code
    code = one.given(browser)
    clock.advance(seconds=62)
    said(one.swap(code), "invalid_grant", status=(400,))


ASSERTIONS: dict[str, Callable[[Client, int], dict[str, str]]] = {
    "ensure-client-assertion-in-token-endpoint": lambda one, _: {"client_id": one.client_id},
    "ensure-client-assertion-with-exp-is-5-minutes-in-past-fails": lambda one, now: one.proven(one.assertion(exp=now - 300)),
    "ensure-client-assertion-with-wrong-aud-fails": lambda one, _: one.proven(one.assertion(aud="https://wrong.example/")),
    "ensure-client-assertion-with-no-sub-fails": lambda one, _: one.proven(one.assertion(sub=None)),
}


@pytest.mark.parametrize("module", ASSERTIONS)
def test_clients_that_prove_nothing(one: Client, browser: FlaskClient, clock: FakeClock, module: str) -> None:
    proven = ASSERTIONS[module](one, int(clock.now().timestamp()))
    said(one.swap(one.given(browser), proven=proven), "invalid_client", "invalid_request")


def test_rs256_fails(platform: Flask, clock: FakeClock, variant: str, beijing: Somebody) -> None:
    """ensure-signed-client-assertion-with-RS256-fails, ensure-signed-request-object-with-RS256-fails: the key is good for both."""
    one = Client(platform, clock, "one", variant, RSA)
    code = one.given(one.browser(beijing.id))
    said(one.swap(code, proven=one.proven(one.assertion({"alg": "RS256"}))), "invalid_client")
    if one.signs:
        form = {"client_id": "one", "request": request_object(one, {"alg": "RS256"}), **one.proven()}
        said(platform.test_client().post("/oauth2/par", data=form, base_url=ISSUER), "invalid_request_object")


def test_dpop_bindings(one: Client, browser: FlaskClient, clock: FakeClock) -> None:
    """The modules ensure-*-dpop-*, ensure-dpopproof-* and check-dpop-proof-nbf-exp."""
    other, now = Holder(clock), int(clock.now().timestamp())
    # ensure-mismatched-dpop-jkt-fails
    said(one.push(one.holder.at_token(url=PAR), dpop_jkt=other.jkt), "invalid_request", "invalid_dpop_proof", status=(400,))
    # ensure-token-endpoint-fails-with-mismatched-dpop-jkt, …-dpop-proof-jkt
    for changes in ({"dpop_jkt": other.jkt}, {"headers": other.at_token(url=PAR)}):
        said(one.swap(one.given(browser, **changes)), "invalid_request", "invalid_grant", "invalid_dpop_proof", status=(400,))
    # ensure-dpopproof-at-par-endpoint-binding-success, ensure-dpop-auth-code-binding-success
    one.taken(browser, headers=one.holder.at_token(url=PAR))
    one.taken(browser, headers=one.holder.at_token(url=PAR), dpop_jkt=one.holder.jkt)
    for times in ({"nbf": now, "exp": now + 300}, {"iat": now - 10}, {"iat": now + 8}):
        code = one.given(browser, headers=one.holder.at_token(url=PAR, **times))
        answer = one.swap(code, headers=one.holder.at_token(**times))
        assert answer.status_code == 200, answer.json
        assert one.holder.userinfo(one.app, body_of(answer)["access_token"], **times).status_code == 200


WRONG_PROOFS: dict[str, dict[str, Any]] = {
    **{f"without {name}": {"header": {name: None}} for name in ("typ", "jwk")},
    **{f"without {name}": {name: None} for name in ("jti", "htm", "htu", "iat", "ath")},
    "typ": {"header": {"typ": "JWT"}},
    "htm": {"htm": "PUT"},
    "htu": {"htu": "https://other.example/resource"},
    "iat an hour ahead": {"iat": 3600},
    "iat an hour ago": {"iat": -3600},
    "ath": {"ath": "x" * 43},
}


def test_dpop_negative_tests(one: Client, browser: FlaskClient, clock: FakeClock) -> None:
    token, holder = str(one.taken(browser)["access_token"]), one.holder

    def get(headers: dict[str, str]) -> int:
        return one.app.test_client().get("/oauth2/userinfo", headers=headers, base_url=ISSUER).status_code

    for wrong in WRONG_PROOFS.values():
        changes = {**wrong, "iat": int(clock.now().timestamp()) + wrong["iat"]} if isinstance(wrong.get("iat"), int) else wrong
        assert get(holder.bearing(token, **changes)) in (400, 401), wrong
    good = holder.bearing(token)
    head, payload, signature = good["DPoP"].split(".")
    for proof in (f"{head}.{payload}.{signature[:-6]}AAAAAA", f"{payload}.{signature}", f"{head}.{payload}."):
        assert get({**good, "DPoP": proof}) in (400, 401)
    assert get(holder.bearing(token, header={"jwk": holder.key.as_dict(private=True)})) in (400, 401)
    assert get(Holder(clock).bearing(token)) in (400, 401)
    reused = holder.bearing(token, jti=secrets.token_hex(8))
    assert [get(reused), get(reused)] == [200, 401]
    for kind in ("DPoP", "Bearer"):
        assert get({"Authorization": f"{kind} {token}"}) == 401
    # access-token-type-header-case-sensitivity
    for scheme in ("dPOP", "dpop", "DPOP"):
        assert get({**holder.bearing(token), "Authorization": f"{scheme} {token}"}) == 200
    for extra in ({"htu": f"{USERINFO}?a=b#c"}, {"header": {"tx_id": 17}}, {"tx_id": 17}, {"htu": USERINFO.replace("http:", "HTTP:")}):
        assert get(holder.bearing(token, **extra)) == 200, extra


def test_refresh_token(one: Client, two: Client, browser: FlaskClient) -> None:
    first = one.taken(browser)

    def refresh(client: Client, proven: dict[str, str], headers: dict[str, str]) -> TestResponse:
        return client.token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "scope": SCOPE, **proven}, headers)

    for _ in range(2):
        answer = refresh(one, one.proven(), one.holder.at_token())
        assert answer.status_code == 200, answer.json
        assert "refresh_token" not in body_of(answer)
        assert claims_of(body_of(answer)["id_token"])["sub"] == claims_of(first["id_token"])["sub"]
        assert one.holder.userinfo(one.app, body_of(answer)["access_token"]).status_code == 200
    said(refresh(two, two.proven(), two.holder.at_token()), "invalid_client", "invalid_grant", "invalid_request")
    said(refresh(one, {"client_id": "one"}, one.holder.at_token()), "invalid_client", "invalid_grant", "invalid_request")
    said(refresh(one, one.proven(), {}), "invalid_request", "invalid_grant", "invalid_dpop_proof", status=(400,))


@pytest.fixture
def signing(platform: Flask, clock: FakeClock) -> Client:
    return Client(platform, clock, "signing", "signed")


OBJECTS: dict[str, tuple[dict[str, Any], bool]] = {
    "ensure-request-object-with-multiple-aud-succeeds": ({"aud": [ISSUER, "https://other.example"]}, True),
    "ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted": ({"nbf": 8}, True),
    "ensure-request-object-without-exp-fails": ({"exp": None}, False),
    "ensure-request-object-without-nbf-fails": ({"nbf": None}, False),
    "ensure-expired-request-object-fails": ({"exp": -300, "nbf": -600}, False),
    "ensure-request-object-with-bad-aud-fails": ({"aud": "https://other.example"}, False),
    "ensure-request-object-with-exp-over-60-fails": ({"exp": 70 * 60}, False),
    "ensure-request-object-with-nbf-over-60-fails": ({"nbf": -70 * 60}, False),
    "par-authorization-request-containing-request_uri": ({"request_uri": "urn:example:bad"}, False),
}


@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3")
@pytest.mark.parametrize("module", OBJECTS)
def test_request_objects(signing: Client, beijing: Somebody, clock: FakeClock, module: str) -> None:
    changes, good = OBJECTS[module]
    now = int(clock.now().timestamp())
    times = {name: now + value for name, value in changes.items() if isinstance(value, int)}
    answer = signing.push(**{**changes, **times})
    if not good:
        said(answer, "invalid_request_object", status=(400,))
    else:
        assert "code" in signing.told(signing.go(signing.browser(beijing.id), str(body_of(answer)["request_uri"])))


@pytest.mark.spec("FAPI 2.0 Message Signing", "5.3")
def test_request_objects_that_nobody_signed(signing: Client, platform: Flask, clock: FakeClock) -> None:
    """…-signature-algorithm-is-not-none, …-with-invalid-signature-fails, ensure-matching-key-…, ensure-unsigned-request-at-par-endpoint-fails."""

    def push(**form: str) -> TestResponse:
        return platform.test_client().post("/oauth2/par", data={"client_id": "signing", **form, **signing.proven()}, base_url=ISSUER)

    head, payload, signature = request_object(signing).split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    other = request_object(KeyedParty(platform, clock, "other"), iss="signing", client_id="signing")
    for token in (f"{unsigned}.{payload}.", f"{head}.{payload}.{signature[:-6]}AAAAAA", other):
        said(push(request=token), "invalid_request_object", status=(400,))
    said(push(**RelyingParty.request(signing, response_mode="jwt")), "invalid_request", status=(400,))
