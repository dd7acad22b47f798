"""Userinfo: one living Bearer token, from one place, for this issuer, with openid."""

from typing import Any

import pytest
from flask import Flask

from idp.accounts import directory
from idp.db import session, transaction
from idp.key_register.models import EKey
from idp.oidc import keys
from idp.oidc.keys import KeyRing, NewKey
from idp.oidc.models import ClientRecord, SigningKey
from tests import people
from tests.conftest import SECRET
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of


def forged(platform: Flask, claims: dict[str, Any], alg: str = "ES256", typ: str = "at+jwt") -> str:
    """A token that our own key signed, with claims of the test's choice."""
    with platform.app_context():
        return KeyRing(SECRET).latest().sign(claims, alg, typ)


@pytest.mark.spec("RFC 6750", "3")
def test_who_shows_nothing_hears_only_the_scheme(rp: RelyingParty) -> None:
    response = rp.browser().get("/oauth2/userinfo", base_url=ISSUER)
    assert (response.status_code, response.json) == (401, {})
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="userinfo", DPoP algs="PS256 ES256 EdDSA Ed25519"'


@pytest.mark.spec("RFC 6750", "2")
def test_header_or_form_and_nothing_else(rp: RelyingParty, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    token = rp.tokens(browser)["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    form = {"access_token": token}
    assert body_of(browser.post("/oauth2/userinfo", data=form, base_url=ISSUER))["sub"] == beijing.sub
    assert body_of(browser.post("/oauth2/userinfo", headers=bearer, base_url=ISSUER))["sub"] == beijing.sub
    assert browser.post("/oauth2/userinfo", headers=bearer, data=form, base_url=ISSUER).status_code == 400
    assert browser.get(f"/oauth2/userinfo?access_token={token}", base_url=ISSUER).status_code == 400
    assert browser.get(f"/oauth2/userinfo?access_token={token}", headers=bearer, base_url=ISSUER).status_code == 400
    assert browser.get("/oauth2/userinfo", headers={"Authorization": f"Basic {token}"}, base_url=ISSUER).status_code == 401
    browser.set_cookie("access_token", token, domain="127.0.0.1")
    assert browser.get("/oauth2/userinfo", base_url=ISSUER).status_code == 401


@pytest.mark.spec("OIDC Core", "5.3.3")
def test_tokens_that_are_not_for_userinfo(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    answer = rp.tokens(rp.browser(beijing.id))
    good = claims_of(answer["access_token"])
    assert rp.userinfo(forged(platform, good)).status_code == 200
    wrong: list[dict[str, Any]] = [
        {"aud": "urn:licence:system:export"},
        {"iss": "https://other.example"},
        {"exp": int(clock.now().timestamp())},
        {"gid": "999"},
    ]
    for change in wrong:
        response = rp.userinfo(forged(platform, {**good, **change}))
        assert (response.status_code, response.json) == (401, {"error": "invalid_token"})
    response = rp.userinfo(forged(platform, {**good, "scope": "profile"}))
    assert (response.status_code, response.json) == (403, {"error": "insufficient_scope"})
    # an ID token is no access token, whatever it says
    for token in (answer["id_token"], forged(platform, good, typ="JWT"), "x", "a.b.c", "", "x" * 100_000):
        assert rp.userinfo(token).status_code == 401


def test_an_expired_token_is_refused_to_the_second(rp: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    clock.advance(seconds=599)
    assert rp.userinfo(token).status_code == 200
    clock.advance(seconds=1)
    assert rp.userinfo(token).status_code == 401


@pytest.mark.requirement("R66")
def test_a_dead_key_takes_its_licences_at_once(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    with platform.app_context(), transaction():
        session.query(EKey).one().status = "revoked"
    told = body_of(rp.userinfo(token))
    assert told["sub"] == beijing.sub
    assert "licences" not in told
    assert "legacy_usernames" not in told


@pytest.mark.requirement("D1")
@pytest.mark.requirement("D11")
def test_a_dual_use_user_with_two_names_has_one_old_name_there(platform: Flask, clock: FakeClock) -> None:
    with platform.app_context(), transaction():
        row = people.account(people.enterprise(), ["liangyong"], user_class=2)
        people.key(row, ["dual_use"])
        for name, old in (("liangyong", "liangyong"), (f"{people.CODE}-liangyong", "liangyong"), ("second", "second")):
            directory.add_name(row, name, system="dual_use", local_name=old)
        account_id = row.id
    rp = RelyingParty(platform, clock, system="dual_use", scope="openid licence:dual_use")
    told = body_of(rp.userinfo(rp.tokens(rp.browser(account_id))["access_token"]))
    assert told["legacy_usernames"] == ["liangyong", "second"]


def test_a_disabled_client_hears_nothing_more(rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "rp").disabled_at = clock.now()
    assert rp.userinfo(token).status_code == 401


@pytest.mark.spec("OIDC Core", "10.1.1")
def test_a_withdrawn_keys_tokens_die_at_once_and_a_retired_ones_live_on(
    rp: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock
) -> None:
    browser = rp.browser(beijing.id)
    clock.advance(hours=24)
    rp.sign_in(browser, beijing.id)
    old = rp.tokens(browser)["access_token"]
    with platform.app_context(), transaction():
        keys.rotate("ES256", _spare(), clock.now())
    new = rp.tokens(browser)["access_token"]
    assert rp.userinfo(old).status_code == rp.userinfo(new).status_code == 200
    with platform.app_context(), transaction():
        current = session.query(SigningKey).filter_by(alg="ES256", state="current").one()
        keys.withdraw(current.kid, _spare(), clock.now())
    assert rp.userinfo(new).status_code == 401
    assert rp.userinfo(old).status_code == 200
    assert rp.userinfo(rp.tokens(browser)["access_token"]).status_code == 200


def _spare() -> NewKey:
    return keys.make("ES256", SECRET)
