"""Refresh: who may, what is rotated, what a right that went or came back does, and what ends the grant."""

import pytest
from flask import Flask
from sqlalchemy import select

from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.key_register.models import EKey, EKeyLicence
from idp.oidc.token_models import RefreshToken
from tests.fakes import FakeClock
from tests.oidc.conftest import REFRESHES, SCOPE, Somebody
from tests.oidc.test_token import grant_reason, refused
from tests.relying_party import RelyingParty, body_of, claims_of, digest_of


def set_key(platform: Flask, status: str) -> None:
    with platform.app_context(), transaction():
        session.query(EKey).one().status = status


@pytest.mark.spec("RFC 6749", "6")
@pytest.mark.spec("OIDC Core", "12.2")
def test_a_refresh_brings_tokens_about_the_same_sign_in(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    first = refreshing.tokens(refreshing.browser(beijing.id))
    clock.advance(minutes=9)
    response = refreshing.refresh(first["refresh_token"])
    again = body_of(response)
    assert response.headers["Cache-Control"] == "no-store"
    assert again["scope"] == first["scope"] == SCOPE
    old, new = claims_of(first["id_token"]), claims_of(again["id_token"])
    assert {name: new[name] for name in ("iss", "sub", "aud", "auth_time", "acr", "amr")} == {
        name: old[name] for name in ("iss", "sub", "aud", "auth_time", "acr", "amr")
    }
    assert "nonce" not in new
    assert new["iat"] == old["iat"] + 540
    assert claims_of(again["access_token"])["gid"] == claims_of(first["access_token"])["gid"]
    assert refreshing.userinfo(again["access_token"]).status_code == 200


def test_only_clients_registered_for_it_get_one_whatever_the_scope(platform: Flask, clock: FakeClock, beijing: Somebody) -> None:
    plain = RelyingParty(platform, clock, "plain")
    answer = plain.tokens(plain.browser(beijing.id), scope="openid offline_access")
    assert "refresh_token" not in answer
    assert answer["scope"] == "openid"
    refused(plain.refresh("x"), "unauthorized_client")
    refreshing = RelyingParty(platform, clock, "refreshing", grant_types=REFRESHES, scope="profile offline_access")
    assert refreshing.registration.scope == "profile"
    assert "refresh_token" in refreshing.tokens(refreshing.browser(beijing.id), scope="profile")


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "%00", "密"])
def test_unknown_tokens(refreshing: RelyingParty, token: str) -> None:
    refused(refreshing.refresh(token), "invalid_request" if not token else "invalid_grant")


def test_it_stands_in_the_database_as_a_digest_only(refreshing: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    token = refreshing.tokens(refreshing.browser(beijing.id))["refresh_token"]
    with platform.app_context():
        assert session.scalars(select(RefreshToken.digest)).all() == [digest_of(token)]
    raw = b"".join((platform.extensions["idp"].settings.data_dir / name).read_bytes() for name in ("idp.db", "idp.db-wal"))
    assert digest_of(token).encode() in raw
    assert token.encode() not in raw


# --- rotation -------------------------------------------------------------------------------------------------------------------------------


def test_of_a_confidential_client_it_stays(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    token = refreshing.tokens(refreshing.browser(beijing.id))["refresh_token"]
    for _ in range(3):
        assert "refresh_token" not in body_of(refreshing.refresh(token))
        clock.advance(minutes=5)


@pytest.mark.store
@pytest.mark.spec("RFC 9700", "4.14")
def test_of_a_public_client_it_is_rotated_and_a_late_repetition_ends_the_grant(
    public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock
) -> None:
    first = public.tokens(public.browser(beijing.id))["refresh_token"]
    second = body_of(public.refresh(first))["refresh_token"]
    assert second != first
    # the answer was lost: tokens, but no new family
    clock.advance(seconds=10)
    again = body_of(public.refresh(first))
    assert "refresh_token" not in again
    assert public.userinfo(again["access_token"]).status_code == 200
    third = body_of(public.refresh(second))["refresh_token"]
    clock.advance(seconds=1)
    refused(public.refresh(first))
    assert grant_reason(platform) == "refresh_replayed"
    refused(public.refresh(third))
    assert public.userinfo(again["access_token"]).status_code == 401
    with platform.app_context():
        ended = session.scalars(select(AuditEvent.detail).where(AuditEvent.event == "oidc.grant.ended")).all()
    assert [each["reason"] for each in ended] == ["refresh_replayed"]


@pytest.mark.spec("RFC 6749", "5.2")
def test_another_client_leaves_the_family_alone(public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    other = RelyingParty(platform, clock, "other", grant_types=REFRESHES)
    first = public.tokens(public.browser(beijing.id))["refresh_token"]
    refused(other.refresh(first))
    second = body_of(public.refresh(first))["refresh_token"]
    clock.advance(minutes=1)
    refused(other.refresh(first))
    assert grant_reason(platform) is None
    assert public.refresh(second).status_code == 200


def test_a_confidential_client_does_not_pass_without_its_secret(refreshing: RelyingParty, beijing: Somebody) -> None:
    token = refreshing.tokens(refreshing.browser(beijing.id))["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "rp"}
    refused(refreshing.token(form, {}), "invalid_client", 401)


# --- life -----------------------------------------------------------------------------------------------------------------------------------


def test_the_family_lives_eight_hours_however_often_it_is_rotated(public: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    token = public.tokens(public.browser(beijing.id))["refresh_token"]
    for _ in range(7):
        clock.advance(hours=1)
        token = body_of(public.refresh(token))["refresh_token"]
    clock.advance(minutes=59, seconds=59)
    token = body_of(public.refresh(token))["refresh_token"]
    clock.advance(seconds=1)
    refused(public.refresh(token))


def test_it_never_outlives_the_session(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = refreshing.browser(beijing.id)
    clock.advance(minutes=29)
    for _ in range(22):
        refreshing.authorize(browser)
        clock.advance(minutes=29)
    token = refreshing.tokens(browser)["refresh_token"]  # 11 h 7 min
    clock.advance(minutes=48)
    late = body_of(refreshing.refresh(token))
    # cut to the session's end, as the access token is
    assert late["expires_in"] == 5 * 60
    clock.advance(minutes=5)
    refused(refreshing.refresh(token))


# --- scope ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 6749", "6")
def test_scope_is_narrowed_and_what_was_never_asked_for_is_refused(refreshing: RelyingParty, beijing: Somebody) -> None:
    token = refreshing.tokens(refreshing.browser(beijing.id), scope="openid offline_access licence:export address")["refresh_token"]
    narrow = body_of(refreshing.refresh(token, scope="openid"))
    assert narrow["scope"] == claims_of(narrow["access_token"])["scope"] == "openid"
    assert "id_token" not in body_of(refreshing.refresh(token, scope="licence:export"))
    # the whole request again, with what was left out of it
    assert body_of(refreshing.refresh(token, scope="openid offline_access licence:export address"))["scope"] == "openid licence:export"
    assert body_of(refreshing.refresh(token))["scope"] == "openid licence:export"
    # a blank too many asks for nothing
    assert body_of(refreshing.refresh(token, scope=" openid  "))["scope"] == "openid"
    refused(refreshing.refresh(token, scope="openid profile"), "invalid_scope")
    refused(refreshing.refresh(token, scope="licence:import"), "invalid_scope")
    refused(refreshing.refresh(token, scope="address"), "invalid_scope")
    assert refreshing.refresh(token).status_code == 200


@pytest.mark.requirement("R66")
def test_a_right_that_went_is_gone_at_once_and_can_come_back(platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    hall = RelyingParty(platform, clock, scope="openid licence:export licence:import", grant_types=REFRESHES)
    token = hall.tokens(hall.browser(beijing.id), resource="http://127.0.0.1:8000")["refresh_token"]
    with platform.app_context(), transaction():
        key = session.query(EKey).one()
        key.licences = [each for each in key.licences if each.system == "import"]
    assert body_of(hall.refresh(token))["scope"] == "openid licence:import"
    with platform.app_context(), transaction():
        session.add(EKeyLicence(serial=session.query(EKey).one().serial, system="export"))
    assert body_of(hall.refresh(token))["scope"] == "openid licence:export licence:import"


@pytest.mark.store
@pytest.mark.requirement("R66")
def test_the_last_licence_gone_ends_the_grant(refreshing: RelyingParty, platform: Flask, beijing: Somebody) -> None:
    answer = refreshing.tokens(refreshing.browser(beijing.id))
    set_key(platform, "revoked")
    refused(refreshing.refresh(answer["refresh_token"], scope="openid"))
    assert grant_reason(platform) == "licence_gone"
    set_key(platform, "active")
    refused(refreshing.refresh(answer["refresh_token"]))
    assert refreshing.userinfo(answer["access_token"]).status_code == 401


@pytest.mark.spec("RFC 8707", "2.2")
def test_no_other_resource_than_the_authorized_one(refreshing: RelyingParty, beijing: Somebody) -> None:
    token = refreshing.tokens(refreshing.browser(beijing.id))["refresh_token"]
    refused(refreshing.refresh(token, resource="urn:licence:system:import"), "invalid_target")
    assert refreshing.refresh(token, resource="urn:licence:system:export").status_code == 200
