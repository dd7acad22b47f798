"""Bound tokens at userinfo (RFC 9449 §7): the right scheme, a proof for this token by its key, once."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.oidc import dpop
from idp.oidc.models import ClientRecord, UsedJti
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.fapi import USERINFO, Holder, ath
from tests.oidc.conftest import Somebody
from tests.oidc.test_unknown_outcome import commit_unheard, unavailable
from tests.relying_party import ISSUER, RelyingParty, body_of

pytestmark = pytest.mark.slow
CHALLENGE = 'DPoP algs="PS256 ES256 EdDSA Ed25519"'


@pytest.fixture
def holder(clock: FakeClock) -> Holder:
    return Holder(clock)


@pytest.fixture
def bound(rp: RelyingParty, beijing: Somebody, holder: Holder) -> str:
    """An access token bound to the holder's key."""
    token: str = body_of(rp.redeem(rp.code(rp.browser(beijing.id)), {**rp.basic(), **holder.at_token()}))["access_token"]
    return token


def get(platform: Flask, headers: dict[str, str], method: str = "GET", **more: Any) -> TestResponse:
    return platform.test_client().open("/oauth2/userinfo", method=method, headers=headers, base_url=ISSUER, **more)


def refused(answer: TestResponse, error: str, challenge: str = CHALLENGE) -> None:
    assert (answer.status_code, answer.json) == (401, {"error": error})
    if challenge == CHALLENGE:
        assert answer.headers["WWW-Authenticate"] == f'{CHALLENGE}, error="{error}"'


def spent(platform: Flask) -> int:
    with platform.app_context():
        return session.query(UsedJti).count()


@pytest.mark.store
@pytest.mark.spec("RFC 9449", "7.1")
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_its_holder_shows_it(platform: Flask, beijing: Somebody, holder: Holder, bound: str, method: str, scheme: str) -> None:
    headers = {**holder.bearing(bound, method=method), "Authorization": f"{scheme} {bound}"}
    answer = get(platform, headers, method)
    assert answer.status_code == 200
    assert method == "HEAD" or body_of(answer)["sub"] == beijing.sub
    assert answer.headers["DPoP-Nonce"] == dpop.nonce(SECRET, holder.clock.now())
    refused_head = get(platform, headers, method)
    assert refused_head.status_code == 401
    assert 'error="invalid_dpop_proof"' in refused_head.headers["WWW-Authenticate"]


@pytest.mark.spec("RFC 9449", "7.2")
def test_a_bound_token_is_no_bearer_token_and_the_other_way_round(
    rp: RelyingParty, platform: Flask, beijing: Somebody, holder: Holder, bound: str
) -> None:
    answer = rp.userinfo(bound)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid_token"})
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="userinfo", error="invalid_token", {CHALLENGE}'
    proven = holder.bearing(bound)
    assert get(platform, {**proven, "Authorization": f"Bearer {bound}"}).json == {"error": "invalid_token"}
    assert get(platform, {"DPoP": holder.proof(USERINFO, ath=ath(bound))}, "POST", data={"access_token": bound}).json == {"error": "invalid_token"}
    free = rp.tokens(rp.browser(beijing.id))["access_token"]
    refused(holder.userinfo(platform, free), "invalid_token")
    # a proof beside an ordinary Bearer token is not asked for, and not looked at
    assert get(platform, {"Authorization": f"Bearer {free}", "DPoP": "x"}).status_code == 200
    assert spent(platform) == 1


def test_a_thief_without_the_key(platform: Flask, clock: FakeClock, holder: Holder, bound: str) -> None:
    thief = Holder(clock)
    refused(thief.userinfo(platform, bound), "invalid_token")
    refused(get(platform, {"Authorization": f"DPoP {bound}"}), "invalid_dpop_proof")
    # a proof of the holder's for another request, or for another token
    refused(get(platform, {"Authorization": f"DPoP {bound}", "DPoP": holder.proof()}), "invalid_dpop_proof")
    refused(get(platform, holder.bearing(bound, ath=ath("another"))), "invalid_dpop_proof")
    refused(get(platform, holder.bearing(bound, ath=None)), "invalid_dpop_proof")
    refused(get(platform, holder.bearing(bound, method="POST")), "invalid_dpop_proof")
    refused(get(platform, holder.bearing(bound, htu=f"{ISSUER}/oauth2/token")), "invalid_dpop_proof")
    refused(get(platform, holder.bearing(bound, iat=int(clock.now().timestamp()) - 3600, nonce=None)), "invalid_dpop_proof")


@pytest.mark.spec("RFC 9449", "4.3")
def test_two_proofs_are_none(platform: Flask, holder: Holder, bound: str) -> None:
    before, one, other = spent(platform), holder.bearing(bound), holder.bearing(bound)
    for second in (one["DPoP"], other["DPoP"]):
        twice = [*one.items(), ("DPoP", second)]
        refused(platform.test_client().get("/oauth2/userinfo", headers=twice, base_url=ISSUER), "invalid_dpop_proof")
    assert spent(platform) == before
    assert get(platform, one).status_code == 200


@pytest.mark.spec("RFC 9449", "9")
def test_a_nonce_is_asked_for(platform: Flask, clock: FakeClock, holder: Holder, bound: str) -> None:
    asked = holder.userinfo(platform, bound, nonce=None)
    refused(asked, "use_dpop_nonce")
    assert holder.userinfo(platform, bound, nonce=asked.headers["DPoP-Nonce"]).status_code == 200


@pytest.mark.store
def test_what_is_refused_spends_nothing(rp: RelyingParty, platform: Flask, clock: FakeClock, holder: Holder, bound: str) -> None:
    before = spent(platform)
    headers = holder.bearing(bound)
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "rp").disabled_at = clock.now()
    refused(get(platform, headers), "invalid_token")
    assert spent(platform) == before
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "rp").disabled_at = None
    assert get(platform, headers).status_code == 200
    assert spent(platform) == before + 1


@pytest.mark.store
def test_a_proof_whose_commit_was_not_heard_stays_spent(platform: Flask, holder: Holder, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = holder.bearing(bound)
    with commit_unheard(monkeypatch):
        unavailable(get(platform, headers))
    refused(get(platform, headers), "invalid_dpop_proof")


def test_host_and_forwarded_headers_name_no_address(platform: Flask, holder: Holder, bound: str) -> None:
    poison = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    headers = holder.bearing(bound, htu="https://evil.example/oauth2/userinfo")
    refused(get(platform, {**headers, **poison}), "invalid_dpop_proof")
