"""Introspection (RFC 7662): only for those whom the token is meant for, and only what it is worth now."""

import pytest
from flask import Flask

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.oidc.models import ClientRecord
from tests import people
from tests.fakes import FakeClock
from tests.oidc.conftest import REFRESHES, Somebody
from tests.oidc.test_refresh import set_key
from tests.oidc.test_token import refused
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of

pytestmark = pytest.mark.slow

INACTIVE = {"active": False}


@pytest.mark.spec("RFC 7662", "2.2")
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "x"])
def test_the_resource_is_told_what_the_token_says_and_is_worth(refreshing: RelyingParty, beijing: Somebody, hint: str | None) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    said = claims_of(answer["access_token"])
    told = refreshing.introspect(answer["access_token"], token_type_hint=hint)
    assert told == {
        **{name: said[name] for name in ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "auth_time", "acr", "scope")},
        "active": True,
        "token_type": "Bearer",
    }
    refresh = refreshing.introspect(answer["refresh_token"], token_type_hint=hint)
    assert refresh == {
        "active": True,
        "iss": ISSUER,
        "sub": said["sub"],
        "client_id": "rp",
        "scope": said["scope"],
        "iat": said["iat"],
        "exp": said["iat"] + 8 * 3600,
    }


@pytest.mark.spec("RFC 7662", "4")
def test_everybody_else_hears_inactive_only(refreshing: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    other = RelyingParty(platform, clock, "other", system="import", scope="openid licence:export licence:import", grant_types=REFRESHES)
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    for token in (answer["access_token"], answer["refresh_token"]):
        assert other.introspect(token) == INACTIVE
    # a token for another system: that system may ask, its holder may not
    abroad = other.tokens(other.browser(beijing.id), resource="urn:licence:system:export")["access_token"]
    assert refreshing.introspect(abroad)["active"]
    assert other.introspect(abroad) == INACTIVE
    # a token for us alone is its own client's business
    plain = RelyingParty(platform, clock, "plain")
    home = plain.tokens(plain.browser(beijing.id))["access_token"]
    assert plain.introspect(home)["active"]
    assert refreshing.introspect(home) == other.introspect(home) == INACTIVE


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 20_000, "\x00", "密", "eyJhbGciOiJub25lIn0.e30."])
def test_nonsense_is_inactive(refreshing: RelyingParty, token: str) -> None:
    assert refreshing.introspect(token) == INACTIVE


def test_an_id_token_is_no_access_token(refreshing: RelyingParty, beijing: Somebody) -> None:
    assert refreshing.introspect(refreshing.tokens(refreshing.browser(beijing.id))["id_token"]) == INACTIVE


@pytest.mark.spec("RFC 7662", "2.1")
def test_a_public_client_could_try_tokens_out_so_it_may_not_ask(public: RelyingParty, beijing: Somebody) -> None:
    token = public.tokens(public.browser(beijing.id))["access_token"]
    refused(public.call("introspect", token=token), "invalid_client", 401)


def test_to_the_second(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    clock.advance(seconds=599)
    assert refreshing.introspect(answer["access_token"])["active"]
    clock.advance(seconds=1)
    assert refreshing.introspect(answer["access_token"]) == INACTIVE
    clock.advance(hours=7, minutes=49, seconds=59)
    assert refreshing.introspect(answer["refresh_token"])["active"]
    clock.advance(seconds=1)
    assert refreshing.introspect(answer["refresh_token"]) == INACTIVE


@pytest.mark.requirement("R66")
def test_a_licence_that_went_is_not_told(refreshing: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    set_key(platform, "revoked")
    assert refreshing.introspect(answer["access_token"])["scope"] == "openid profile"
    assert refreshing.introspect(answer["refresh_token"]) == INACTIVE


def test_a_replaced_refresh_token_is_inactive(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    rp = RelyingParty(platform, clock, grant_types=REFRESHES, token_endpoint_auth_method="none", secret=None)
    first = rp.tokens(rp.browser(beijing.id))["refresh_token"]
    second = body_of(rp.refresh(first))["refresh_token"]
    with platform.app_context(), transaction():
        from idp.oidc import clients
        from idp.oidc.registration import judge
        from tests.relying_party import SECRET

        row = session.get_one(ClientRecord, "rp")
        members = {**row.registration, "token_endpoint_auth_method": "client_secret_basic"}
        clients.update(row, judge({**members, "client_id": "rp"}), SECRET, clock.now())
    rp.secret = SECRET
    assert rp.introspect(first) == INACTIVE
    assert rp.introspect(second)["active"]


@pytest.mark.store
@pytest.mark.parametrize("end", ["epoch", "account", "enterprise", "client"])
def test_what_ends_a_grant_is_seen_here(refreshing: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody, end: str) -> None:
    judge = RelyingParty(platform, clock, "judge", system="export", scope="openid")
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    assert judge.introspect(answer["access_token"])["active"]
    with platform.app_context(), transaction():
        account = session.get_one(Account, beijing.id)
        if end == "epoch":
            account.epoch += 1
        if end == "account":
            account.status = "disabled"
        if end == "enterprise":
            people.firm(account).status = "cancelled"
        if end == "client":
            session.get_one(ClientRecord, "rp").disabled_at = clock.now()
    assert judge.introspect(answer["access_token"]) == INACTIVE
