"""Revocation (RFC 7009): a client takes back what is its own; strangers' tokens are left alone, and nobody can tell."""

import pytest
from flask import Flask
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import access_tokens
from idp.oidc.token_models import RevokedToken
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import KEY, assertion, by
from tests.oidc.test_token import grant_reason, refused
from tests.relying_party import ISSUER, RelyingParty, body_of, claims_of

pytestmark = pytest.mark.slow

HINTS = [None, "access_token", "refresh_token", "id_token", "x" * 300]


@pytest.mark.slow
@pytest.mark.store
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("hint", HINTS)
def test_an_access_token_dies_alone_whatever_the_hint(refreshing: RelyingParty, platform: Flask, beijing: Somebody, hint: str | None) -> None:
    browser = refreshing.browser(beijing.id)
    one, other = refreshing.tokens(browser), refreshing.tokens(browser)
    for _ in range(2):
        response = refreshing.revoke(one["access_token"], token_type_hint=hint)
        assert (response.status_code, response.json) == (200, {})
        assert response.headers["Cache-Control"] == "no-store"
    assert refreshing.userinfo(one["access_token"]).status_code == 401
    assert refreshing.introspect(one["access_token"]) == {"active": False}
    assert refreshing.userinfo(other["access_token"]).status_code == 200
    assert refreshing.refresh(one["refresh_token"]).status_code == 200
    with platform.app_context():
        rows = session.execute(select(RevokedToken.jti, RevokedToken.expires_at)).all()
        assert [(row.jti, int(row.expires_at.timestamp())) for row in rows] == [
            (claims_of(one["access_token"])["jti"], claims_of(one["access_token"])["exp"])
        ]
        assert session.scalar(select(AuditEvent.client_id).where(AuditEvent.event == "oidc.access_token.revoked")) == "rp"


@pytest.mark.slow
@pytest.mark.store
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("hint", HINTS)
def test_a_refresh_token_takes_its_grant_along(refreshing: RelyingParty, platform: Flask, beijing: Somebody, hint: str | None) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    assert refreshing.revoke(answer["refresh_token"], token_type_hint=hint).status_code == 200
    assert grant_reason(platform) == "revoked_by_client"
    refused(refreshing.refresh(answer["refresh_token"]))
    assert refreshing.userinfo(answer["access_token"]).status_code == 401
    assert refreshing.introspect(answer["access_token"]) == refreshing.introspect(answer["refresh_token"]) == {"active": False}
    assert refreshing.revoke(answer["refresh_token"]).status_code == 200


@pytest.mark.spec("RFC 7009", "2.1")
def test_a_public_client_takes_back_its_own_by_name(public: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    answer = public.tokens(public.browser(beijing.id))
    assert public.revoke(answer["access_token"]).status_code == 200
    assert public.userinfo(answer["access_token"]).status_code == 401
    rotated = body_of(public.refresh(answer["refresh_token"]))["refresh_token"]
    # the replaced one ends the family as well
    assert public.revoke(answer["refresh_token"]).status_code == 200
    refused(public.refresh(rotated))
    assert grant_reason(platform) == "revoked_by_client"


@pytest.mark.spec("RFC 7009", "2.2")
def test_strangers_and_nonsense_get_the_same_answer_and_change_nothing(
    refreshing: RelyingParty,
    public: RelyingParty,
    platform: Flask,
    beijing: Somebody,
) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    for token in (answer["access_token"], answer["refresh_token"], answer["id_token"], "x", "a.b.c", "x" * 20_000, "\x00", "密"):
        response = public.revoke(token)
        assert (response.status_code, response.json) == (200, {})
    assert grant_reason(platform) is None
    assert refreshing.userinfo(answer["access_token"]).status_code == 200
    assert refreshing.refresh(answer["refresh_token"]).status_code == 200


@pytest.mark.parametrize("endpoint", ["revoke", "introspect"])
def test_who_does_not_prove_itself_gets_401(refreshing: RelyingParty, beijing: Somebody, endpoint: str) -> None:
    answer, client = refreshing.tokens(refreshing.browser(beijing.id)), refreshing.browser()
    path = f"/oauth2/{endpoint}"
    for form in ({}, {"client_id": "rp"}, {"client_id": "nobody"}, {"client_id": "rp", "client_secret": "wrong-" * 8}):
        response = client.post(path, data={"token": answer["access_token"], **form}, base_url=ISSUER)
        refused(response, "invalid_client", 401)
        assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert refreshing.userinfo(answer["access_token"]).status_code == 200
    refused(client.get(path, query_string={"token": "x"}, headers=refreshing.basic(), base_url=ISSUER), "invalid_request", 405)
    refused(client.post(f"{path}?token=x", headers=refreshing.basic(), base_url=ISSUER), "invalid_request")
    refused(client.post(path, json={"token": "x"}, headers=refreshing.basic(), base_url=ISSUER), "invalid_request")
    refused(refreshing.call(endpoint), "invalid_request")


@pytest.mark.store
@pytest.mark.spec("RFC 7523", "3")
@pytest.mark.parametrize("endpoint", ["revoke", "introspect"])
def test_an_assertion_is_spent_here_too(platform: Flask, clock: FakeClock, endpoint: str) -> None:
    jwk = {**KEY.as_dict(private=False), "kid": "k1"}
    keyed = RelyingParty(platform, clock, "keyed", None, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]})
    shown = by(assertion(clock))
    assert keyed.call(endpoint, token="x", **shown).status_code == 200
    refused(keyed.call(endpoint, token="x", **shown), "invalid_client", 401)
    refused(keyed.call("token", grant_type="client_credentials", **shown), "invalid_client", 401)


def test_the_sweep_forgets_what_is_over_anyway(refreshing: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    refreshing.revoke(refreshing.tokens(refreshing.browser(beijing.id))["access_token"])
    for minutes, left in ((10, 1), (1, 0)):
        clock.advance(minutes=minutes)
        with platform.app_context(), transaction():
            access_tokens.sweep(clock.now())
            assert session.query(RevokedToken).count() == left
