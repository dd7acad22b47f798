"""DPoP at the token endpoint (RFC 9449 §5, §8, §10): proofs, nonces, codes and refresh tokens bound to keys."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from werkzeug.test import TestResponse

from idp.audit.models import AuditEvent
from idp.db import session
from idp.oidc import dpop
from idp.oidc.models import Grant, UsedJti
from idp.settings import Settings
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.fapi import TOKEN, Holder, KeyedParty
from tests.oidc.conftest import REFRESHES, SCOPE, Somebody
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of

pytestmark = pytest.mark.slow


@pytest.fixture
def holder(clock: FakeClock) -> Holder:
    return Holder(clock)


def refused(answer: TestResponse, error: str = "invalid_dpop_proof", status: int = 400) -> None:
    assert (answer.status_code, answer.json) == (status, {"error": error})
    assert answer.headers["Cache-Control"] == "no-store"


def redeemed(rp: RelyingParty, account_id: int, headers: dict[str, str]) -> dict[str, Any]:
    answer = rp.redeem(rp.code(rp.browser(account_id)), headers)
    assert answer.status_code == 200, answer.json
    return body_of(answer)


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "5")
def test_a_proof_binds_the_tokens_to_its_key(refreshing: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder) -> None:
    answer = redeemed(refreshing, beijing.id, {**refreshing.basic(), **holder.at_token()})
    assert answer["token_type"] == "DPoP"
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": holder.jkt}
    assert "cnf" not in claims_of(answer["id_token"])
    told = refreshing.introspect(answer["access_token"])
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": holder.jkt})
    with platform.app_context():
        assert session.query(Grant).one().cnf == {"jkt": holder.jkt}


def test_without_a_proof_tokens_are_what_they_were(rp: RelyingParty, beijing: Somebody) -> None:
    answer = rp.redeem(rp.code(rp.browser(beijing.id)))
    assert body_of(answer)["token_type"] == "Bearer"
    assert "DPoP-Nonce" not in answer.headers
    assert "cnf" not in claims_of(body_of(answer)["access_token"])


@pytest.mark.spec("RFC 9449", "6.1")
def test_tokens_of_a_client_in_its_own_name_are_bound_too(platform: Flask, clock: FakeClock, holder: Holder) -> None:
    own = RelyingParty(platform, clock, grant_types=["client_credentials"], scope="profile", redirect_uris=["https://rp.example/cb"])
    answer = own.token({"grant_type": "client_credentials"}, {**own.basic(), **holder.at_token()})
    assert claims_of(body_of(answer)["access_token"])["cnf"] == {"jkt": holder.jkt}


@pytest.mark.spec("RFC 9449", "5.2")
def test_who_registered_for_bound_tokens_gets_no_others(platform: Flask, clock: FakeClock, beijing: Somebody, holder: Holder) -> None:
    rp = RelyingParty(platform, clock, dpop_bound_access_tokens=True, grant_types=[*REFRESHES, "client_credentials"], scope=SCOPE, system="export")
    code = rp.code(rp.browser(beijing.id))
    refused(rp.redeem(code))
    answer = body_of(rp.redeem(code, {**rp.basic(), **holder.at_token()}))
    refused(rp.refresh(answer["refresh_token"]))
    refused(rp.token({"grant_type": "client_credentials"}, rp.basic()))


# --- what is no proof -----------------------------------------------------------------------------------------------------------------------

P256 = ECKey.generate_key("P-256")
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("typ", {"header": {"typ": "JWT"}}),
    ("no typ", {"header": {"typ": None}}),
    ("no jwk", {"header": {"jwk": None}}),
    ("another key", {"header": {"jwk": P256.as_dict(private=False)}}),
    ("empty jwk", {"header": {"jwk": {}}}),
    ("off the curve", {"header": {"jwk": {**P256.as_dict(private=False), "y": P256.as_dict(private=False)["x"]}}}),
    ("linked key", {"header": {"jku": "https://evil.example/jwks"}}),
    ("certificate", {"header": {"x5c": ["x"]}}),
    ("critical", {"header": {"crit": ["typ"]}}),
    ("larger than any", {"filler": "x" * 8192}),
    ("no jti", {"jti": None}),
    ("empty jti", {"jti": ""}),
    ("odd jti", {"jti": 7}),
    ("long jti", {"jti": "x" * 257}),
    ("no iat", {"iat": None}),
    ("text iat", {"iat": "now"}),
    ("boolean iat", {"iat": True}),
    ("huge iat", {"iat": 1e300}),
    ("method", {"htm": "GET"}),
    ("method's case", {"htm": "post"}),
    ("no method", {"htm": None}),
    ("path", {"htu": f"{ISSUER}/oauth2/userinfo"}),
    ("longer path", {"htu": TOKEN + "/"}),
    ("host", {"htu": "http://evil.example:8000/oauth2/token"}),
    ("port", {"htu": "http://127.0.0.1/oauth2/token"}),
    ("scheme", {"htu": "https://127.0.0.1:8000/oauth2/token"}),
    ("user", {"htu": "http://a@127.0.0.1:8000/oauth2/token"}),
    ("no address", {"htu": None}),
    ("odd address", {"htu": ["x"]}),
    ("over", {"exp": 1}),
    ("odd end", {"exp": "never"}),
]


@pytest.mark.spec("RFC 9449", "4.3")
@pytest.mark.parametrize("changes", [changes for _, changes in WRONG], ids=[name for name, _ in WRONG])
def test_what_is_no_proof(rp: RelyingParty, beijing: Somebody, holder: Holder, changes: dict[str, Any]) -> None:
    code = rp.code(rp.browser(beijing.id))
    refused(rp.redeem(code, {**rp.basic(), **holder.at_token(**changes)}))
    # nothing happened to the code
    assert rp.redeem(code, {**rp.basic(), **holder.at_token()}).status_code == 200


@pytest.mark.parametrize("proof", ["", " ", "x", "a.b.c", "e30.e30.e30", "é", "x" * 20_000, "[]", "null.null.null", "..", "\x7f"])
def test_garbage(rp: RelyingParty, proof: str) -> None:
    refused(rp.redeem("x", {**rp.basic(), "DPoP": proof}))


@pytest.mark.spec("RFC 9449", "4.3")
def test_two_proofs_are_none(rp: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder) -> None:
    form = {"grant_type": "authorization_code", "code": rp.code(rp.browser(beijing.id)), "redirect_uri": rp.redirect_uri}
    twice = [*rp.basic().items(), ("DPoP", holder.proof()), ("DPoP", holder.proof())]
    refused(platform.test_client().post("/oauth2/token", data=form, headers=twice, base_url=ISSUER))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _segment(members: dict[str, Any]) -> str:
    return _b64(json.dumps(members).encode())


@pytest.mark.spec("RFC 9449", "11.6")
@pytest.mark.filterwarnings("ignore:Key size should be")
def test_algorithms(rp: RelyingParty, clock: FakeClock, beijing: Somebody) -> None:
    good: list[tuple[str, Key]] = [("PS256", RSAKey.generate_key(2048)), ("EdDSA", OKPKey.generate_key("Ed25519")), ("ES256", P256)]
    # RFC 9864
    good.append(("Ed25519", good[1][1]))
    for alg, key in good:
        redeemed(rp, beijing.id, {**rp.basic(), **Holder(clock, key, alg).at_token()})
    secret = OctKey.generate_key(256)
    bad: list[tuple[str, Key]] = [
        ("RS256", good[0][1]),
        ("ES384", ECKey.generate_key("P-384")),
        ("PS256", RSAKey.generate_key(1024)),
        ("HS256", secret),
    ]
    for alg, bad_key in bad:
        shown = bad_key.as_dict() if bad_key is secret else bad_key.as_dict(private=False)
        refused(rp.redeem("x", {**rp.basic(), **Holder(clock, bad_key, alg).at_token(header={"jwk": shown})}))
    # alg none, and an algorithm that does not fit the key
    holder = Holder(clock)
    head, payload, tail = holder.proof().split(".")
    refused(rp.redeem("x", {**rp.basic(), "DPoP": f"{head}.{payload}."}))
    unnamed = _segment({"typ": "dpop+jwt", "jwk": holder.key.as_dict(private=False)})
    for other in ("eyJhbGciOiJub25lIn0", _segment({"typ": "dpop+jwt", "alg": "none", "jwk": holder.key.as_dict(private=False)}), unnamed):
        refused(rp.redeem("x", {**rp.basic(), "DPoP": f"{other}.{payload}.{tail}"}))
        refused(rp.redeem("x", {**rp.basic(), "DPoP": f"{other}.{payload}."}))
    # no algorithm, and signed nevertheless
    raw_key = holder.key.private_key
    assert isinstance(raw_key, EllipticCurvePrivateKey)
    signature = raw_key.sign(f"{unnamed}.{payload}".encode(), ECDSA(SHA256()))
    raw = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))
    refused(rp.redeem("x", {**rp.basic(), "DPoP": f"{unnamed}.{payload}.{_b64(raw)}"}))
    mixed = Holder(clock, good[0][1], "PS256").at_token(header={"jwk": P256.as_dict(private=False)})
    refused(rp.redeem("x", {**rp.basic(), **mixed}))


@pytest.mark.spec("RFC 9449", "11.1")
@pytest.mark.parametrize(("seconds", "fine"), [(60, True), (61, False), (-60, True), (-61, False), (3600, False), (-3600, False)])
def test_the_time_of_a_proof(rp: RelyingParty, beijing: Somebody, holder: Holder, clock: FakeClock, seconds: int, fine: bool) -> None:
    # judged before the nonce is asked for
    late = holder.at_token(iat=int(clock.now().timestamp()) + seconds, nonce=None)
    refused(rp.redeem("x", {**rp.basic(), **late}), "use_dpop_nonce" if fine else "invalid_dpop_proof")


@pytest.mark.spec("RFC 9449", "4.3")
@pytest.mark.parametrize(
    "htu",
    [
        "HTTP://127.0.0.1:8000/oauth2/token",
        TOKEN + "?x=1#y",
        "http://127.0.0.1:8000/oauth2/%74oken",
        "http://127.0.0.1:8000/x/../oauth2/./token",
        "http://127.0.0.1:08000/oauth2/token",
    ],
)
def test_an_address_may_be_spelt_otherwise(rp: RelyingParty, beijing: Somebody, holder: Holder, htu: str) -> None:
    redeemed(rp, beijing.id, {**rp.basic(), **holder.at_token(htu=htu)})


@pytest.mark.spec("RFC 9449", "4.2")
def test_what_a_key_says_of_itself(rp: RelyingParty, beijing: Somebody, holder: Holder) -> None:
    """Members as the Web Cryptography API writes them do no harm, and bind where they say something."""
    plain = holder.key.as_dict(private=False)
    written = {**plain, "alg": "ES256", "key_ops": ["verify"], "ext": True, "kid": "k", "use": "sig"}
    answer = redeemed(rp, beijing.id, {**rp.basic(), **holder.at_token(header={"jwk": written})})
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": holder.jkt}
    # §4.3: above all no private key, even if it is the one that signed
    for other in ({"use": "enc"}, {"alg": "ES384"}, {"key_ops": ["sign"]}, holder.key.as_dict(private=True), {"k": "x"}):
        refused(rp.redeem("x", {**rp.basic(), **holder.at_token(header={"jwk": {**plain, **other}})}))


# --- nonces ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "8")
def test_a_nonce_is_asked_for_and_nothing_is_spent_by_that(platform: Flask, clock: FakeClock, beijing: Somebody, holder: Holder) -> None:
    rp = KeyedParty(platform, clock)
    code, shown = rp.code(rp.browser(beijing.id)), rp.proven()
    for nonce in (None, "", "x", 7, dpop.nonce("another secret", clock.now())):
        asked = rp.redeem(code, holder.at_token(nonce=nonce), **shown)
        refused(asked, "use_dpop_nonce")
        assert asked.headers["DPoP-Nonce"] == dpop.nonce(SECRET, clock.now())
    with platform.app_context():
        assert session.query(UsedJti).count() == 0
        assert session.query(AuditEvent).filter_by(event="oidc.client.refused").count() == 0
    # the same assertion again, with what was asked for
    answer = rp.redeem(code, holder.at_token(nonce=asked.headers["DPoP-Nonce"]), **shown)
    assert answer.status_code == 200
    assert answer.headers["DPoP-Nonce"] == asked.headers["DPoP-Nonce"]


def test_asking_for_a_nonce_is_no_failure_that_counts(rp: RelyingParty, holder: Holder) -> None:
    statuses = [rp.redeem("x", {**rp.basic(), **holder.at_token(nonce=None)}).status_code for _ in range(40)]
    assert statuses == [400] * 40
    statuses = [rp.redeem("x", {**rp.basic(), "DPoP": "x"}).status_code for _ in range(31)]
    assert statuses == [400] * 30 + [429]


def test_every_answer_to_a_proof_brings_the_next_nonce(rp: RelyingParty, beijing: Somebody, holder: Holder, clock: FakeClock) -> None:
    for headers in (holder.at_token(), {"DPoP": "x"}):
        answer = rp.redeem("x", {**rp.basic(), **headers})
        assert answer.headers["DPoP-Nonce"] == dpop.nonce(SECRET, clock.now())
    # where a proof means nothing it is not looked at
    for endpoint in ("revoke", "introspect"):
        answer = rp.app.test_client().post(f"/oauth2/{endpoint}", data={"token": "x"}, headers={**rp.basic(), "DPoP": "x"}, base_url=ISSUER)
        assert answer.status_code == 200
        assert "DPoP-Nonce" not in answer.headers


def test_a_stranger_learns_no_more_by_a_proof(rp: RelyingParty, holder: Holder) -> None:
    for headers in (holder.at_token(), holder.at_token(nonce=None), {"DPoP": "x"}):
        refused(rp.token({"grant_type": "authorization_code", "client_id": "rp", "client_secret": "x"}, headers), "invalid_client", 401)


@pytest.mark.spec("RFC 9449", "8")
def test_a_page_in_the_browser_may_read_the_nonce(public: RelyingParty, holder: Holder) -> None:
    form, origin = {"grant_type": "authorization_code", "client_id": "public", "code": "x"}, {"Origin": "https://rp.example"}
    asked = public.token(form, {**origin, **holder.at_token(nonce=None)})
    refused(asked, "use_dpop_nonce")
    assert asked.headers["Access-Control-Allow-Origin"] == "https://rp.example"
    assert "DPoP-Nonce" in asked.headers["Access-Control-Expose-Headers"]
    assert asked.headers["DPoP-Nonce"]


# --- once -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "11.1")
def test_a_proof_counts_once_until_it_is_too_old(rp: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder, clock: FakeClock) -> None:
    from idp.db import transaction
    from idp.oidc import jti

    browser, shown = rp.browser(beijing.id), holder.at_token(iat=int(clock.now().timestamp()) + 60)
    assert rp.redeem(rp.code(browser), {**rp.basic(), **shown}).status_code == 200
    second = rp.code(browser)
    for seconds in (0, 59):
        clock.advance(seconds=seconds)
        with platform.app_context(), transaction():
            jti.sweep(clock.now())
        refused(rp.redeem(second, {**rp.basic(), **shown}))
    # the same jti of another key is another one
    claims = claims_of(shown["DPoP"])
    assert rp.redeem(second, {**rp.basic(), **Holder(clock).at_token(**claims)}).status_code == 200
    clock.advance(seconds=122)
    with platform.app_context(), transaction():
        jti.sweep(clock.now())
        assert session.query(UsedJti).count() == 0


@pytest.mark.spec("RFC 9449", "11.1")
def test_a_proof_of_now_is_remembered_for_as_long_as_it_counts(
    rp: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder, clock: FakeClock
) -> None:
    from idp.db import transaction
    from idp.oidc import jti

    browser, shown = rp.browser(beijing.id), holder.at_token()
    assert rp.redeem(rp.code(browser), {**rp.basic(), **shown}).status_code == 200
    for seconds in (59, 1):
        clock.advance(seconds=seconds)
        with platform.app_context(), transaction():
            jti.sweep(clock.now())
        code = rp.code(browser)
        refused(rp.redeem(code, {**rp.basic(), **shown}))
    # not for its age
    assert rp.redeem(code, {**rp.basic(), **Holder(clock).at_token(**claims_of(shown["DPoP"]))}).status_code == 200


def test_a_refused_request_spends_its_proof(rp: RelyingParty, beijing: Somebody, holder: Holder) -> None:
    shown = holder.at_token()
    refused(rp.redeem("no such code", {**rp.basic(), **shown}), "invalid_grant")
    refused(rp.redeem(rp.code(rp.browser(beijing.id)), {**rp.basic(), **shown}))


@pytest.mark.spec("RFC 9449", "8")
def test_two_processes_agree_on_nonces_and_on_what_was_shown(
    rp: RelyingParty, platform: Flask, settings: Settings, clock: FakeClock, beijing: Somebody, holder: Holder
) -> None:
    from idp.adapters import Adapters
    from idp.app import create_app
    from idp.db import db
    from tests.fakes import FakeWeb, LetterBox

    box = LetterBox()
    other = create_app(settings, Adapters(clock=clock, mail=box.mail(), sms=box.sms(), outbound=FakeWeb()))
    other.testing = True
    other.config["SERVER_NAME"] = platform.config["SERVER_NAME"]
    browser = rp.browser(beijing.id)
    asked = rp.redeem("x", {**rp.basic(), **holder.at_token(nonce=None)})
    shown = holder.at_token(nonce=asked.headers["DPoP-Nonce"])
    first, second = rp.code(browser), rp.code(browser)
    rp.app = other
    answer = rp.redeem(first, {**rp.basic(), **shown})
    assert answer.status_code == 200
    used = holder.bearing(body_of(answer)["access_token"])
    assert other.test_client().get("/oauth2/userinfo", headers=used, base_url=ISSUER).status_code == 200
    rp.app = platform
    refused(rp.redeem(second, {**rp.basic(), **shown}))
    refused(platform.test_client().get("/oauth2/userinfo", headers=used, base_url=ISSUER), status=401)
    with other.app_context():
        session.remove()
        db.engine.dispose()


# --- codes and refresh tokens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 9449", "10")
def test_a_code_bound_to_a_key(rp: RelyingParty, beijing: Somebody, holder: Holder, clock: FakeClock) -> None:
    browser = rp.browser(beijing.id)
    code = rp.code(browser, dpop_jkt=holder.jkt)
    refused(rp.redeem(code), "invalid_grant")
    refused(rp.redeem(code, {**rp.basic(), **Holder(clock).at_token()}), "invalid_grant")
    assert rp.redeem(code, {**rp.basic(), **holder.at_token()}).status_code == 200


@pytest.mark.parametrize("jkt", ["x", "x" * 42, "x" * 44, "x" * 64, "!" * 43, "é" * 43])
def test_what_is_no_thumbprint(rp: RelyingParty, beijing: Somebody, jkt: str) -> None:
    assert "error=invalid_request" in rp.authorize(rp.browser(beijing.id), dpop_jkt=jkt).location


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "5")
def test_a_public_clients_refresh_token_needs_its_key(public: RelyingParty, beijing: Somebody, holder: Holder, clock: FakeClock) -> None:
    answer = redeemed(public, beijing.id, holder.at_token())
    form = {"grant_type": "refresh_token", "client_id": "public", "refresh_token": answer["refresh_token"]}
    refused(public.token(form, {}), "invalid_grant")
    refused(public.token(form, Holder(clock).at_token()), "invalid_grant")
    # bound to its key it is not rotated
    for _ in range(2):
        clock.advance(seconds=30)
        again = body_of(public.token(form, holder.at_token()))
        assert "refresh_token" not in again
        assert claims_of(again["access_token"])["cnf"] == {"jkt": holder.jkt}
        assert again["token_type"] == "DPoP"


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "5")
def test_a_confidential_client_may_change_its_key_but_not_lose_it(
    refreshing: RelyingParty, beijing: Somebody, holder: Holder, clock: FakeClock
) -> None:
    answer = redeemed(refreshing, beijing.id, {**refreshing.basic(), **holder.at_token()})
    form, new = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}, Holder(clock)
    again = body_of(refreshing.token(form, {**refreshing.basic(), **new.at_token()}))
    assert claims_of(again["access_token"])["cnf"] == {"jkt": new.jkt}
    refused(refreshing.refresh(answer["refresh_token"]), "invalid_grant")


@pytest.mark.spec("RFC 9449", "5")
def test_a_confidential_client_that_has_shown_a_key_shows_one_ever_after(refreshing: RelyingParty, beijing: Somebody, holder: Holder) -> None:
    token = redeemed(refreshing, beijing.id, refreshing.basic())["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert refreshing.token(form, {**refreshing.basic(), **holder.at_token()}).status_code == 200
    refused(refreshing.refresh(token), "invalid_grant")


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "5")
def test_the_first_key_of_a_public_clients_refresh_binds_all_that_follow(
    public: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder, clock: FakeClock
) -> None:
    first = redeemed(public, beijing.id, {})["refresh_token"]

    def refresh(token: str, headers: dict[str, str]) -> TestResponse:
        return public.token({"grant_type": "refresh_token", "client_id": "public", "refresh_token": token}, headers)

    # unbound, then unbound again, then with a key
    second = body_of(refresh(first, {}))["refresh_token"]
    answer = body_of(refresh(second, holder.at_token()))
    third = answer["refresh_token"]
    assert (answer["token_type"], claims_of(answer["access_token"])["cnf"]) == ("DPoP", {"jkt": holder.jkt})
    # whoever is a little slower with the same token does not move the binding, and is no exception to it
    foreign = Holder(clock)
    for token in (second, third):
        refused(refresh(token, {}), "invalid_grant")
        refused(refresh(token, foreign.at_token()), "invalid_grant")
    with platform.app_context():
        grant = session.query(Grant).one()
        assert (grant.cnf, grant.ended_at) == ({"jkt": holder.jkt}, None)
    for _ in range(2):
        again = body_of(refresh(third, holder.at_token()))
        assert (again["token_type"], "refresh_token" in again) == ("DPoP", False)


@pytest.mark.spec("RFC 9449", "5")
def test_a_token_that_was_rotated_a_moment_ago_binds_nothing(public: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder) -> None:
    first = redeemed(public, beijing.id, {})["refresh_token"]
    second = body_of(public.refresh(first))["refresh_token"]
    late = public.token({"grant_type": "refresh_token", "client_id": "public", "refresh_token": first}, holder.at_token())
    assert (late.status_code, "refresh_token" in body_of(late)) == (200, False)
    with platform.app_context():
        assert session.query(Grant).one().cnf == {}
    assert public.refresh(second).status_code == 200
