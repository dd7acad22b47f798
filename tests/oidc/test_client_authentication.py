"""Who a client is: one method, exactly the registered one; unknown, wrong and disabled are one answer."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.limits import LimitWindow
from idp.oidc import clients, jose, jti
from idp.oidc.models import ClientRecord, Grant, UsedJti
from tests.fakes import FakeClock
from tests.fapi import Holder
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, SECRET, VERIFIER, RelyingParty, body_of, digest_of

pytestmark = pytest.mark.slow

KEY, OTHER_KEY = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def turned_away(response: TestResponse) -> None:
    assert (response.status_code, response.json) == (401, {"error": "invalid_client"})
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert response.headers["Cache-Control"] == "no-store"


FORM = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://rp.example/callback", "code_verifier": VERIFIER}


@pytest.mark.spec("RFC 6749", "5.2")
def test_unknown_wrong_and_disabled_are_one_answer(rp: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    RelyingParty(platform, clock, "off")
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "off").disabled_at = clock.now()
    answers = [rp.token(FORM, basic(*pair)) for pair in (("nobody", SECRET), ("rp", SECRET + "x"), ("off", SECRET), ("rp", ""), ("", ""))]
    for answer in answers:
        turned_away(answer)
    assert len({(answer.data, tuple(sorted(answer.headers.items()))) for answer in answers}) == 1


@pytest.mark.spec("RFC 6749", "2.3.1")
def test_basic_parts_are_form_decoded(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    secret = "a+b%c&d=e/0123456789-abcdefghijklm"
    rp = RelyingParty(platform, clock, "rp~1", secret)
    encoded = basic("rp%7E1", "a%2Bb%25c%26d%3De%2F0123456789-abcdefghijklm")
    assert rp.redeem(rp.code(rp.browser(beijing.id)), encoded).status_code == 200
    turned_away(rp.token(FORM, basic("rp~1", secret)))


@pytest.mark.parametrize(
    "header", ["Basic", "Basic ", "Basic !!!", "Basic " + "A" * 3000, "Basic w6k=", "Basic /////w==", "Bearer x", "Digest x", "x" * 5000, "Basic cnA"]
)
def test_a_broken_header_is_401(rp: RelyingParty, header: str) -> None:
    turned_away(rp.token(FORM, {"Authorization": header}))


@pytest.mark.spec("RFC 6749", "2.3")
def test_two_methods_are_refused(rp: RelyingParty) -> None:
    for form in ({"client_secret": SECRET}, {"client_assertion": "x", "client_assertion_type": TYPE}):
        answer = rp.token({**FORM, "client_id": "rp", **form}, rp.basic())
        assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})
    answer = rp.token({**FORM, "client_secret": SECRET, "client_assertion": "x"}, {})
    assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})


def test_only_the_registered_method_counts(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    turned_away(rp.token({**FORM, "client_id": "rp", "client_secret": SECRET}, {}))
    # a confidential client does not pass as a public one
    turned_away(rp.token({**FORM, "client_id": "rp"}, {}))
    turned_away(rp.token({**FORM, "client_id": "other"}, rp.basic()))
    turned_away(rp.token(FORM, {}))
    by_form = RelyingParty(platform, clock, "by-form", token_endpoint_auth_method="client_secret_post")
    turned_away(by_form.token(FORM, by_form.basic()))
    code = by_form.code(by_form.browser(beijing.id))
    assert by_form.redeem(code, {}, client_id="by-form", client_secret=SECRET).status_code == 200
    public = RelyingParty(platform, clock, "public", None, token_endpoint_auth_method="none")
    turned_away(public.token(FORM, basic("public", "")))
    turned_away(public.token({**FORM, "client_id": "public", "client_secret": "x"}, {}))


@pytest.mark.store
def test_a_public_clients_name_does_not_flood_the_audit(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    public = RelyingParty(platform, clock, "public", None, token_endpoint_auth_method="none")
    code = public.code(public.browser(beijing.id))
    answers = [public.token({**FORM, "client_id": "public", "code": f"junk-{n}"}, {}) for n in range(35)]
    assert [(answer.status_code, answer.json) for answer in answers] == [(400, {"error": "invalid_grant"})] * 30 + [
        (429, {"error": "invalid_grant"})
    ] * 5
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    with platform.app_context():
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 30
    # what is right still passes, and what ends a grant is still written
    assert public.redeem(code, {}, client_id="public").status_code == 200
    assert public.redeem(code, {}, client_id="public").status_code == 400
    with platform.app_context():
        assert session.query(Grant).one().end_reason == "code_replayed"
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 31


@pytest.mark.store
def test_what_is_over_already_does_not_flood_the_audit(public: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    """A spent code, and a rotated refresh token, shown again and again."""
    code = public.code(public.browser(beijing.id))
    old = body_of(public.redeem(code))["refresh_token"]
    public.refresh(old)
    clock.advance(seconds=11)
    assert [public.refresh(old).status_code for _ in range(2)] == [400] * 2
    assert [public.redeem(code).status_code for _ in range(31)] == [400] * 29 + [429] * 2
    assert public.refresh(old).status_code == 429
    with platform.app_context():
        # the one that ended the grant, and those that were counted
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 1 + 30
        assert session.query(AuditEvent).filter_by(event="oidc.grant.ended").count() == 1


def test_proofs_of_ones_own_are_no_way_to_flood_the_audit(public: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    holder = Holder(clock, KEY)
    form = {**FORM, "client_id": "public"}
    assert [public.token(form, holder.at_token()).status_code for _ in range(32)] == [400] * 30 + [429] * 2
    with platform.app_context():
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 30


@pytest.mark.store
def test_new_names_do_not_flood_the_audit(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    ways: list[Callable[[int], TestResponse]] = [
        lambda n: rp.token({**FORM, "client_id": f"victim-{n}"}, {}),
        lambda n: rp.token(FORM, basic(f"victim-{n}", "x")),
        lambda n: rp.token({**FORM, "client_id": f"victim-{n}"}, rp.basic()),
    ]
    answers = [ways[n % 3](n) for n in range(130)]
    assert [answer.status_code for answer in answers] == [401] * 120 + [429] * 10
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    with platform.app_context():
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 120
        assert session.query(LimitWindow).count() == 121
    assert rp.redeem(rp.code(rp.browser(beijing.id))).status_code == 200


def test_guessing_is_slowed_down_but_the_client_stays_in(rp: RelyingParty, beijing: Somebody) -> None:
    statuses = [rp.token(FORM, basic("rp", f"guess-{n}")).status_code for n in range(35)]
    assert statuses == [401] * 30 + [429] * 5
    assert rp.redeem(rp.code(rp.browser(beijing.id))).status_code == 200


def test_a_rotated_secret_dies_after_the_overlap(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "rp")
        assert clients.update(row, rp.registration, "a-new-secret-0123456789-abcdefghijk", clock.now()) == "updated"
    browser, new = rp.browser(beijing.id), basic("rp", "a-new-secret-0123456789-abcdefghijk")
    assert rp.redeem(rp.code(browser)).status_code == 200
    assert rp.redeem(rp.code(browser), new).status_code == 200
    clock.advance(hours=24)
    turned_away(rp.token(FORM, rp.basic()))
    rp.sign_in(browser, beijing.id)
    assert rp.redeem(rp.code(browser), new).status_code == 200


# --- private_key_jwt ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keyed(platform: Flask, clock: FakeClock) -> RelyingParty:
    jwk = {**KEY.as_dict(private=False), "kid": "k1"}
    return RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})


def assertion(clock: FakeClock, key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(clock.now().timestamp())
    claims = {"iss": "keyed", "sub": "keyed", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "j1", **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    sent = {"alg": "ES256", "kid": "k1", "typ": "JWT", **(header or {})}
    registry = jws.JWSRegistry(algorithms=[sent["alg"]], strict_check_header=False)
    return jws.serialize_compact(sent, json.dumps(claims), key, registry=registry)


def by(token: str, **more: str) -> dict[str, str]:
    return {"client_assertion": token, "client_assertion_type": TYPE, **more}


@pytest.mark.spec("OIDC Core", "9")
def test_an_assertion_proves_a_client_once(keyed: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    browser, shown = keyed.browser(beijing.id), by(assertion(clock))
    first, second = keyed.code(browser), keyed.code(browser)
    assert keyed.redeem(first, {}, client_id="keyed", **shown).status_code == 200
    turned_away(keyed.redeem(second, {}, **shown))
    # the replay redeemed nothing, and ended nothing
    assert keyed.redeem(second, {}, **by(assertion(clock, jti="j2"))).status_code == 200


@pytest.mark.store
@pytest.mark.spec("RFC 7523", "3")
def test_a_spent_assertion_is_remembered_as_long_as_it_could_be_taken(keyed: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    """Its end is judged with a leeway, so it is kept for that long as well, whenever the worker sweeps."""
    shown = by(assertion(clock))
    assert keyed.redeem("x", {}, **shown).json == {"error": "invalid_grant"}
    # expired half a minute ago by our clock, which may be the wrong one
    clock.advance(seconds=90)
    with platform.app_context(), transaction():
        jti.sweep(clock.now())
    turned_away(keyed.redeem("x", {}, **shown))
    assert keyed.redeem("x", {}, **by(assertion(clock, exp=int(clock.now().timestamp()) - 30, jti="fresh"))).json == {"error": "invalid_grant"}
    clock.advance(seconds=31)
    with platform.app_context(), transaction():
        jti.sweep(clock.now())
        assert session.query(UsedJti).filter_by(jti_digest=digest_of("j1")).count() == 0
    turned_away(keyed.redeem("x", {}, **shown))


@pytest.mark.spec("RFC 7515", "4.1.7")
def test_a_thumbprint_beside_the_key_id_does_no_harm(keyed: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    code = keyed.code(keyed.browser(beijing.id))
    assert keyed.redeem(code, {}, **by(assertion(clock, header={"x5t": "abc", "x5t#S256": "def"}))).status_code == 200


def test_a_refusal_spends_the_assertion_too(keyed: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    shown = by(assertion(clock))
    assert keyed.redeem("no-such-code", {}, **shown).json == {"error": "invalid_grant"}
    turned_away(keyed.redeem(keyed.code(keyed.browser(beijing.id)), {}, **shown))


@pytest.mark.spec("RFC 7523", "3")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [ISSUER]},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": f"{ISSUER}/oauth2/token"},
        {"aud": "https://other.example"},
        {"aud": None},
        {"iss": "rp"},
        {"sub": "rp"},
        {"iss": None},
        {"exp": None},
        {"exp": True},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": -1},
        {"exp": 1},
        {"exp": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 257},
        {"jti": ["j"]},
    ],
)
def test_wrong_claims_are_401(keyed: RelyingParty, clock: FakeClock, changes: dict[str, Any]) -> None:
    turned_away(keyed.redeem("x", {}, **by(assertion(clock, **changes))))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "unknown"},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"typ": "at+jwt"},
        {"jwk": KEY.as_dict(private=False)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x"},
        {"x5c": ["MII"]},
    ],
)
def test_wrong_headers_are_401(keyed: RelyingParty, clock: FakeClock, header: dict[str, Any]) -> None:
    turned_away(keyed.redeem("x", {}, **by(assertion(clock, header=header))))


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _keyed_with_the_public_key(payload: str) -> str:
    """HS256 with our public key as the secret; joserfc refuses to make one."""
    signed = f"{_segment({'alg': 'HS256', 'kid': 'k1'})}.{payload}"
    mac = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.spec("RFC 8725", "3.1")
def test_forged_signatures_are_401(keyed: RelyingParty, clock: FakeClock) -> None:
    good = assertion(clock)
    _, payload, signature = good.split(".")
    forged = [
        assertion(clock, OTHER_KEY),
        _keyed_with_the_public_key(payload),
        assertion(clock, RSAKey.generate_key(2048), {"alg": "RS256"}),
        f"{_segment({'alg': 'none'})}.{payload}.",
        f"{_segment({'alg': 'ES256', 'kid': ['k1']})}.{payload}.{signature}",
        f"{_segment({'alg': 'ES256', 'kid': 'k1', 'crit': ['b64'], 'b64': False})}.{payload}.{signature}",
        f"{_segment([])}.{payload}.{signature}",
        f"{_segment({'alg': 'ES256'})}.{_segment([])}.{signature}",
        good[:-4],
        good + "A",
        good + ".x",
        "x" * 300_00,
        "é.é.é",
        "...",
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.x",
    ]
    for token in forged:
        turned_away(keyed.redeem("x", {}, client_id="keyed", **by(token)))


def test_the_type_and_the_named_client_must_fit(keyed: RelyingParty, clock: FakeClock) -> None:
    good = assertion(clock)
    turned_away(keyed.redeem("x", {}, client_assertion=good))
    turned_away(keyed.redeem("x", {}, client_assertion=good, client_assertion_type="urn:x"))
    turned_away(keyed.redeem("x", {}, client_assertion_type=TYPE))
    turned_away(keyed.redeem("x", {}, **by(good, client_id="rp")))


def test_compat_clients_may_name_the_token_endpoint(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    jwk = {**KEY.as_dict(private=False), "kid": "k1"}
    members = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]}, "assertion_audience": "compat"}
    keyed = RelyingParty(platform, clock, "keyed", None, **members)
    browser = keyed.browser(beijing.id)
    assert keyed.redeem(keyed.code(browser), {}, **by(assertion(clock, aud=f"{ISSUER}/oauth2/token"))).status_code == 200
    turned_away(keyed.redeem("x", {}, **by(assertion(clock, aud=[f"{ISSUER}/oauth2/token"], jti="j2"))))
    # the same at the other endpoints (OIDC Core §9 names the token endpoint), and nothing else
    for path in ("/oauth2/revoke", "/oauth2/introspect"):
        for number, audience in enumerate((f"{ISSUER}/oauth2/token", ISSUER)):
            shown = by(assertion(clock, aud=audience, jti=f"{path}{number}"))
            assert keyed.app.test_client().post(path, data={"token": "x", **shown}, base_url=ISSUER).status_code == 200
        shown = by(assertion(clock, aud=ISSUER + path, jti=f"{path}-own"))
        turned_away(keyed.app.test_client().post(path, data={"token": "x", **shown}, base_url=ISSUER))


@pytest.mark.parametrize("value", [True, "1", None, 1e300, float("nan"), float("inf"), -1, 10**400, [1], {}])
def test_only_a_sane_number_is_a_date(value: object) -> None:
    assert jose.number(value) is None
