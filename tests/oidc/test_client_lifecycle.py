"""Switching a client off stops it at once, in every process; removing it leaves nothing but the audit."""

import json

import pytest
from flask import Flask

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc.models import ClientRecord, Grant
from tests.command_line import idp
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.oidc.test_client_authentication import basic, turned_away
from tests.oidc.test_userinfo import forged
from tests.relying_party import RelyingParty, body_of, claims_of


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, grant_types=["authorization_code", "refresh_token"])


def changes(platform: Flask) -> list[str]:
    with platform.app_context():
        rows = session.query(AuditEvent).filter_by(event="oidc.client.changed").order_by(AuditEvent.id)
        return [row.detail["change"] for row in rows]


@pytest.mark.store
def test_off_is_off_at_once_and_what_was_given_stays_dead(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    tokens, code = rp.tokens(browser), rp.code(browser)
    assert idp(platform, "client", "disable", "rp").out == "rp: disabled\n"
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    turned_away(rp.token(refresh, rp.basic()))
    turned_away(rp.redeem(code))
    assert rp.userinfo(tokens["access_token"]).status_code == 401
    assert rp.authorize(browser).status_code == 400
    assert idp(platform, "client", "disable", "rp").out == "rp: unchanged\n"
    assert idp(platform, "client", "enable", "rp", "--json").out == '{"client_id": "rp", "change": "enabled"}\n'
    assert rp.token(refresh, rp.basic()).json == {"error": "invalid_grant"}
    assert rp.userinfo(tokens["access_token"]).status_code == 401
    assert rp.tokens(browser)["access_token"]
    assert changes(platform) == ["added", "disabled", "enabled"]
    with platform.app_context():
        assert {grant.end_reason for grant in session.query(Grant)} == {"client_disabled", None}


@pytest.mark.store
def test_a_removed_client_is_unknown(rp: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    token = rp.tokens(rp.browser(beijing.id))["access_token"]
    assert idp(platform, "client", "delete", "rp").code == 1  # nobody said yes
    assert idp(platform, "client", "delete", "rp", "--yes").out == "rp: deleted\n"
    assert rp.userinfo(token).status_code == 401
    assert idp(platform, "client", "show", "rp").code == 1
    assert idp(platform, "client", "delete", "rp", "--yes").code == 1
    assert changes(platform) == ["added", "deleted"]
    with platform.app_context():
        assert session.query(Grant).count() == 0
        assert session.query(AuditEvent).filter_by(event="oidc.grant.ended").count() == 1


OWN_GRANT = {"grant_type": "client_credentials"}


def a_machine(platform: Flask, clock: FakeClock) -> RelyingParty:
    return RelyingParty(platform, clock, "machine", scope="openid email", grant_types=["client_credentials", "authorization_code"])


@pytest.mark.store
def test_tokens_of_its_own_stay_dead_when_it_is_on_again(platform: Flask, clock: FakeClock) -> None:
    machine = a_machine(platform, clock)
    before = body_of(machine.token(OWN_GRANT, machine.basic()))["access_token"]
    assert machine.introspect(before)["active"]
    idp(platform, "client", "disable", "machine")
    idp(platform, "client", "enable", "machine")
    # in the very same second
    assert machine.introspect(before) == {"active": False}
    after = body_of(machine.token(OWN_GRANT, machine.basic()))["access_token"]
    assert machine.introspect(after)["active"]
    # other changes leave tokens alone
    idp(platform, "client", "rotate-secret", "machine")
    assert machine.introspect(after)["active"]


@pytest.mark.store
def test_nothing_is_left_to_who_has_its_id_next(platform: Flask, clock: FakeClock, beijing: Somebody, shanghai: Somebody) -> None:
    machine = a_machine(platform, clock)
    own = body_of(machine.token(OWN_GRANT, machine.basic()))["access_token"]
    of_a_person = machine.tokens(machine.browser(beijing.id))["access_token"]
    idp(platform, "client", "delete", "machine", "--yes")
    again = a_machine(platform, clock)
    # SQLite gives the number of the deleted grant again
    live = again.tokens(again.browser(shanghai.id))["access_token"]
    assert again.introspect(own) == {"active": False}
    assert again.userinfo(of_a_person).status_code == 401
    assert body_of(again.userinfo(live))["sub"] == shanghai.sub


def test_no_process_keeps_the_client_that_had_the_id_before(platform: Flask, clock: FakeClock) -> None:
    old = a_machine(platform, clock)
    assert old.token(OWN_GRANT, old.basic()).status_code == 200  # cached, at version 1
    idp(platform, "client", "delete", "machine", "--yes")
    new = RelyingParty(platform, clock, "machine", "another-secret-0123456789-abcdefghij", scope="openid", grant_types=["authorization_code"])
    turned_away(old.token(OWN_GRANT, old.basic()))
    assert new.token(OWN_GRANT, new.basic()).json == {"error": "unauthorized_client"}


def test_tokens_and_clients_from_before_there_were_generations_live_on(platform: Flask, clock: FakeClock) -> None:
    machine = a_machine(platform, clock)
    with platform.app_context(), transaction():
        session.get_one(ClientRecord, "machine").generation = ""
    content = claims_of(body_of(machine.token(OWN_GRANT, machine.basic()))["access_token"])
    old = forged(platform, {name: value for name, value in content.items() if name != "gen"})
    assert machine.introspect(old)["active"]
    idp(platform, "client", "disable", "machine")
    idp(platform, "client", "enable", "machine")
    assert machine.introspect(old) == {"active": False}


def test_a_new_secret_overlaps_or_not(rp: RelyingParty, platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    new = json.loads(idp(platform, "client", "rotate-secret", "rp", "--json").out)["client_secret"]
    assert rp.redeem(rp.code(browser)).status_code == 200
    assert rp.redeem(rp.code(browser), basic("rp", new)).status_code == 200
    newer = idp(platform, "client", "rotate-secret", "rp", "--at-once").out.split()[-1]
    for old in (rp.basic(), basic("rp", new)):
        turned_away(rp.redeem(rp.code(browser), old))
    assert rp.redeem(rp.code(browser), basic("rp", newer)).status_code == 200
    with platform.app_context():
        assert len(session.get_one(ClientRecord, "rp").secrets) == 1
    RelyingParty(platform, clock, "public", None, token_endpoint_auth_method="none")
    assert idp(platform, "client", "rotate-secret", "public").code == 1
    assert idp(platform, "client", "rotate-secret", "nobody").code == 1


def test_addresses_that_would_never_be_called_are_refused_here_too(platform: Flask, far_servers: FakeWeb, tmp_path: object) -> None:
    from pathlib import Path

    far_servers.refused["https://10.0.0.1/bye"] = "address"
    file = Path(str(tmp_path)) / "rp.toml"
    file.write_text('client_id = "rp"\nredirect_uris = ["https://rp.example/cb"]\nbackchannel_logout_uri = "https://10.0.0.1/bye"\n')
    said = idp(platform, "client", "apply", file)
    assert said.code == 1
    assert "backchannel_logout_uri" in said.err
    assert "IDP_OUTBOUND_ALLOW" in said.err
