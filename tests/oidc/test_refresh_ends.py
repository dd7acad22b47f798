"""What ends a grant ends its refresh, and what does not; and what a crash or a refusal leaves behind."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from idp.accounts.models import Account
from idp.audit import provider
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import revocation
from idp.oidc.models import ClientRecord, Grant
from idp.oidc.token_models import RefreshToken
from idp.sessions import lifecycle
from idp.sessions.models import Session
from tests import people
from tests.fakes import FakeClock
from tests.oidc.conftest import REFRESHES, Somebody
from tests.oidc.test_token import grant_reason, refused
from tests.relying_party import RelyingParty, body_of

pytestmark = pytest.mark.slow

# --- what ends a grant, and what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.parametrize("end", ["sign_out", "epoch", "account_disabled", "enterprise_closed", "client_disabled", "client_ended", "replayed_code"])
def test_what_ends_a_grant_ends_its_refresh(refreshing: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, end: str) -> None:
    code = refreshing.code(refreshing.browser(beijing.id))
    token = body_of(refreshing.redeem(code))["refresh_token"]
    if end == "replayed_code":
        refreshing.redeem(code)
    with platform.app_context(), transaction():
        account = session.get_one(Account, beijing.id)
        if end == "sign_out":
            lifecycle.end(session.query(Session).one(), "signed_out", clock.now(), revocation.on_session_end)
        if end == "epoch":
            account.epoch += 1
        if end == "account_disabled":
            account.status = "disabled"
        if end == "enterprise_closed":
            people.firm(account).status = "cancelled"
        if end == "client_disabled":
            session.get_one(ClientRecord, "rp").disabled_at = clock.now()
        if end == "client_ended":
            assert revocation.end_grants_of_client("rp", "client_disabled", clock.now()) == 1
    response = refreshing.refresh(token)
    refused(response, *(("invalid_client", 401) if end == "client_disabled" else ("invalid_grant", 400)))


@pytest.mark.requirement("R77")
def test_idling_ends_no_grant_and_a_refresh_is_no_activity(refreshing: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    browser = refreshing.browser(beijing.id)
    token = refreshing.tokens(browser)["refresh_token"]
    clock.advance(minutes=20)
    assert refreshing.refresh(token).status_code == 200
    clock.advance(minutes=10)
    assert "code=" not in refreshing.authorize(browser).location
    assert refreshing.refresh(token).status_code == 200
    with platform.app_context():
        assert session.query(Grant).one().ended_at is None


@pytest.mark.requirement("R77")
def test_one_of_the_ministrys_own_may_say_that_its_user_has_clicked(refreshing: RelyingParty, beijing: Somebody, clock: FakeClock) -> None:
    browser = refreshing.browser(beijing.id)
    token = refreshing.tokens(browser)["refresh_token"]
    for _ in range(3):
        clock.advance(minutes=20)
        assert refreshing.refresh(token, user_activity="true").status_code == 200
    assert "code=" in refreshing.authorize(browser, prompt="none").location
    # once idle too long, it is not brought back
    clock.advance(minutes=30)
    assert refreshing.refresh(token, user_activity="true").status_code == 200
    assert "code=" not in refreshing.authorize(browser, prompt="none").location


@pytest.mark.requirement("R77")
def test_strangers_cannot_keep_a_session_awake(platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    stranger = RelyingParty(platform, clock, "stranger", scope="openid", grant_types=REFRESHES)
    browser = stranger.browser(beijing.id)
    token = stranger.tokens(browser)["refresh_token"]
    with platform.app_context(), transaction():
        row = session.get_one(ClientRecord, "stranger")
        row.registration, row.version = {**row.registration, "first_party": False}, row.version + 1
    clock.advance(minutes=20)
    assert stranger.refresh(token, user_activity="true").status_code == 200
    clock.advance(minutes=10)
    assert "code=" not in stranger.authorize(browser, prompt="none").location


# --- faults ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
def test_a_crash_before_the_commit_leaves_the_token_as_it_was(
    public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = public.tokens(public.browser(beijing.id))["refresh_token"]
    platform.testing = False

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(provider, "tokens_issued", crash)
        assert public.refresh(token).status_code == 500
    clock.advance(minutes=1)  # it was not rotated, so it is not shown again
    assert "refresh_token" in body_of(public.refresh(token))


@pytest.mark.store
@pytest.mark.parametrize("kind", ["public", "refreshing"])
def test_an_end_while_the_answer_is_signed_is_seen(
    request: pytest.FixtureRequest, platform: Flask, beijing: Somebody, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from idp.oidc import tokens

    client: RelyingParty = request.getfixturevalue(kind)
    token, settle = client.tokens(client.browser(beijing.id))["refresh_token"], tokens.settle

    def late(caller: Any, plan: Any, now: Any, counter: str) -> Any:
        revocation.end_grants_at(beijing.id, client.client_id, "signed_out", now)
        return settle(caller, plan, now, counter)

    monkeypatch.setattr(tokens, "settle", late)
    refused(client.refresh(token))
    assert grant_reason(platform) == "signed_out"


@pytest.mark.store
def test_a_refusal_leaves_its_rows(public: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    token = public.tokens(public.browser(beijing.id))["refresh_token"]
    public.refresh(token)
    clock.advance(minutes=1)
    refused(public.refresh(token))
    with platform.app_context():
        events = session.scalars(select(AuditEvent.event).where(AuditEvent.event.in_(["oidc.client.refused", "oidc.grant.ended"]))).all()
        assert sorted(events) == ["oidc.client.refused", "oidc.grant.ended"]
        assert session.query(Grant).one().end_reason == "refresh_replayed"
        assert session.query(RefreshToken).filter(RefreshToken.rotated_at.is_not(None)).count() == 1


def test_the_sweep_takes_them_with_their_grant(refreshing: RelyingParty, platform: Flask, beijing: Somebody, clock: FakeClock) -> None:
    refreshing.tokens(refreshing.browser(beijing.id))
    clock.advance(hours=12, seconds=1)
    with platform.app_context(), transaction():
        revocation.sweep(clock.now())
        assert session.query(RefreshToken).count() == 0
