"""client_credentials: a client in its own name, with its own scopes and nothing of any person."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc.models import ClientRecord, Grant
from idp.oidc.registration import judge
from tests.fakes import FakeClock
from tests.oidc.conftest import Somebody
from tests.oidc.test_token import refused
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of, header_of

OWN = "urn:licence:system:export"


@pytest.fixture
def machine(platform: Flask, clock: FakeClock) -> RelyingParty:
    both = ["client_credentials", "authorization_code", "refresh_token"]
    return RelyingParty(platform, clock, "machine", system="export", scope="openid enterprise licence:export", grant_types=both)


def own(client: RelyingParty, **form: str) -> Any:
    return client.call("token", grant_type="client_credentials", **form)


@pytest.mark.spec("RFC 6749", "4.4")
@pytest.mark.spec("RFC 9068", "2.2")
def test_the_token_is_about_the_client_alone(machine: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    answer, now = body_of(own(machine)), int(clock.now().timestamp())
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["scope"], answer["token_type"], answer["expires_in"]) == ("enterprise", "Bearer", 600)
    token = claims_of(answer["access_token"])
    assert header_of(answer["access_token"])["typ"] == "at+jwt"
    assert token == {
        "iss": ISSUER,
        "sub": "machine",
        "client_id": "machine",
        "aud": OWN,
        "iat": now,
        "exp": now + 600,
        "scope": "enterprise",
        "jti": token["jti"],
        "gen": token["gen"],
    }
    with platform.app_context():
        assert session.query(Grant).count() == 0
        assert session.scalar(select(AuditEvent.client_id).where(AuditEvent.event == "oidc.tokens.issued")) == "machine"


@pytest.mark.parametrize("scope", ["licence:export", "licence:import", "profile", "enterprise profile", "openid", "x", "%00", "密"])
def test_no_licence_and_nothing_it_is_not_registered_for(machine: RelyingParty, scope: str) -> None:
    refused(own(machine, scope=scope), "invalid_scope")


@pytest.mark.spec("RFC 8707", "2.2")
def test_its_own_system_or_the_issuer(machine: RelyingParty) -> None:
    assert claims_of(body_of(own(machine, resource=ISSUER))["access_token"])["aud"] == ISSUER
    assert claims_of(body_of(own(machine, resource=OWN))["access_token"])["aud"] == OWN
    refused(own(machine, resource="urn:licence:system:import"), "invalid_target")
    refused(own(machine, resource="x"), "invalid_target")


def test_userinfo_is_about_people(machine: RelyingParty) -> None:
    for token in (body_of(own(machine)), body_of(own(machine, resource=ISSUER))):
        assert machine.userinfo(token["access_token"]).status_code == 401


def test_it_can_be_introspected_revoked_and_stopped(machine: RelyingParty, platform: Flask, clock: FakeClock) -> None:
    one, other = (body_of(own(machine))["access_token"] for _ in range(2))
    told = machine.introspect(one)
    assert (told["active"], told["sub"], told["scope"]) == (True, "machine", "enterprise")
    assert machine.revoke(one).status_code == 200
    assert machine.introspect(one) == {"active": False}
    judge_ = RelyingParty(platform, clock, "judge", system="export")
    assert judge_.introspect(other)["active"]
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "machine").disabled_at = clock.now()
    assert judge_.introspect(other) == {"active": False}
    refused(own(machine), "invalid_client", 401)


@pytest.mark.spec("RFC 6749", "4.1.2.1")
def test_a_client_for_itself_alone_sends_nobody_to_authorize(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    alone = RelyingParty(platform, clock, "alone", grant_types=["client_credentials"])
    assert own(alone).status_code == 200
    answer = answer_of(alone.authorize(alone.browser(beijing.id)))
    assert (answer["error"], answer["iss"]) == ("unauthorized_client", ISSUER)
    assert judge({"client_id": "bare", "grant_types": ["client_credentials"], "response_types": []}).redirect_uris == ()


def test_it_is_for_clients_that_can_prove_themselves() -> None:
    members = {"client_id": "x", "redirect_uris": ["https://rp.example/cb"], "token_endpoint_auth_method": "none"}
    with pytest.raises(BadInput, match="confidential"):
        judge({**members, "grant_types": ["authorization_code", "client_credentials"]})
    for wrong in (["refresh_token"], ["client_credentials", "refresh_token"], []):
        with pytest.raises(BadInput, match="authorization_code"):
            judge({**members, "token_endpoint_auth_method": "client_secret_basic", "grant_types": wrong})
